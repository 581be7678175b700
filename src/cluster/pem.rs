//! Certificates and keys as the file brings them, and where they are read again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::names::Secret;

/// A text in PEM form. It may hold a private key, so `Debug` shows its length.
#[derive(Clone)]
pub struct Pem {
    text: Secret,
    /// What it is put together from; nothing when no file has a part in it.
    pieces: Arc<[Piece]>,
}

/// A part of a text.
#[derive(Clone, Debug)]
pub enum Piece {
    Text(Secret),
    /// All that a file holds.
    File(PathBuf),
}

impl Pem {
    /// A text that never changes.
    pub fn fixed(text: impl Into<String>) -> Self {
        Self { text: Secret::new(text), pieces: Arc::from([]) }
    }

    /// A text that stood in these pieces when it was read.
    pub fn of(text: impl Into<String>, pieces: Vec<Piece>) -> Self {
        let has_file = pieces.iter().any(|piece| matches!(piece, Piece::File(_)));
        Self { text: Secret::new(text), pieces: if has_file { pieces.into() } else { Arc::from([]) } }
    }

    /// The files that it is read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::File(path) => Some(path.as_path()),
            Piece::Text(_) => None,
        })
    }

    /// The same, with what its files hold now.
    ///
    /// Errors: those of `read`.
    pub fn again<E>(&self, read: impl Fn(&Path) -> Result<String, E>) -> Result<Self, E> {
        if self.pieces.is_empty() {
            return Ok(self.clone());
        }
        let mut text = String::new();
        for piece in self.pieces.iter() {
            match piece {
                Piece::Text(piece) => text.push_str(piece.expose()),
                Piece::File(path) => text.push_str(read(path)?.trim_end()),
            }
        }
        Ok(Self { text: Secret::new(text), pieces: self.pieces.clone() })
    }

    /// The certificates in it, at least one.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
        let found = CertificateDer::pem_slice_iter(self.text.expose().as_bytes());
        let certificates = found.collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(certificates) }
    }

    /// The lists of revoked certificates in it, at least one.
    pub fn revocation_lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, pem::Error> {
        let found = CertificateRevocationListDer::pem_slice_iter(self.text.expose().as_bytes());
        let lists = found.collect::<Result<Vec<_>, _>>()?;
        if lists.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(lists) }
    }

    /// The private key in it; what is wrong with one that is none is not told, since it may quote it.
    pub fn private_key(&self) -> Option<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(self.text.expose().as_bytes()).ok()
    }
}

impl PartialEq for Pem {
    /// Whether the same is written there, wherever it comes from.
    fn eq(&self, other: &Self) -> bool {
        self.text.expose().trim_end() == other.text.expose().trim_end()
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pem").field("text", &self.text).field("pieces", &self.pieces).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_put_together_again_from_its_files() {
        let pieces = vec![
            Piece::File("/tls.crt".into()),
            Piece::Text(Secret::new("\n")),
            Piece::File("/ca.crt".into()),
        ];
        let pem = Pem::of("leaf\nca", pieces);
        assert_eq!(pem.files().collect::<Vec<_>>(), [Path::new("/tls.crt"), Path::new("/ca.crt")]);
        let read = |leaf: &'static str| {
            move |path: &Path| match path.to_str() {
                Some("/tls.crt") => Ok(leaf.to_owned()),
                Some("/ca.crt") => Ok("ca\n".to_owned()),
                _ => Err("no such file"),
            }
        };
        assert_eq!(pem.again(read("leaf\n")), Ok(pem.clone()));
        assert_eq!(pem.again(read("new\r\n")), Ok(Pem::fixed("new\nca")));
        assert_eq!(pem.again(|_| Err("gone")), Err("gone"));
        assert_eq!(Pem::fixed("fixed").again(|_| Err("gone")), Ok(Pem::fixed("fixed")));
    }

    #[test]
    fn what_may_be_a_key_is_never_shown() {
        let pem = Pem::of("hunter2", vec![Piece::Text(Secret::new("hunter2")), Piece::File("f".into())]);
        assert_eq!(
            format!("{pem:?}"),
            "Pem { text: Secret(7 bytes), pieces: [Text(Secret(7 bytes)), File(\"f\")] }"
        );
    }

    #[test]
    fn what_is_no_pem_holds_nothing() {
        let pem = Pem::fixed("hunter2");
        assert!(pem.certificates().is_err());
        assert!(pem.revocation_lists().is_err());
        assert!(pem.private_key().is_none());
    }
}
