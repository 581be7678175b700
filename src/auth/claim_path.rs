//! Where a claim stands, also inside others: `realm_access.roles`, `["http://x/y"].tenant`.

use std::fmt;

use serde_json::Value;

use super::json::Object;

/// The names that lead to a claim, from the outside in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    written: String,
    names: Vec<String>,
}

impl ClaimPath {
    /// Reads a path: names between dots, and any other name in brackets and quotes.
    ///
    /// Limits: 1 to 16 names.
    pub fn parse(text: &str) -> Result<Self, InvalidClaimPath> {
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            rest = match rest.strip_prefix('[') {
                Some(inside) => quoted(inside, &mut names)?,
                None => plain(rest, &mut names)?,
            };
            if names.len() > NAMES_MAX {
                return Err(InvalidClaimPath::TooDeep);
            }
            match rest.strip_prefix('.') {
                Some(further) => rest = further,
                None if rest.is_empty() => return Ok(Self { written: text.to_owned(), names }),
                None if rest.starts_with('[') => {}
                None => return Err(InvalidClaimPath::Character),
            }
        }
    }

    /// What stands there; a null is nothing.
    pub fn find<'c>(&self, claims: &'c Object) -> Option<&'c Value> {
        let (first, further) = self.names.split_first()?;
        let found =
            further.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))?;
        (!found.is_null()).then_some(found)
    }
}

/// A name up to the next dot or bracket.
fn plain<'t>(text: &'t str, names: &mut Vec<String>) -> Result<&'t str, InvalidClaimPath> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Err(InvalidClaimPath::Empty);
    }
    if !name.chars().all(|c| c.is_alphanumeric() || "_-:@$+".contains(c)) {
        return Err(InvalidClaimPath::Character);
    }
    names.push(name.to_owned());
    Ok(rest)
}

/// A name in quotes, of which the bracket before it is already read.
fn quoted<'t>(text: &'t str, names: &mut Vec<String>) -> Result<&'t str, InvalidClaimPath> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c)).ok_or(InvalidClaimPath::Bracket)?;
    let (name, rest) = text[1..].split_once(quote).ok_or(InvalidClaimPath::Bracket)?;
    if name.is_empty() {
        return Err(InvalidClaimPath::Empty);
    }
    names.push(name.to_owned());
    rest.strip_prefix(']').ok_or(InvalidClaimPath::Bracket)
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Why a text leads to no claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClaimPath {
    #[error("a claim has a name")]
    Empty,
    #[error(
        "a name with other characters than letters, digits and _-:@$+ stands in brackets and quotes: [\"http://x/y\"]"
    )]
    Character,
    #[error("a bracket holds a name in quotes, and is closed: [\"http://x/y\"]")]
    Bracket,
    #[error("a claim stands at most {NAMES_MAX} deep")]
    TooDeep,
}

const NAMES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_leads_through_claims_by_dots_and_brackets() {
        let claims = json!({
            "sub": "alice", "realm_access": {"roles": ["a"], "none": null}, "http://x.y/z": {"t.u": 5}, "a.b": "dotted",
            "cognito:groups": ["g"], "flat": "text",
        });
        let check = |path: &str, expected: Option<Value>| {
            let found = ClaimPath::parse(path).unwrap_or_else(|why| panic!("{path}: {why}"));
            assert_eq!(
                (found.find(claims.as_object().unwrap()), found.to_string()),
                (expected.as_ref(), path.to_owned())
            );
        };
        check("sub", Some(json!("alice")));
        check("realm_access.roles", Some(json!(["a"])));
        check("realm_access['roles']", Some(json!(["a"])));
        check("[\"realm_access\"].roles", Some(json!(["a"])));
        check("['http://x.y/z']['t.u']", Some(json!(5)));
        check("[\"a.b\"]", Some(json!("dotted")));
        check("cognito:groups", Some(json!(["g"])));
        for absent in ["a.b", "flat.text", "realm_access.none", "realm_access.roles.a", "gone", "Sub"] {
            check(absent, None);
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        let deep = vec!["a"; 17].join(".");
        for (text, expected) in [
            ("", InvalidClaimPath::Empty),
            (".a", InvalidClaimPath::Empty),
            ("a.", InvalidClaimPath::Empty),
            ("a..b", InvalidClaimPath::Empty),
            ("['']", InvalidClaimPath::Empty),
            ("http://x/y", InvalidClaimPath::Character),
            ("a b", InvalidClaimPath::Character),
            ("['a']b", InvalidClaimPath::Character),
            ("a[0]", InvalidClaimPath::Bracket),
            ("['a", InvalidClaimPath::Bracket),
            ("['a'", InvalidClaimPath::Bracket),
            ("[a]", InvalidClaimPath::Bracket),
            ("[", InvalidClaimPath::Bracket),
            (deep.as_str(), InvalidClaimPath::TooDeep),
        ] {
            assert_eq!(ClaimPath::parse(text), Err(expected), "{text}");
        }
    }
}
