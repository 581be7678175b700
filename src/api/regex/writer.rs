//! A pattern written anew from what was read, so that nothing of the client's own text is left.

use std::fmt::Write as _;

use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, ClassUnicode,
    ClassUnicodeKind, Flag, Flags, FlagsItemKind, GroupKind, Repetition, RepetitionKind, RepetitionOp,
    RepetitionRange,
};

use super::InvalidPattern;

/// For whom a pattern is written: the engines differ in what their short words take in.
#[derive(Clone, Copy)]
pub enum Reader {
    /// RE2, behind a prefix: no assertion means there what the client meant.
    Broker,
    Gateway,
}

pub fn written(said: &Ast, reader: Reader) -> Result<String, InvalidPattern> {
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

pub fn write_literal(c: char, special: &str, out: &mut String) {
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
pub const SPECIAL: &str = r"\.+*?()|[]{}^$";
const SPECIAL_IN_CLASS: &str = r"\[]^-&~";

/// RE2's own limit.
const REPETITIONS_MAX: u32 = 1000;
