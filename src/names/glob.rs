//! Patterns over names: `*` stands for any run of characters, `?` for exactly one.

/// A pattern over names, matched as a whole.
///
/// Limits: linear in the name for each star; no nesting, no classes, no escapes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

impl Glob {
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is a plain name: no star, no question mark.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut retry: Option<(usize, usize)> = None; // the last star, and where its run ends so far
        loop {
            match pattern.get(p) {
                Some(b'*') => {
                    retry = Some((p + 1, n));
                    p += 1;
                }
                Some(b'?') if n < name.len() => {
                    p += 1;
                    n = next_char(name, n);
                }
                Some(&byte) if byte != b'?' && name.get(n) == Some(&byte) => {
                    p += 1;
                    n += 1;
                }
                None if n == name.len() => return true,
                _ => match retry {
                    Some((after_star, run_end)) if run_end < name.len() => {
                        let run_end = next_char(name, run_end);
                        retry = Some((after_star, run_end));
                        p = after_star;
                        n = run_end;
                    }
                    _ => return false,
                },
            }
        }
    }

    /// Whether some name that begins with `prefix` matches: the question by which walls are checked.
    pub fn can_match_beginning(&self, prefix: &str) -> bool {
        let (pattern, prefix) = (self.0.as_bytes(), prefix.as_bytes());
        for (i, wanted) in prefix.iter().enumerate() {
            match pattern.get(i) {
                Some(b'*') => return true,
                Some(b'?') => {}
                Some(byte) if byte == wanted => {}
                _ => return false,
            }
        }
        true
    }
}

impl std::fmt::Debug for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// The start of the character after the one that starts at `at`; names are UTF-8.
fn next_char(name: &[u8], at: usize) -> usize {
    let mut next = at + 1;
    while next < name.len() && name[next] & 0b1100_0000 == 0b1000_0000 {
        next += 1;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, expected) in [
            ("orders", "orders", true),
            ("orders", "orders-2", false),
            ("orders*", "orders-2", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*a*b*", "xxaxxbxx", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("?", "", false),
            ("*?", "é", true),
            ("a**b", "ab", true),
            ("*ab", "aab", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!Glob::new(&pattern).matches(&"a".repeat(5_000)));
    }

    #[test]
    fn a_pattern_that_reaches_behind_a_prefix_is_found() {
        for (pattern, prefix, expected) in [
            ("*", "team-", true),
            ("team-a", "team-", true),
            ("te*", "team-", true),
            ("te", "team-", false),
            ("tea?-x", "team-", true),
            ("shared-*", "team-", false),
        ] {
            assert_eq!(Glob::new(pattern).can_match_beginning(prefix), expected, "{pattern} {prefix}");
        }
    }
}
