//! What the operator's certificates say: for which hosts they are good, and until when.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// What one certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Hosts by name, in lower case; a first label `*` stands for any one label.
    pub hosts: Vec<String>,
    pub addresses: Vec<IpAddr>,
    /// Its end, in seconds since 1970.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Reads a certificate in DER; `None` when it is none.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
        let names = certificate.subject_alternative_name().ok().flatten();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(host) => hosts.push(host.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        Some(Self { hosts, addresses, not_after: certificate.validity().not_after.timestamp() })
    }

    /// Whether a client that asks for this host takes the certificate for its own.
    ///
    /// Source: RFC 9525 section 6.3: a `*` stands for the whole first label and nothing else.
    pub fn covers(&self, host: &str) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let host = host.to_ascii_lowercase();
        let behind_first = host.split_once('.').map(|(_, rest)| rest);
        self.hosts.iter().any(|known| match known.strip_prefix("*.") {
            Some(rest) => behind_first == Some(rest),
            None => *known == host,
        })
    }
}

/// By when the next list of revoked certificates is to follow this one in DER, in seconds since 1970.
///
/// Errors: it is no such list, or says no such time.
pub fn revocation_list_end(der: &[u8]) -> Option<i64> {
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    list.next_update().map(|end| end.timestamp())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
        KeyIdMethod, KeyPair,
    };

    use super::*;

    fn facts(names: &[&str]) -> CertificateFacts {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertificateFacts::from_der(certificate.der()).unwrap()
    }

    #[test]
    fn a_certificate_covers_its_names_and_one_label_for_a_star() {
        let facts = facts(&["Kafka.example", "*.gw.example", "10.0.0.1", "::1"]);
        for (host, expected) in [
            ("kafka.example", true),
            ("KAFKA.EXAMPLE", true),
            ("broker-1.gw.example", true),
            ("gw.example", false),
            ("broker-1.team.gw.example", false),
            ("x.kafka.example", false),
            ("10.0.0.1", true),
            ("::1", true),
            ("10.0.0.2", false),
            ("", false),
        ] {
            assert_eq!(facts.covers(host), expected, "{host}");
        }
    }

    #[test]
    fn a_list_of_revoked_certificates_says_when_the_next_is_due() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2029, 1, 2),
            next_update: rcgen::date_time_ymd(2030, 1, 2),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&issuer).unwrap();
        assert_eq!(revocation_list_end(list.der()), Some(1_893_542_400));
        assert_eq!(revocation_list_end(issuer.der()), None);
        assert_eq!(revocation_list_end(b"no list"), None);
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        assert_eq!(facts(&[]).not_after, 1_893_542_400);
        assert_eq!(CertificateFacts::from_der(b"no certificate"), None);
    }
}
