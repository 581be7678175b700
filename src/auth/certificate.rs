//! What a client's verified certificate says of it.
//!
//! Source: RFC 2253 (names as text), RFC 8705 (thumbprints in tokens).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::Oid;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The certificate by which a client proved itself in TLS; its chain has been verified there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// SHA-256 of the whole certificate, as the claim `x5t#S256` has it in base64url.
    pub thumbprint: [u8; 32],
    /// Whom it names, in the form of RFC 2253, as Kafka's own brokers have it.
    pub subject: String,
    /// Its end, in seconds since 1970.
    pub not_after: i64,
}

/// A certificate that can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate can not be read")]
pub struct UnreadableCertificate;

impl PeerCertificate {
    /// Reads a verified certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, UnreadableCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| UnreadableCertificate)?;
        if !rest.is_empty() {
            return Err(UnreadableCertificate);
        }
        let hash = digest::digest(&digest::SHA256, der);
        let thumbprint = hash.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let not_after = certificate.validity().not_after.timestamp();
        Ok(Self { thumbprint, subject: subject(certificate.subject()), not_after })
    }

    /// How long it is still good; zero when it has ended.
    pub fn lasts(&self, now: SystemTime) -> Duration {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(u64::try_from(self.not_after).unwrap_or(0)).saturating_sub(since_1970)
    }
}

/// The last part of a name comes first.
fn subject(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let text = keyword(oid).zip(text(attribute.attr_value()));
    match text {
        Some((keyword, text)) => format!("{keyword}={}", escaped(&text)),
        None => format!("{}=#{}", oid.to_id_string(), hex(attribute.attr_value())),
    }
}

/// The types that RFC 2253 has a word for.
fn keyword(oid: &Oid<'_>) -> Option<&'static str> {
    Some(match oid.to_id_string().as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        _ => return None,
    })
}

fn text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        // Of the sixteen bits of a character those with a character of their own.
        Tag::BmpString if value.data.len().is_multiple_of(2) => {
            let units = value.data.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        Tag::T61String => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let is_special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let is_at_edge = (at == 0 && matches!(c, ' ' | '#')) || (at == last && c == ' ');
        if is_special || is_at_edge {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The value with its tag and length; both are short of what one certificate may hold.
fn hex(value: &Any<'_>) -> String {
    use x509_parser::asn1_rs::ToDer;
    let der = value.to_der_vec().unwrap_or_default();
    der.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;

    fn der(parts: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in parts {
            params.distinguished_name.push(kind.clone(), DnValue::Utf8String((*text).to_owned()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn check(parts: &[(DnType, &str)], expected: &str) {
        assert_eq!(PeerCertificate::from_der(&der(parts)).unwrap().subject, expected);
    }

    #[test]
    fn a_subject_is_written_from_its_end_as_java_writes_it() {
        use DnType::{CommonName, CountryName, OrganizationName, OrganizationalUnitName};
        check(
            &[
                (CountryName, "DE"),
                (OrganizationName, "Sluice, Gate & Co"),
                (OrganizationalUnitName, "a+b=c"),
                (CommonName, " reader#1 "),
            ],
            r"CN=\ reader#1\ ,OU=a\+b=c,O=Sluice\, Gate & Co,C=DE",
        );
        check(&[(CommonName, "#x\"\\<>;")], r#"CN=\#x\"\\\<\>\;"#);
        check(&[(CommonName, "Übergröße")], "CN=Übergröße");
        check(&[], "");
    }

    #[test]
    fn a_type_without_a_word_is_written_by_its_number_and_in_hex() {
        let mail = DnType::from_oid(&[1, 2, 840, 113549, 1, 9, 1]);
        check(&[(mail, "a@b")], "1.2.840.113549.1.9.1=#0c03614062");
        let user = DnType::from_oid(&[0, 9, 2342, 19200300, 100, 1, 1]);
        check(&[(user, "alice")], "UID=alice");
    }

    #[test]
    fn the_thumbprint_is_of_the_whole_certificate() {
        let der = der(&[(DnType::CommonName, "reader")]);
        let expected = digest::digest(&digest::SHA256, &der);
        assert_eq!(PeerCertificate::from_der(&der).unwrap().thumbprint, expected.as_ref());
    }

    #[test]
    fn a_certificate_lasts_until_its_last_second_and_no_longer() {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let certificate = PeerCertificate::from_der(&der).unwrap();
        let end = UNIX_EPOCH + Duration::from_secs(1_893_542_400);
        let millisecond = Duration::from_millis(1);
        for (now, expected) in [
            (end - Duration::from_secs(60), Duration::from_secs(60)),
            (end - millisecond, millisecond),
            (end, Duration::ZERO),
            (end + millisecond, Duration::ZERO),
            (UNIX_EPOCH - millisecond, Duration::from_secs(1_893_542_400)),
        ] {
            assert_eq!(certificate.lasts(now), expected);
        }
        let before_1970 = PeerCertificate { not_after: -1, ..certificate };
        assert_eq!(before_1970.lasts(UNIX_EPOCH), Duration::ZERO);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let mut whole = der(&[(DnType::CommonName, "reader")]);
        for length in 0..whole.len() {
            assert_eq!(PeerCertificate::from_der(&whole[..length]), Err(UnreadableCertificate));
        }
        whole.push(0);
        assert_eq!(PeerCertificate::from_der(&whole), Err(UnreadableCertificate));
    }
}
