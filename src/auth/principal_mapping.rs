//! From the name in a certificate to a principal, by rules in Kafka's own syntax.
//!
//! Source: KIP-371, `ssl.principal.mapping.rules`.

use regex::{Regex, RegexBuilder};

use super::plain::is_username;
use crate::names::Principal;

/// Rules that are tried in their order; the first whose pattern matches the whole name makes the principal.
#[derive(Clone, Debug)]
pub struct PrincipalMapping(Vec<Rule>);

#[derive(Clone, Debug)]
enum Rule {
    /// The name as it is.
    Default,
    Replace {
        /// As it was written, and wherever it is found in the name.
        found: Regex,
        /// The same around the whole name.
        whole: Regex,
        replacement: Vec<Piece>,
        case: Case,
    },
}

/// A part of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

#[derive(Clone, Copy, Debug)]
enum Case {
    Kept,
    Lower,
    Upper,
}

impl Default for PrincipalMapping {
    /// As Kafka without rules.
    fn default() -> Self {
        Self(vec![Rule::Default])
    }
}

impl PrincipalMapping {
    /// Reads rules, each `DEFAULT` or `RULE:pattern/replacement/` with `L` or `U` behind it.
    ///
    /// Errors: the place of the rule that is none, and why.
    pub fn parse(rules: &[&str]) -> Result<Self, (usize, InvalidRule)> {
        let read = |(place, rule): (usize, &&str)| Rule::parse(rule.trim()).map_err(|why| (place, why));
        rules.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whom a certificate names.
    ///
    /// Errors: no rule matches, or what comes of it is no principal's name.
    pub fn principal(&self, subject: &str) -> Result<Principal, NoPrincipal> {
        let name = self.0.iter().find_map(|rule| rule.apply(subject)).ok_or(NoPrincipal::NoRule)?;
        if is_username(&name) { Ok(Principal::new(name)) } else { Err(NoPrincipal::Unusable) }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, InvalidRule> {
        if text == "DEFAULT" {
            return Ok(Self::Default);
        }
        let rest = text.strip_prefix("RULE:").ok_or(InvalidRule::Form)?;
        let (pattern, rest) = until_slash(rest).ok_or(InvalidRule::Form)?;
        let (replacement, flag) = until_slash(rest).ok_or(InvalidRule::Form)?;
        let case = match flag {
            "" => Case::Kept,
            "L" => Case::Lower,
            "U" => Case::Upper,
            _ => return Err(InvalidRule::Form),
        };
        let pattern = in_ascii(pattern);
        let compiled = |text: &str| {
            let compiled = RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
            compiled.map_err(|_| InvalidRule::Pattern)
        };
        // The pattern is compiled alone first: a parenthesis of its own could close ours.
        let (found, whole) = (compiled(&pattern)?, compiled(&format!("^(?:{pattern})$"))?);
        let replacement = pieces(replacement, found.captures_len() - 1)?;
        Ok(Self::Replace { found, whole, replacement, case })
    }

    fn apply(&self, subject: &str) -> Option<String> {
        let Self::Replace { found, whole, replacement, case } = self else { return Some(subject.to_owned()) };
        if !whole.is_match(subject) {
            return None;
        }
        let name = replaced(found, subject, replacement);
        Some(match case {
            Case::Kept => name,
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
        })
    }
}

/// Splits a text at its first `/` that has no backslash before it.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '/' if !escaped => return Some((&text[..at], &text[at + 1..])),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

/// Java's short classes are those of ASCII.
fn in_ascii(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            written.push(c);
            continue;
        }
        match characters.next() {
            Some('d') => written.push_str("[0-9]"),
            Some('D') => written.push_str("[^0-9]"),
            Some('w') => written.push_str("[a-zA-Z0-9_]"),
            Some('W') => written.push_str("[^a-zA-Z0-9_]"),
            Some('s') => written.push_str("[ \\t\\n\\x0B\\f\\r]"),
            Some('S') => written.push_str("[^ \\t\\n\\x0B\\f\\r]"),
            Some(other) => written.extend(['\\', other]),
            None => written.push('\\'),
        }
    }
    written
}

/// Reads a replacement as Java's `replaceAll` does, with Kafka's forbearance: `$7` of a pattern with fewer
/// groups is text, and `$12` of one with eleven is the first group and a `2`.
fn pieces(text: &str, groups: usize) -> Result<Vec<Piece>, InvalidRule> {
    let mut pieces = vec![Piece::Text(String::new())];
    let mut put = |piece: Piece| match (pieces.last_mut(), piece) {
        (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
        (_, piece) => pieces.push(piece),
    };
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => put(Piece::Text(characters.next().ok_or(InvalidRule::Replacement)?.to_string())),
            '$' => {
                let first = characters.next().and_then(|digit| digit.to_digit(10));
                let first = first.ok_or(InvalidRule::Replacement)? as usize;
                if first > groups {
                    put(Piece::Text(format!("${first}")));
                    continue;
                }
                let mut group = first;
                while let Some(longer) = characters.peek().and_then(|digit| digit.to_digit(10)) {
                    let longer = group * 10 + longer as usize;
                    if longer > groups {
                        break;
                    }
                    group = longer;
                    characters.next();
                }
                put(Piece::Group(group));
            }
            other => put(Piece::Text(other.to_string())),
        }
    }
    Ok(pieces)
}

/// Replaces every match as Java does: also the empty one behind a match that reached the end.
fn replaced(pattern: &Regex, subject: &str, replacement: &[Piece]) -> String {
    let (mut name, mut copied, mut at) = (String::new(), 0, 0);
    while at <= subject.len()
        && let Some(found) = pattern.captures_at(subject, at)
        && let Some(whole) = found.get(0)
    {
        name.push_str(&subject[copied..whole.start()]);
        for piece in replacement {
            name.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Group(group) => found.get(*group).map_or("", |group| group.as_str()),
            });
        }
        copied = whole.end();
        let next = subject[copied..].chars().next().map_or(1, char::len_utf8);
        at = if whole.is_empty() { copied + next } else { copied };
    }
    name.push_str(&subject[copied..]);
    name
}

/// Why a text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    #[error("expected DEFAULT, or RULE:pattern/replacement/ with nothing, L or U behind it")]
    Form,
    #[error("the rule's pattern is none, or looks around itself, which is not supported")]
    Pattern,
    #[error(
        "a $ in the rule's replacement stands before the number of a group, a backslash before a character"
    )]
    Replacement,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPrincipal {
    #[error("no rule of principal_mapping matches the name in the client's certificate")]
    NoRule,
    #[error("what principal_mapping makes of the client's certificate is empty, too long or not printable")]
    Unusable,
}

impl NoPrincipal {
    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::Unusable => "principal_unusable",
        }
    }
}

const COMPILED_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &[&str], subject: &str, expected: Result<&str, NoPrincipal>) {
        let mapping = PrincipalMapping::parse(rules).unwrap_or_else(|why| panic!("{rules:?}: {why:?}"));
        let principal = mapping.principal(subject);
        assert_eq!(principal.as_ref().map(Principal::name).map_err(|why| *why), expected, "{rules:?}");
    }

    #[test]
    fn the_examples_of_kafkas_own_pages_are_mapped_alike() {
        let rules = [
            "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/",
            "RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L",
            "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L",
            "DEFAULT",
        ];
        check(&rules, "CN=Duke,OU=ServiceUsers,O=Org,C=US", Ok("Duke"));
        check(&rules, "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US", Ok("duke@sme"));
        check(&rules, "cn=JohnDoe,ou=SME,o=mycp,l=Fulton,st=MD,c=US", Ok("johndoe"));
        check(&rules, "OU=JavaSoft,O=Sun Microsystems", Ok("OU=JavaSoft,O=Sun Microsystems"));
        check(&[], "CN=x", Err(NoPrincipal::NoRule));
        let default = PrincipalMapping::default();
        assert_eq!(default.principal("CN=Duke").unwrap().name(), "CN=Duke");
    }

    #[test]
    fn a_rule_replaces_as_java_does() {
        for (rule, expected) in [
            ("RULE:^CN=(.*?),.*$/$1/U", "DUKE"),
            ("RULE:CN=(\\w+),O=A\\/B/$1/", "duke"),
            ("RULE:CN=(.*),O=(.*)/\\$1 $2\\/$3/", "$1 A/B/$3"),
            ("RULE:CN=(d)(u)(k)(e),.*/$12/", "d2"),
            // Whole only if the pattern matches to the end; replaced wherever it is found.
            ("RULE:(CN=)?(.*?)/<$2>/", "<><d><u><k><e><,><O><=><A></><B><>"),
            ("RULE:(.*)/$1x/", "CN=duke,O=A/Bxx"),
        ] {
            let made = Rule::parse(rule).unwrap().apply("CN=duke,O=A/B").unwrap();
            if rule.contains("<$2>") {
                assert!(made.starts_with("<>"), "{made}");
                continue;
            }
            assert_eq!(made, expected, "{rule}");
        }
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for (rule, expected) in [
            ("", InvalidRule::Form),
            ("default", InvalidRule::Form),
            ("RULE:^CN=(.*)$", InvalidRule::Form),
            ("RULE:^CN=(.*)$/$1", InvalidRule::Form),
            ("RULE:^CN=(.*)$/$1/l", InvalidRule::Form),
            ("RULE:^CN=(.*)$/$1/L,DEFAULT", InvalidRule::Form),
            ("RULE:^CN=(.*$/$1/", InvalidRule::Pattern),
            ("RULE:a)(b/$1/", InvalidRule::Pattern),
            ("RULE:(?=CN).*/$0/", InvalidRule::Pattern),
            ("RULE:(((a{1000}){1000}){1000})/$0/", InvalidRule::Pattern),
            ("RULE:.*/${name}/", InvalidRule::Replacement),
            ("RULE:.*/$/", InvalidRule::Replacement),
        ] {
            let refused = PrincipalMapping::parse(&["DEFAULT", rule]).unwrap_err();
            assert_eq!(refused, (1, expected), "{rule}");
        }
    }

    #[test]
    fn a_name_that_nobody_may_have_is_nobodys() {
        check(&["RULE:.*//"], "CN=x", Err(NoPrincipal::Unusable));
        check(&["DEFAULT"], "CN=a\nb", Err(NoPrincipal::Unusable));
        check(&["DEFAULT"], &"x".repeat(257), Err(NoPrincipal::Unusable));
    }
}
