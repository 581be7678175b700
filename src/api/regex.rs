//! A client's pattern over names, confined to its namespace.
//!
//! A broker matches the whole name, in the syntax of RE2. A pattern is read alone, and what goes on
//! to the broker is written anew from what was read, so that both mean the same structure: text of the
//! client's that closed our parenthesis would reach into other tenants' names.
//! Knows no namespace but its prefix, and no message.

use std::fmt::Write as _;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, ClassUnicode,
    ClassUnicodeKind, Flag, Flags, FlagsItemKind, GroupKind, Repetition, RepetitionKind, RepetitionOp,
    RepetitionRange,
};

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

/// For whom a pattern is written: the engines differ in what their short words take in.
#[derive(Clone, Copy)]
enum Reader {
    /// RE2, behind a prefix: no assertion means there what the client meant.
    Broker,
    Gateway,
}

fn written(said: &Ast, reader: Reader) -> Result<String, InvalidPattern> {
    let mut out = String::new();
    write_ast(said, reader, &mut out)?;
    Ok(out)
}

fn write_ast(said: &Ast, reader: Reader, out: &mut String) -> Result<(), InvalidPattern> {
    match said {
        Ast::Empty(_) => {}
        Ast::Flags(set) => {
            out.push_str("(?");
            write_flags(&set.flags, out)?;
            out.push(')');
        }
        Ast::Literal(literal) => write_literal(literal.c, SPECIAL, out),
        Ast::Dot(_) => out.push('.'),
        Ast::Assertion(assertion) => match (reader, &assertion.kind) {
            (Reader::Broker, _) => return Err(InvalidPattern),
            (_, AssertionKind::StartLine) => out.push('^'),
            (_, AssertionKind::EndLine) => out.push('$'),
            (_, AssertionKind::StartText) => out.push_str(r"\A"),
            (_, AssertionKind::EndText) => out.push_str(r"\z"),
            (_, AssertionKind::WordBoundary) => out.push_str(r"(?-u:\b)"),
            (_, AssertionKind::NotWordBoundary) => out.push_str(r"(?-u:\B)"),
            _ => return Err(InvalidPattern), // RE2 has no other
        },
        Ast::ClassUnicode(class) => write_unicode(class, out)?,
        Ast::ClassPerl(class) => match reader {
            Reader::Broker => out.push_str(perl_word(class)),
            Reader::Gateway => {
                let _ = write!(out, "[{}]", perl_ranges(class));
            }
        },
        Ast::ClassBracketed(class) => {
            out.push_str(if class.negated { "[^" } else { "[" });
            let ClassSet::Item(item) = &class.kind else { return Err(InvalidPattern) };
            write_item(item, reader, out)?;
            out.push(']');
        }
        Ast::Repetition(repetition) => write_repetition(repetition, reader, out)?,
        Ast::Group(group) => {
            match &group.kind {
                GroupKind::CaptureIndex(_) | GroupKind::CaptureName { .. } => out.push('('),
                GroupKind::NonCapturing(flags) => {
                    out.push_str("(?");
                    write_flags(flags, out)?;
                    out.push(':');
                }
            }
            write_ast(&group.ast, reader, out)?;
            out.push(')');
        }
        Ast::Alternation(alternation) => {
            for (place, one) in alternation.asts.iter().enumerate() {
                out.push_str(if place > 0 { "|" } else { "" });
                write_ast(one, reader, out)?;
            }
        }
        Ast::Concat(concat) => {
            for one in &concat.asts {
                write_ast(one, reader, out)?;
            }
        }
    }
    Ok(())
}

fn write_repetition(
    Repetition { op: RepetitionOp { kind, .. }, greedy, ast, .. }: &Repetition,
    reader: Reader,
    out: &mut String,
) -> Result<(), InvalidPattern> {
    // `a**` is nothing in RE2.
    if matches!(**ast, Ast::Repetition(_) | Ast::Empty(_) | Ast::Flags(_)) {
        return Err(InvalidPattern);
    }
    write_ast(ast, reader, out)?;
    let (most, told) = match kind {
        RepetitionKind::ZeroOrOne => (1, "?".to_owned()),
        RepetitionKind::ZeroOrMore => (1, "*".to_owned()),
        RepetitionKind::OneOrMore => (1, "+".to_owned()),
        RepetitionKind::Range(RepetitionRange::Exactly(count)) => (*count, format!("{{{count}}}")),
        RepetitionKind::Range(RepetitionRange::AtLeast(least)) => (*least, format!("{{{least},}}")),
        RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => {
            (*most, format!("{{{least},{most}}}"))
        }
    };
    if most > REPETITIONS_MAX {
        return Err(InvalidPattern);
    }
    out.push_str(&told);
    out.push_str(if *greedy { "" } else { "?" });
    Ok(())
}

fn write_item(item: &ClassSetItem, reader: Reader, out: &mut String) -> Result<(), InvalidPattern> {
    match item {
        ClassSetItem::Empty(_) => {}
        ClassSetItem::Literal(literal) => write_literal(literal.c, SPECIAL_IN_CLASS, out),
        ClassSetItem::Range(range) => {
            write_literal(range.start.c, SPECIAL_IN_CLASS, out);
            out.push('-');
            write_literal(range.end.c, SPECIAL_IN_CLASS, out);
        }
        ClassSetItem::Ascii(class) => {
            let not = if class.negated { "^" } else { "" };
            let _ = write!(out, "[:{not}{}:]", ascii_word(&class.kind));
        }
        ClassSetItem::Unicode(class) => write_unicode(class, out)?,
        ClassSetItem::Perl(class) => out.push_str(match reader {
            Reader::Broker => perl_word(class),
            Reader::Gateway => perl_ranges(class),
        }),
        ClassSetItem::Bracketed(_) => return Err(InvalidPattern),
        ClassSetItem::Union(union) => {
            for item in &union.items {
                write_item(item, reader, out)?;
            }
        }
    }
    Ok(())
}

fn write_flags(flags: &Flags, out: &mut String) -> Result<(), InvalidPattern> {
    for item in &flags.items {
        out.push(match item.kind {
            FlagsItemKind::Negation => '-',
            FlagsItemKind::Flag(Flag::CaseInsensitive) => 'i',
            FlagsItemKind::Flag(Flag::MultiLine) => 'm',
            FlagsItemKind::Flag(Flag::DotMatchesNewLine) => 's',
            FlagsItemKind::Flag(Flag::SwapGreed) => 'U',
            FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                return Err(InvalidPattern);
            }
        });
    }
    Ok(())
}

fn write_unicode(class: &ClassUnicode, out: &mut String) -> Result<(), InvalidPattern> {
    let p = if class.negated { 'P' } else { 'p' };
    let name = match &class.kind {
        ClassUnicodeKind::OneLetter(letter) => letter.to_string(),
        ClassUnicodeKind::Named(name) => name.clone(),
        ClassUnicodeKind::NamedValue { .. } => return Err(InvalidPattern),
    };
    if !name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
        return Err(InvalidPattern);
    }
    let _ = write!(out, "\\{p}{{{name}}}");
    Ok(())
}

fn write_literal(c: char, special: &str, out: &mut String) {
    if c.is_control() {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
        return;
    }
    out.push_str(if special.contains(c) { "\\" } else { "" });
    out.push(c);
}

/// RE2's short words are of ASCII alone, and its spaces have no vertical tab.
fn perl_ranges(class: &ClassPerl) -> &'static str {
    match (&class.kind, class.negated) {
        (ClassPerlKind::Digit, false) => r"0-9",
        (ClassPerlKind::Digit, true) => r"\x{0}-/:-\x{10ffff}",
        (ClassPerlKind::Space, false) => r"\x{9}\x{a}\x{c}\x{d}\x{20}",
        (ClassPerlKind::Space, true) => r"\x{0}-\x{8}\x{b}\x{e}-\x{1f}!-\x{10ffff}",
        (ClassPerlKind::Word, false) => r"0-9A-Z_a-z",
        (ClassPerlKind::Word, true) => r"\x{0}-/:-@\[-\^`\{-\x{10ffff}",
    }
}

fn perl_word(class: &ClassPerl) -> &'static str {
    match (&class.kind, class.negated) {
        (ClassPerlKind::Digit, false) => r"\d",
        (ClassPerlKind::Digit, true) => r"\D",
        (ClassPerlKind::Space, false) => r"\s",
        (ClassPerlKind::Space, true) => r"\S",
        (ClassPerlKind::Word, false) => r"\w",
        (ClassPerlKind::Word, true) => r"\W",
    }
}

fn ascii_word(kind: &ClassAsciiKind) -> &'static str {
    match kind {
        ClassAsciiKind::Alnum => "alnum",
        ClassAsciiKind::Alpha => "alpha",
        ClassAsciiKind::Ascii => "ascii",
        ClassAsciiKind::Blank => "blank",
        ClassAsciiKind::Cntrl => "cntrl",
        ClassAsciiKind::Digit => "digit",
        ClassAsciiKind::Graph => "graph",
        ClassAsciiKind::Lower => "lower",
        ClassAsciiKind::Print => "print",
        ClassAsciiKind::Punct => "punct",
        ClassAsciiKind::Space => "space",
        ClassAsciiKind::Upper => "upper",
        ClassAsciiKind::Word => "word",
        ClassAsciiKind::Xdigit => "xdigit",
    }
}

/// What stands for itself only behind a backslash.
const SPECIAL: &str = r"\.+*?()|[]{}^$";
const SPECIAL_IN_CLASS: &str = r"\[]^-&~";

/// A list of some hundred names.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// What a broker may be made to build of a pattern is about of this size, too.
pub const COMPILED_BYTES_MAX: usize = 1 << 17;
/// A broker builds so many pieces in no time.
const WRITTEN_OUT_MAX: u64 = 20_000;
/// RE2's own limit.
const REPETITIONS_MAX: u32 = 1000;
/// Parentheses in parentheses; keeps what walks through them from running out of stack.
const DEPTH_MAX: u32 = 50;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PREFIX: &str = "team.a-";

    /// What a pattern becomes behind the prefix: what goes on, or nothing where it is matched here.
    fn check(pattern: &str, expected: Result<Option<&str>, InvalidPattern>) {
        let seen = confined(pattern, PREFIX).map(|confined| match confined {
            Confined::Wrapped(text) => Some(text),
            Confined::AtGateway(_) => None,
        });
        assert_eq!(seen.as_ref().map(Option::as_deref), expected.as_ref().copied(), "{pattern:?}");
    }

    /// What goes on of a pattern that a broker can match.
    fn check_wrapped(pattern: &str, inner: &str) {
        check(pattern, Ok(Some(&format!(r"team\.a-(?:{inner})"))));
    }

    const INVALID: Result<Option<&str>, InvalidPattern> = Err(InvalidPattern);

    #[test]
    fn what_a_broker_would_write_out_a_billion_times_is_no_pattern() {
        for pattern in ["(?:(?:(?:){1000}){1000}){1000}", "((a?){200}){200}", "(?:(?:()|()|()){1000}){100}"] {
            assert_eq!(confined(pattern, "my-").map(drop), Err(InvalidPattern), "{pattern}");
            assert_eq!(compiled(pattern).map(drop), Err(InvalidPattern), "{pattern}");
        }
        assert!(confined("(?:[a-z]{1,5}){10}", "my-").is_ok());
    }

    #[test]
    fn hazard_19_a_pattern_that_closes_our_parenthesis_is_none() {
        for pattern in [
            "a)|(.*",
            ")",
            "(",
            "a)|(?:b",
            r"a\\)|(.*",
            "[a",
            r"a\",
            "*",
            "a**",
            "(?x)a # )|(.*\n",
            "(?i",
            "a|)|(b",
        ] {
            check(pattern, INVALID);
        }
    }

    #[test]
    fn hazard_19_every_branch_of_a_pattern_stays_behind_the_prefix() {
        check_wrapped("x|.*", "x|.*");
        check_wrapped("", "");
        check_wrapped("(a|b)?-[0-9]+", "(a|b)?-[0-9]+");
        check_wrapped("(?i)orders", "(?i)orders");
    }

    // To the parser of another engine brackets in brackets are a class of their own, and so what
    // follows the first `]` is inside; to RE2 it is outside.
    #[test]
    fn hazard_19_what_brackets_hold_is_what_the_broker_takes_them_to_hold() {
        check("[a[b])|(.*|x]", INVALID);
        check("[a&&[b])|(.*|x]]", INVALID);
        check_wrapped("[a[b]", r"[a\[b]");
        check_wrapped("[a&&b~-]", r"[a\&\&b\~\-]");
        check_wrapped("[]a]", r"[\]a]");
        check_wrapped("[^]a]", r"[^\]a]");
        check_wrapped("[[:alpha:]_[:^digit:]]", "[[:alpha:]_[:^digit:]]");
        check("[[:letter:]]", INVALID);
        check("[a--b]", INVALID);
    }

    #[test]
    fn what_is_quoted_stands_for_itself() {
        check_wrapped(r"\Qa)|(.*\E", r"a\)\|\(\.\*");
        check_wrapped(r"\Qa)|(.*", r"a\)\|\(\.\*");
        check_wrapped(r"\Qa.b\E.*", r"a\.b.*");
        check(r"\\Qa)|(.*\E", INVALID);
        check_wrapped(r"\\Qa", r"\\Qa");
        check_wrapped(r"a\x{2e}b\t", r"a\.b\x{9}");
    }

    #[test]
    fn anchors_at_the_ends_say_what_holds_anyway() {
        for pattern in ["^orders$", r"\Aorders\z", "orders$", "^orders", "orders"] {
            check_wrapped(pattern, "orders");
        }
        check_wrapped("(?i)^orders$", "(?i)orders");
        check_wrapped("^", "");
    }

    #[test]
    fn what_would_see_the_prefix_is_matched_here() {
        for (pattern, matching, other) in [
            (r"\borders", "orders", "xorders"),
            ("^a|b", "a", "ab"),
            ("(^a)b", "ab", "a"),
            (r"a\B.", "ab", "a-"),
            ("a$b|c", "c", "ab"),
        ] {
            check(pattern, Ok(None));
            let Ok(Confined::AtGateway(matcher)) = confined(pattern, PREFIX) else { unreachable!() };
            assert!(matcher.matches(matching) && !matcher.matches(other), "{pattern:?}");
        }
    }

    #[test]
    fn what_re2_does_not_know_is_no_pattern() {
        for pattern in
            ["a{1001}", "(?x)a", "(?u)a", "(?R)a", r"(a)\1", "(?=a)", r"\Z", r"\<a", r"\p{sc=Greek}"]
        {
            check(pattern, INVALID);
        }
        for (pattern, inner) in [
            ("a{2,}b{1,3}?", "a{2,}b{1,3}?"),
            ("{", r"\{"),
            ("a{1", r"a\{1"),
            ("a{,2}", r"a\{,2\}"),
            (r"\pL\P{Greek}", r"\p{L}\P{Greek}"),
            ("(?<name>a)(?P<other>b)", "(a)(b)"),
            (r"\d\W[\s]", r"\d\W[\s]"),
        ] {
            check_wrapped(pattern, inner);
        }
    }

    #[test]
    fn a_pattern_has_a_size() {
        check(&"a".repeat(PATTERN_BYTES_MAX + 1), INVALID);
        check("((a{1000}){1000}){1000}", INVALID);
        check(&format!("{}a{}", "(".repeat(60), ")".repeat(60)), INVALID);
        assert!(confined(&"a|".repeat(PATTERN_BYTES_MAX / 2), PREFIX).is_ok());
    }

    fn check_matches(pattern: &str, matching: &[&str], others: &[&str]) {
        let matcher = compiled(pattern).unwrap();
        for name in matching {
            assert!(matcher.matches(name), "{pattern:?} {name:?}");
        }
        for name in others {
            assert!(!matcher.matches(name), "{pattern:?} {name:?}");
        }
    }

    #[test]
    fn the_whole_name_is_matched_as_the_broker_would() {
        check_matches("a|b", &["a", "b"], &["ab", "xa", ""]);
        check_matches(r"\d+", &["7"], &["\u{663}"]);
        check_matches(r"\w", &["a", "_"], &["\u{e9}"]);
        check_matches(r"[^\w]", &["\u{e9}", "-"], &["a"]);
        check_matches(r"\s\S\D\W", &["\ta\u{e9}-"], &["\u{b}aa-", "\taa_"]);
        check_matches(r"[\S][\D]", &["ab"], &[" b", "a1"]);
        check_matches("a.c", &["a\u{e9}c"], &["a\nc"]);
        check_matches("(?s)a.c", &["a\nc"], &[]);
        check_matches("(?i)mover-.*", &["MOVER-1"], &[]);
        check_matches("a$", &["a"], &["a\n"]);
    }

    #[test]
    fn a_client_is_shown_its_pattern_and_nobody_elses() {
        for pattern in ["orders-.*", "a|b", "", r"\d+[a-z_]\."] {
            let Ok(Confined::Wrapped(wrapped)) = confined(pattern, PREFIX) else { panic!("{pattern:?}") };
            assert_eq!(unwrapped(&wrapped, PREFIX).as_deref(), Some(pattern));
            assert_eq!(unwrapped(&wrapped, "team.b-"), None);
        }
        for foreign in [
            "orders",
            "team.a-(?:a)",
            r"team\.a-(?:a)|(?:b)",
            r"team\.a-(?:a",
            r"team\.a-a",
            r"xteam\.a-(?:a)",
        ] {
            assert_eq!(unwrapped(foreign, PREFIX), None, "{foreign:?}");
        }
    }

    #[test]
    fn all_names_behind_a_prefix_are_one_pattern() {
        check_matches(&everything(PREFIX), &["team.a-", "team.a-x", "team.a-x\n)y"], &["team-a-x", "team.a"]);
    }

    proptest! {
        /// Whatever a client writes, what goes on matches no name outside the prefix.
        #[test]
        fn no_pattern_reaches_another_tenants_names(pattern in r"[ab)(|\[\].*?{}^$\\QEx1,:&-]{0,16}") {
            if let Ok(Confined::Wrapped(wrapped)) = confined(&pattern, PREFIX) {
                let matcher = compiled(&wrapped).expect("what goes on is a pattern");
                for name in ["", "a", "b", "ab", "x", "1", "team.b-a", "xteam.a-a", "team-a-a"] {
                    prop_assert!(!matcher.matches(name), "{} {}", wrapped, name);
                }
                prop_assert_eq!(unwrapped(&wrapped, PREFIX).is_some(), true);
            }
        }

        #[test]
        fn what_goes_on_matches_what_the_client_meant(
            pattern in r"(a|b|-|\.|\||\(a\)|\[ab\]|\*|\\d){0,8}",
            name in "[ab1-]{0,5}",
        ) {
            if let Ok(Confined::Wrapped(wrapped)) = confined(&pattern, PREFIX) {
                let full = format!("{PREFIX}{name}");
                let meant = compiled(&pattern).unwrap().matches(&name);
                prop_assert_eq!(compiled(&wrapped).unwrap().matches(&full), meant);
            }
        }
    }
}
