//! What an ACL speaks of, on both sides: one name, all that begin alike, or every one there is.

use kafka_protocol::protocol::StrBytes;

use super::namespace::{INTERNAL_TOPICS, Mode, Namespace};
use super::{Backend, Kind, Virtual};

/// The resources of one kind of which an ACL speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The one of this name; `*` is every one.
    Literal(StrBytes),
    /// Those whose names begin so.
    Prefixed(StrBytes),
}

/// Why a pattern stands for nothing of this virtual cluster that its clients could change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPattern {
    /// No such name can be in the namespace.
    Outside,
    /// An additional name is managed on the backend.
    Additional,
}

impl Namespace {
    /// The pattern on the backend that stands for the same resources and no others.
    ///
    /// Shape: every name of a client is every name behind the hidden prefix. Where clients write the
    /// prefix themselves, a pattern must begin with it.
    pub fn pattern_to_backend(
        &self,
        kind: Kind,
        pattern: &Virtual<Pattern>,
    ) -> Result<Backend<Pattern>, InvalidPattern> {
        let there = match (pattern.as_ref(), self.mode()) {
            (Pattern::Literal(name), Mode::HidePrefix) if name.as_str() == EVERY => {
                Pattern::Prefixed(StrBytes::from_string(self.prefix().to_owned()))
            }
            (Pattern::Literal(name), _) if self.is_additional(kind, name) => {
                return Err(InvalidPattern::Additional);
            }
            (Pattern::Literal(name), _) => {
                let name = self.to_backend(kind, &Virtual::said_by_client(name.clone()));
                Pattern::Literal(name.ok_or(InvalidPattern::Outside)?.into_inner())
            }
            (Pattern::Prefixed(start), Mode::HidePrefix) if !start.is_empty() => {
                Pattern::Prefixed(StrBytes::from_string(format!("{}{}", self.prefix(), start.as_str())))
            }
            (Pattern::Prefixed(start), Mode::EnforcePrefix) if start.starts_with(self.prefix()) => {
                Pattern::Prefixed(start.clone())
            }
            (Pattern::Prefixed(_), _) => return Err(InvalidPattern::Outside),
        };
        if reaches_internal_topics(kind, &there) {
            return Err(InvalidPattern::Outside);
        }
        Ok(Backend::meant_for_broker(there))
    }

    /// What clients are told of a pattern on the backend; `None` where it is not this tenant's alone.
    pub fn pattern_to_virtual(&self, kind: Kind, pattern: &Backend<Pattern>) -> Option<Virtual<Pattern>> {
        let shown = match (pattern.as_ref(), self.mode()) {
            (Pattern::Literal(name), _) => {
                let name = self.to_virtual(kind, &Backend::said_by_broker(name.clone()))?.into_inner();
                if name.as_str() == EVERY {
                    return None; // it would look like every name, and is that of one
                }
                Pattern::Literal(name)
            }
            (Pattern::Prefixed(start), Mode::HidePrefix) => match start.strip_prefix(self.prefix())? {
                "" => Pattern::Literal(StrBytes::from_static_str(EVERY)),
                short => Pattern::Prefixed(StrBytes::from_string(short.to_owned())),
            },
            (Pattern::Prefixed(start), Mode::EnforcePrefix) => {
                Pattern::Prefixed(Some(start).filter(|start| start.starts_with(self.prefix()))?.clone())
            }
        };
        Some(Virtual::shown_to_client(shown))
    }
}

/// Whether names that Kafka keeps for itself are among those a pattern stands for.
fn reaches_internal_topics(kind: Kind, pattern: &Pattern) -> bool {
    let Pattern::Prefixed(start) = pattern else { return false };
    kind == Kind::Topic && INTERNAL_TOPICS.iter().any(|topic| topic.starts_with(start.as_str()))
}

/// The literal name that stands for every name.
///
/// Source: `ResourcePattern.WILDCARD_RESOURCE` of the Kafka clients.
const EVERY: &str = "*";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::names::{Additional, Glob};

    fn namespace(mode: Mode, prefix: &str) -> Namespace {
        let topics = Additional::new(["extra_topic".to_owned()], [Glob::new("shared-*")]);
        Namespace::new(mode, prefix, topics, Additional::default()).unwrap()
    }

    /// `=orders` is a literal name, `^orders` the start of names.
    fn pattern(word: &str) -> Pattern {
        let name = StrBytes::from_string(word[1..].to_owned());
        if word.starts_with('=') { Pattern::Literal(name) } else { Pattern::Prefixed(name) }
    }

    fn there(namespace: &Namespace, kind: Kind, word: &str) -> Result<Pattern, InvalidPattern> {
        let asked = Virtual::said_by_client(pattern(word));
        namespace.pattern_to_backend(kind, &asked).map(Backend::into_inner)
    }

    fn back(namespace: &Namespace, kind: Kind, word: &str) -> Option<Pattern> {
        let said = Backend::said_by_broker(pattern(word));
        namespace.pattern_to_virtual(kind, &said).map(Virtual::into_inner)
    }

    /// A pattern goes there, and what went there comes back as it was.
    fn check(namespace: &Namespace, kind: Kind, word: &str, expected: Result<&str, InvalidPattern>) {
        let went = there(namespace, kind, word);
        assert_eq!(went, expected.map(pattern), "{word}");
        if let Ok(backend) = expected {
            assert_eq!(back(namespace, kind, backend), Some(pattern(word)), "{word}");
        }
    }

    #[test]
    fn a_pattern_stays_behind_the_hidden_prefix() {
        let namespace = namespace(Mode::HidePrefix, "my-");
        for kind in [Kind::Topic, Kind::Group, Kind::TransactionalId] {
            check(&namespace, kind, "=orders", Ok("=my-orders"));
            check(&namespace, kind, "^or", Ok("^my-or"));
            check(&namespace, kind, "=*", Ok("^my-"));
            check(&namespace, kind, "^*", Ok("^my-*"));
            check(&namespace, kind, "=", Err(InvalidPattern::Outside));
            check(&namespace, kind, "^", Err(InvalidPattern::Outside));
        }
        check(&namespace, Kind::Topic, "=extra_topic", Err(InvalidPattern::Additional));
        check(&namespace, Kind::Group, "=extra_topic", Ok("=my-extra_topic"));
    }

    #[test]
    fn a_pattern_begins_with_the_enforced_prefix() {
        let namespace = namespace(Mode::EnforcePrefix, "my-");
        check(&namespace, Kind::Topic, "=my-orders", Ok("=my-orders"));
        check(&namespace, Kind::Topic, "^my-", Ok("^my-"));
        for outside in ["=orders", "=*", "^m", "^", "^their-"] {
            check(&namespace, Kind::Topic, outside, Err(InvalidPattern::Outside));
        }
    }

    #[test]
    fn patterns_that_reach_others_are_not_shown() {
        for mode in [Mode::HidePrefix, Mode::EnforcePrefix] {
            let namespace = namespace(mode, "my-");
            for kind in [Kind::Topic, Kind::Group, Kind::TransactionalId] {
                for word in ["=*", "^", "^m", "^their-", "=their-orders", "^shared-", "=__consumer_offsets"] {
                    assert_eq!(back(&namespace, kind, word), None, "{word}");
                }
            }
            assert_eq!(back(&namespace, Kind::Topic, "=extra_topic"), Some(pattern("=extra_topic")));
        }
        assert_eq!(back(&namespace(Mode::HidePrefix, "my-"), Kind::Group, "=my-*"), None);
    }

    #[test]
    fn no_pattern_reaches_the_topics_that_kafka_keeps_for_itself() {
        let namespace = namespace(Mode::HidePrefix, "__");
        for word in ["=*", "^con", "=consumer_offsets"] {
            check(&namespace, Kind::Topic, word, Err(InvalidPattern::Outside));
        }
        check(&namespace, Kind::Topic, "^constant", Ok("^__constant"));
        check(&namespace, Kind::Group, "=*", Ok("^__"));
    }

    proptest! {
        #[test]
        fn two_patterns_never_meet(words in proptest::collection::vec("[=^][m*y-]{0,4}", 2), shown in any::<bool>()) {
            let mode = if shown { Mode::EnforcePrefix } else { Mode::HidePrefix };
            let namespace = namespace(mode, "my-");
            let went: Vec<_> =
                words.iter().filter_map(|word| there(&namespace, Kind::Group, word).ok()).collect();
            prop_assert!(went.len() < 2 || words[0] == words[1] || went[0] != went[1]);
        }
    }
}
