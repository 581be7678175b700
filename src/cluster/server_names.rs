//! The server names of virtual clusters and their brokers, where one port serves many.

use std::collections::HashMap;
use std::sync::Arc;

use super::Door;

/// The names of one virtual cluster and its brokers.
#[derive(Clone, Debug)]
pub struct BrokerNames {
    form: NameForm,
    /// What all of them end with: the cluster's label and the suffix behind it.
    base: Arc<str>,
}

/// How a name is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameForm {
    /// `broker-1.team.gw.example`: each virtual cluster has a level of its own, and a certificate.
    PerClusterSuffix,
    /// `broker-1-team.gw.example`: all names have the same level, and one wildcard covers them.
    SharedSuffix,
}

impl BrokerNames {
    /// Errors: `TooLong` when a broker's name could be longer than DNS takes.
    pub fn new(form: NameForm, label: &str, suffix: &str) -> Result<Self, TooLong> {
        let base: Arc<str> = format!("{label}{suffix}").into();
        let names = Self { form, base };
        let longest = names.broker(i32::MAX);
        if longest.len() > NAME_BYTES_MAX || longest.split('.').any(|label| label.len() > LABEL_BYTES_MAX) {
            return Err(TooLong);
        }
        Ok(names)
    }

    pub fn bootstrap(&self) -> String {
        format!("bootstrap{}{}", self.form.joint(), self.base)
    }

    pub fn broker(&self, node: i32) -> String {
        format!("broker-{node}{}{}", self.form.joint(), self.base)
    }
}

impl NameForm {
    fn joint(self) -> char {
        match self {
            NameForm::PerClusterSuffix => '.',
            NameForm::SharedSuffix => '-',
        }
    }
}

/// A server name that DNS does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has at most 253 characters, and each part between dots at most 63")]
pub struct TooLong;

/// Which virtual cluster is meant by which server name.
#[derive(Clone, Debug, Default)]
pub struct ServerNames(HashMap<NameForm, HashMap<Arc<str>, usize>>);

impl ServerNames {
    /// Lets names lead to a place; `false` when they lead somewhere already.
    pub fn lead(&mut self, names: &BrokerNames, place: usize) -> bool {
        let of_form = self.0.entry(names.form).or_default();
        let is_new = !of_form.contains_key(&names.base);
        if is_new {
            of_form.insert(names.base.clone(), place);
        }
        is_new
    }

    /// How many virtual clusters there are, each counted as often as it has names of its own.
    pub fn count(&self) -> usize {
        self.0.values().map(HashMap::len).sum()
    }

    /// The place and the door behind a name.
    ///
    /// Shape: a look-up, however many there are; no two forms read the same name.
    pub fn find(&self, name: &str) -> Option<(usize, Door)> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let (door, rest) = match name.strip_prefix("broker-") {
            Some(rest) => {
                let digits = rest.find(|c: char| !c.is_ascii_digit())?;
                (Door::Broker(node(&rest[..digits])?), &rest[digits..])
            }
            None => (Door::Bootstrap, name.strip_prefix("bootstrap")?),
        };
        let (form, base) = match rest.split_at_checked(1)? {
            (".", base) => (NameForm::PerClusterSuffix, base),
            ("-", base) => (NameForm::SharedSuffix, base),
            _ => return None,
        };
        Some((*self.0.get(&form)?.get(base)?, door))
    }
}

/// A broker's id as names have it: without a sign, and without zeros before it.
fn node(digits: &str) -> Option<i32> {
    let node = digits.parse().ok()?;
    (digits == "0" || !digits.starts_with('0')).then_some(node)
}

/// Source: RFC 1035 section 2.3.4.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::NameForm::{PerClusterSuffix, SharedSuffix};
    use super::*;

    fn names() -> ServerNames {
        let mut names = ServerNames::default();
        for (place, (form, label, suffix)) in [
            (PerClusterSuffix, "team", ".gw.example"),
            (SharedSuffix, "team", ".gw.example"),
            (SharedSuffix, "1-team", ".gw.example"),
            (PerClusterSuffix, "other", "-gw.example"),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(names.lead(&BrokerNames::new(form, label, suffix).unwrap(), place));
        }
        names
    }

    #[test]
    fn a_name_leads_to_one_cluster_and_one_door() {
        let names = names();
        for (name, expected) in [
            ("bootstrap.team.gw.example", Some((0, Door::Bootstrap))),
            ("BROKER-7.Team.gw.example", Some((0, Door::Broker(7)))),
            ("bootstrap-team.gw.example", Some((1, Door::Bootstrap))),
            ("broker-0-team.gw.example", Some((1, Door::Broker(0)))),
            ("broker-2147483647-team.gw.example", Some((1, Door::Broker(i32::MAX)))),
            ("broker-0-1-team.gw.example", Some((2, Door::Broker(0)))),
            ("bootstrap-1-team.gw.example", Some((2, Door::Bootstrap))),
            ("broker-3.other-gw.example", Some((3, Door::Broker(3)))),
            // Nobody's.
            ("team.gw.example", None),
            ("bootstrap.third.gw.example", None),
            ("x.bootstrap.team.gw.example", None),
            ("broker-.team.gw.example", None),
            ("broker-01.team.gw.example", None),
            ("broker--1.team.gw.example", None),
            ("broker-+1.team.gw.example", None),
            ("broker-2147483648.team.gw.example", None),
            ("broker-1", None),
            ("bootstrap", None),
            ("bootstrapéteam.gw.example", None),
            ("", None),
        ] {
            assert_eq!(names.find(name), expected, "{name}");
        }
    }

    #[test]
    fn every_name_that_clients_are_told_leads_back() {
        let mut found = ServerNames::default();
        for (place, form) in [PerClusterSuffix, SharedSuffix].into_iter().enumerate() {
            let names = BrokerNames::new(form, "team", ".gw.example").unwrap();
            assert!(found.lead(&names, place) && !found.lead(&names, 9));
            assert_eq!(found.find(&names.bootstrap()), Some((place, Door::Bootstrap)));
            for node in [0, 1, 10, i32::MAX] {
                assert_eq!(found.find(&names.broker(node)), Some((place, Door::Broker(node))));
            }
        }
    }

    #[test]
    fn labels_and_suffixes_that_are_the_same_together_are_the_same() {
        let mut names = names();
        let again = BrokerNames::new(PerClusterSuffix, "other-gw", ".example").unwrap();
        assert!(!names.lead(&again, 9));
    }

    #[test]
    fn a_name_that_dns_does_not_take_is_none() {
        let check = |form, label: usize, suffix: usize, good: bool| {
            let suffix = format!(".{}", "x.".repeat(suffix / 2));
            let suffix = suffix.trim_end_matches('.');
            let names = BrokerNames::new(form, &"l".repeat(label), suffix);
            assert_eq!(names.is_ok(), good, "{label} {}", suffix.len());
        };
        check(PerClusterSuffix, 63, 0, true);
        check(SharedSuffix, 45, 0, true);
        check(SharedSuffix, 46, 0, false);
        check(PerClusterSuffix, 63, 170, true);
        check(PerClusterSuffix, 63, 174, false);
    }
}
