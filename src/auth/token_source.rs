//! Where the gateway's own tokens come from, as a value; the shell does the fetching.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use super::assertion::ClientAssertion;
use super::bearer::{EXTENSIONS_BYTES_MAX, EXTENSIONS_MAX, is_extension};
use super::own_token::TokenCell;
use crate::names::Secret;

/// A login at brokers by tokens of our own.
#[derive(Clone, Debug)]
pub struct TokenLogin {
    pub source: TokenSource,
    /// Certificates to trust at the token endpoint, as PEM; the system's own when there are none.
    pub ca_bundle: Option<String>,
    /// For one request at the token endpoint as a whole.
    pub timeout: Duration,
    pub cell: Arc<TokenCell>,
}

/// The place from which tokens are got.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// Client credentials at a token endpoint.
    Endpoint { endpoint: TokenEndpoint, extensions: Vec<(String, String)> },
    /// A file that holds the token itself, and is written anew by somebody else.
    File { path: PathBuf, extensions: Vec<(String, String)> },
    /// A directory whose files name endpoint, client and secret, as a mounted Kubernetes secret has them.
    Directory { path: PathBuf, sends_in_body: bool, audience: Option<String> },
}

/// A token endpoint, and who asks there for what.
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    pub url: Url,
    pub client_id: String,
    pub proof: ClientProof,
    pub scope: Option<String>,
    pub audience: Option<String>,
}

/// How a client proves at a token endpoint who it is.
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// A secret in the header of HTTP Basic.
    Basic(Secret),
    /// A secret in the request's body.
    Post(Secret),
    Assertion(ClientAssertion),
    /// An assertion that somebody else writes into a file.
    AssertionFile(PathBuf),
}

impl TokenEndpoint {
    /// Reads what the files of a directory say; `text` gives the text of a file, if it is there.
    ///
    /// Shape: `method`, `client_id`, `client_secret`, `token_endpoint_url`, `extensions` and `scope`; the
    /// names and the forms are those that librdkafka's settings have.
    pub fn from_files<'t>(
        text: impl Fn(&str) -> Option<&'t str>,
        sends_in_body: bool,
        audience: Option<String>,
    ) -> Result<(Self, Vec<(String, String)>), String> {
        let line = |name: &str| text(name).map(without_newline).filter(|text| !text.is_empty());
        let needed = |name: &str| line(name).ok_or_else(|| format!("the file {name} is not there or empty"));
        match line("method") {
            None => {}
            Some(method) if method.eq_ignore_ascii_case("oidc") => {}
            Some(_) => return Err("the file method must say oidc, or not be there".to_owned()),
        }
        let url = endpoint_url(needed("token_endpoint_url")?)
            .map_err(|why| format!("the file token_endpoint_url {why}"))?;
        let client_id = needed("client_id")?;
        if !is_client_id(client_id) {
            return Err("the file client_id has characters that no client id has".to_owned());
        }
        let scope = line("scope");
        if scope.is_some_and(|scope| !is_scope(scope)) {
            return Err("the file scope must be words with one space between them".to_owned());
        }
        let secret = Secret::new(needed("client_secret")?);
        let extensions = match line("extensions") {
            Some(list) => extensions(list).map_err(|why| format!("in the file extensions {why}"))?,
            None => Vec::new(),
        };
        let proof = if sends_in_body { ClientProof::Post(secret) } else { ClientProof::Basic(secret) };
        let scope = scope.map(str::to_owned);
        Ok((Self { url, client_id: client_id.to_owned(), proof, scope, audience }, extensions))
    }

    /// Whether anybody on the way can read what is said there.
    pub fn is_in_clear(&self) -> bool {
        is_in_clear(&self.url)
    }
}

/// The names of the files that are looked for in a directory of credentials.
pub const CREDENTIAL_FILES: [&str; 6] =
    ["method", "client_id", "client_secret", "token_endpoint_url", "extensions", "scope"];

/// Reads the URL of a token endpoint; what is wrong with it is told as the end of a sentence.
pub fn endpoint_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("is no URL like https://idp.example/token")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user and no password; say client_id and client_secret instead");
    }
    if url.fragment().is_some() {
        return Err("must have no part behind #");
    }
    Ok(url)
}

/// Whether what is sent there can be read on the way: plain HTTP to another machine, as far as its name says.
pub fn is_in_clear(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() != "https" && !is_here
}

/// Whether a text may be a client's id.
///
/// Source: RFC 6749 appendix A.1.
pub fn is_client_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether a text lists scopes: printable words, one space between them.
///
/// Source: RFC 6749 section 3.3.
pub fn is_scope(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
    };
    text.split(' ').all(is_word)
}

/// Reads SASL extensions as `key=value`, separated by commas.
pub fn extensions(list: &str) -> Result<Vec<(String, String)>, &'static str> {
    let pair = |item: &str| {
        let (key, value) =
            item.split_once('=').ok_or("each is written key=value, with commas between them")?;
        Ok((key.trim().to_owned(), value.trim().to_owned()))
    };
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    let pairs = items.map(pair).collect::<Result<Vec<_>, &'static str>>()?;
    check_extensions(&pairs).map(|()| pairs)
}

/// Whether these may be sent beside a token.
///
/// Source: RFC 7628 section 3.1.
pub fn check_extensions(pairs: &[(String, String)]) -> Result<(), &'static str> {
    for (at, (key, value)) in pairs.iter().enumerate() {
        if !is_extension(key, value) || value.contains(char::is_control) {
            return Err("each key is letters and not auth, each value printable ASCII");
        }
        if pairs[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err("one stands twice");
        }
    }
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len() + 1).sum();
    if pairs.len() > EXTENSIONS_MAX || bytes > EXTENSIONS_BYTES_MAX {
        return Err("there are more than 16, or more than 4 KiB");
    }
    Ok(())
}

/// An editor ends a file with a line's end, which is not meant.
fn without_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_pairs_with_commas_between_them() {
        let check = |list: &str, expected: Option<&[(&str, &str)]>| {
            let read = extensions(list).ok();
            let read: Option<Vec<(&str, &str)>> = read
                .as_ref()
                .map(|pairs| pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect());
            assert_eq!(read.as_deref(), expected, "{list:?}");
        };
        check("", Some(&[]));
        check("logicalCluster=lkc-1", Some(&[("logicalCluster", "lkc-1")]));
        check(" a=1, b=x=y ,", Some(&[("a", "1"), ("b", "x=y")]));
        for list in
            ["a", "=1", "auth=Bearer x", "AUTH=x", "a1=x", "a=1,a=2", "a=\u{1}auth=x", "a=é", "a=1\nb=2"]
        {
            check(list, None);
        }
        let many: Vec<String> = (b'a'..=b'q').map(|key| format!("{}=1", key as char)).collect();
        check(&many.join(","), None);
        check(&format!("a={}", "x".repeat(EXTENSIONS_BYTES_MAX)), None);
    }

    #[test]
    fn an_endpoint_is_a_web_address_without_a_password() {
        for (text, is_one, in_clear) in [
            ("https://idp.example/token", true, false),
            ("http://idp.example/token?a=b", true, true),
            ("http://localhost:8080/token", true, false),
            ("http://127.0.0.1/token", true, false),
            ("http://[::1]/token", true, false),
            ("http://localhost.idp.example/token", true, true),
            ("file:///etc/passwd", false, false),
            ("ftp://idp.example/", false, false),
            ("https://user:hunter2@idp.example/", false, false),
            ("https://idp.example/#x", false, false),
            ("idp.example/token", false, false),
            ("", false, false),
        ] {
            let url = endpoint_url(text);
            assert_eq!((url.is_ok(), url.is_ok_and(|url| is_in_clear(&url))), (is_one, in_clear), "{text}");
        }
    }

    #[test]
    fn scopes_are_words_with_one_space_between_them() {
        for scope in ["kafka", "kafka:read kafka:write", "https://idp.example/.default"] {
            assert!(is_scope(scope), "{scope}");
        }
        for scope in ["", " a", "a  b", "a\nb", "a\"b", "a\\b", "é"] {
            assert!(!is_scope(scope), "{scope}");
        }
    }

    const FILES: [(&str, &str); 6] = [
        ("method", "oidc\n"),
        ("client_id", "gateway"),
        ("client_secret", "hunter2\r\n"),
        ("token_endpoint_url", "https://idp.example/token\n"),
        ("extensions", "logicalCluster=lkc-1,identityPoolId=pool-1\n"),
        ("scope", "\n"),
    ];

    fn read(changed: (&str, Option<&str>)) -> Result<(TokenEndpoint, Vec<(String, String)>), String> {
        let text = |name: &str| {
            let known = FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text);
            if changed.0 == name { changed.1 } else { known }
        };
        TokenEndpoint::from_files(text, false, None)
    }

    #[test]
    fn a_directory_says_endpoint_client_and_secret() {
        let (endpoint, extensions) = read(("", None)).unwrap();
        assert_eq!(endpoint.url.as_str(), "https://idp.example/token");
        assert_eq!((endpoint.client_id.as_str(), endpoint.scope), ("gateway", None));
        assert!(matches!(endpoint.proof, ClientProof::Basic(secret) if secret.expose() == "hunter2"));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(extensions, [pair("logicalCluster", "lkc-1"), pair("identityPoolId", "pool-1")]);
        for optional in ["method", "extensions", "scope"] {
            assert!(read((optional, None)).is_ok(), "{optional}");
        }
        assert_eq!(read(("scope", Some("a b"))).unwrap().0.scope.as_deref(), Some("a b"));
    }

    #[test]
    fn what_is_wrong_with_a_directory_is_told_by_the_file_s_name_and_not_by_its_text() {
        for (name, text) in [
            ("method", Some("hunter2")),
            ("client_id", None),
            ("client_id", Some("\n")),
            ("client_id", Some("hunter2\u{7}")),
            ("client_secret", None),
            ("client_secret", Some("")),
            ("token_endpoint_url", None),
            ("token_endpoint_url", Some("hunter2")),
            ("token_endpoint_url", Some("https://u:hunter2@idp.example/")),
            ("extensions", Some("hunter2")),
            ("scope", Some(" hunter2 ")),
        ] {
            let why = read((name, text)).unwrap_err();
            assert!(why.contains(name) && !why.contains("hunter2"), "{why}");
        }
    }
}
