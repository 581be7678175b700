//! A client's pattern over names, confined to its namespace.
//!
//! A broker matches the whole name, in the syntax of RE2. A pattern is read alone, and what goes on
//! to the broker is written anew from what was read, so that both mean the same structure: text of the
//! client's that closed our parenthesis would reach into other tenants' names.
//! Knows no namespace but its prefix, and no message.

#[cfg(test)]
mod tests;
mod writer; // a pattern as it goes on

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{AssertionKind, Ast, RepetitionKind, RepetitionRange};

use self::writer::{Reader, SPECIAL, write_literal, written};

/// What becomes of a pattern behind a hidden prefix.
#[derive(Debug)]
pub enum Confined {
    /// The broker matches it: the prefix, and behind it what the client asked for.
    Wrapped(String),
    /// It looks at the edges of names, where a prefix would show; only here is it matched as meant.
    AtGateway(Matcher),
}

/// A pattern as it matches the names that the client knows.
#[derive(Debug)]
pub struct Matcher(Regex);

/// A pattern that RE2 does not take, or that is larger than anybody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression is not valid")]
pub struct InvalidPattern;

/// Confines a pattern to the names behind a prefix.
///
/// Limits: [`PATTERN_BYTES_MAX`], [`COMPILED_BYTES_MAX`].
/// Source: KIP-848, KIP-1152: RE2, and the whole name must match.
pub fn confined(pattern: &str, prefix: &str) -> Result<Confined, InvalidPattern> {
    let said = read(pattern)?;
    let matcher = matcher(&said)?;
    Ok(match written(&unanchored(said), Reader::Broker) {
        Ok(inner) => Confined::Wrapped(wrapped(&inner, prefix)),
        Err(InvalidPattern) => Confined::AtGateway(matcher),
    })
}

/// A pattern over names that are the same on both sides, where no prefix could confine it.
pub fn compiled(pattern: &str) -> Result<Matcher, InvalidPattern> {
    matcher(&read(pattern)?)
}

/// The pattern of all names behind a prefix.
pub fn everything(prefix: &str) -> String {
    wrapped("(?s:.*)", prefix)
}

/// The client's pattern in one of ours; `None` for every other.
///
/// Shape: says the same as what the client wrote, and mostly in the same words.
pub fn unwrapped(pattern: &str, prefix: &str) -> Option<String> {
    let inner = pattern.strip_prefix(&wrapping(prefix))?.strip_suffix(')')?;
    let again = written(&read(inner).ok()?, Reader::Broker).ok()?;
    (again == inner).then_some(again)
}

impl Matcher {
    /// Whether the whole name is what the pattern says.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name.as_bytes())
    }
}

fn wrapped(inner: &str, prefix: &str) -> String {
    format!("{}{inner})", wrapping(prefix))
}

fn wrapping(prefix: &str) -> String {
    let mut text = String::new();
    prefix.chars().for_each(|c| write_literal(c, SPECIAL, &mut text));
    text + "(?:"
}

fn matcher(said: &Ast) -> Result<Matcher, InvalidPattern> {
    let inner = written(said, Reader::Gateway)?;
    let compiled = RegexBuilder::new(&format!(r"\A(?:{inner})\z")).size_limit(COMPILED_BYTES_MAX).build();
    compiled.map(Matcher).map_err(|_| InvalidPattern)
}

fn read(pattern: &str) -> Result<Ast, InvalidPattern> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(InvalidPattern);
    }
    let mut parser = ParserBuilder::new().nest_limit(DEPTH_MAX).build();
    let said = parser.parse(&in_rusts_words(pattern)).map_err(|_| InvalidPattern)?;
    if written_out(&said) > WRITTEN_OUT_MAX { Err(InvalidPattern) } else { Ok(said) }
}

/// How many pieces RE2/J makes of a pattern: it writes each repetition out, those of nothing too.
fn written_out(said: &Ast) -> u64 {
    match said {
        Ast::Repetition(repetition) => {
            let times = match &repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(count)) => u64::from(*count),
                RepetitionKind::Range(RepetitionRange::AtLeast(least)) => u64::from(*least) + 1,
                RepetitionKind::Range(RepetitionRange::Bounded(_, most)) => u64::from(*most),
                _ => 1,
            };
            times.max(1).saturating_mul(written_out(&repetition.ast)).saturating_add(1)
        }
        Ast::Group(group) => written_out(&group.ast).saturating_add(2),
        Ast::Concat(concat) => concat.asts.iter().map(written_out).fold(1, u64::saturating_add),
        Ast::Alternation(either) => either.asts.iter().map(written_out).fold(1, u64::saturating_add),
        _ => 1,
    }
}

/// What RE2 reads differently, as the parser reads the same: quotations, braces that repeat nothing,
/// and what stands between brackets.
fn in_rusts_words(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        rest = match c {
            '\\' if behind.starts_with('Q') => {
                let quoted = &behind[1..];
                let (literal, behind) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                literal.chars().for_each(|c| write_literal(c, SPECIAL, &mut out));
                behind
            }
            '\\' => escape(behind, &mut out),
            '[' => class(behind, &mut out),
            '{' => {
                out.push_str(if repeats(behind) { "{" } else { "\\{" });
                behind
            }
            _ => {
                out.push(c);
                behind
            }
        };
    }
    out
}

/// Takes what stands behind a backslash over as it is; returns what follows it.
fn escape<'p>(behind: &'p str, out: &mut String) -> &'p str {
    out.push('\\');
    let Some(c) = behind.chars().next() else { return behind };
    out.push(c);
    let behind = &behind[c.len_utf8()..];
    // The braces of `\x{2d}` and `\p{Greek}` are none that repeat.
    match (c, behind.find('}')) {
        ('x' | 'p' | 'P', Some(end)) if behind.starts_with('{') => {
            out.push_str(&behind[..=end]);
            &behind[end + 1..]
        }
        _ => behind,
    }
}

/// Takes a bracketed class over, in which RE2 knows no class but the named; returns what follows it.
fn class<'p>(behind: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let mut rest = behind;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    if let Some(behind) = rest.strip_prefix(']') {
        out.push_str("\\]");
        rest = behind;
    }
    while let Some(c) = rest.chars().next() {
        let behind = &rest[c.len_utf8()..];
        rest = match c {
            ']' => {
                out.push(']');
                return behind;
            }
            '\\' => escape(behind, out),
            '[' => match behind.strip_prefix(':').and_then(|name| name.split_once(":]")) {
                Some((name, behind)) => {
                    let _ = write!(out, "[:{name}:]");
                    behind
                }
                None => {
                    out.push_str("\\[");
                    behind
                }
            },
            _ => {
                out.push_str(if matches!(c, '&' | '~') { "\\" } else { "" });
                out.push(c);
                behind
            }
        };
    }
    rest
}

/// Whether a brace with this behind it says how often something comes: `2}`, `2,}`, `2,3}`.
fn repeats(behind: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    behind.split_once('}').is_some_and(|(inside, _)| match inside.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(inside),
    })
}

/// The pattern without the anchors that say what holds anyway: that the whole name must match.
fn unanchored(mut said: Ast) -> Ast {
    let is_start = |ast: &Ast| is_assertion(ast, &[AssertionKind::StartLine, AssertionKind::StartText]);
    let is_end = |ast: &Ast| is_assertion(ast, &[AssertionKind::EndLine, AssertionKind::EndText]);
    if is_start(&said) || is_end(&said) {
        return Ast::empty(*said.span());
    }
    if let Ast::Concat(concat) = &mut said {
        let parts = &mut concat.asts;
        if let Some(first) = parts.iter().position(|part| !matches!(part, Ast::Flags(_)))
            && is_start(&parts[first])
        {
            parts.remove(first);
        }
        if parts.last().is_some_and(is_end) {
            parts.pop();
        }
    }
    said
}

fn is_assertion(ast: &Ast, kinds: &[AssertionKind]) -> bool {
    matches!(ast, Ast::Assertion(assertion) if kinds.contains(&assertion.kind))
}

/// A list of some hundred names.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// What a broker may be made to build of a pattern is about of this size, too.
pub const COMPILED_BYTES_MAX: usize = 1 << 17;
/// A broker builds so many pieces in no time.
const WRITTEN_OUT_MAX: u64 = 20_000;
/// Parentheses in parentheses; keeps what walks through them from running out of stack.
const DEPTH_MAX: u32 = 50;
