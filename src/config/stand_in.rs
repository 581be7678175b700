//! `${env['NAME']}` and `${file['path']}`: texts whose content stands elsewhere; `${context…}`: texts that
//! each login fills in.
//!
//! They are put in after the file is parsed, so what they bring is text and never YAML.

use std::path::{Path, PathBuf};

use super::problem::{Place, Report};
use super::yaml::{Node, Template, Text, Value};
use crate::cluster::Piece;
use crate::names::Secret;

/// Where the content of stand-ins is found.
pub(super) struct Elsewhere<'a> {
    /// The directory of the file, from which relative paths start.
    pub directory: &'a Path,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    pub files: &'a dyn Fn(&str) -> Result<String, String>,
}

impl Elsewhere<'_> {
    /// Puts the content in place of every stand-in below this node.
    pub fn fill_in(&self, node: &mut Node, report: &mut Report) {
        match &mut node.value {
            Value::Text(text) if text.text.contains("${") => {
                // Half a text is worse than none: a broken one counts as not there, and is reported.
                match self.filled(text, node.at, report) {
                    Some(filled) => node.value = filled,
                    None => node.value = Value::Broken,
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.fill_in(item, report)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| self.fill_in(value, report)),
            _ => {}
        }
    }

    fn filled(&self, text: &Text, at: Place, report: &mut Report) -> Option<Value> {
        let written = text.text.as_str();
        let (mut filled, mut from_outside, mut whole) = (String::new(), false, true);
        let (mut pieces, mut taken) = (Vec::new(), 0);
        let mut computed: Vec<(String, usize)> = Vec::new();
        let mut rest = written;
        while let Some(start) = rest.find("${") {
            let before = &rest[..start];
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before); // `$${` says `${` and means it
                filled.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            filled.push_str(before);
            let offset = written.len() - rest.len() + start;
            let place = text.place_of(offset).unwrap_or(at);
            let (found, length) = self.one(&rest[start..]);
            match found {
                Ok(Found::Text(content)) => filled.push_str(&content),
                Ok(Found::File(path, content)) => {
                    pieces.push(Piece::Text(Secret::new(&filled[taken..])));
                    pieces.push(Piece::File(path));
                    filled.push_str(&content);
                    taken = filled.len();
                }
                Ok(Found::Expression(expression)) => computed.push((expression, filled.len())),
                Err(message) => {
                    report.error(place, message);
                    whole = false;
                }
            }
            from_outside = true;
            rest = &rest[start + length..];
        }
        filled.push_str(rest);
        if !whole {
            return None;
        }
        if !computed.is_empty() {
            return Some(Value::Template(template(&filled, computed, written)));
        }
        if !pieces.is_empty() {
            pieces.push(Piece::Text(Secret::new(&filled[taken..])));
        }
        let stands_for = from_outside.then(|| written.to_owned());
        Some(Value::Text(Text { text: filled, spelled_at: None, stands_for, pieces }))
    }

    /// What the stand-in at the start of this text brings, and how long it is.
    fn one(&self, text: &str) -> (Result<Found, String>, usize) {
        let Some(end) = end_of(text) else {
            return (
                Err("\"${\" has no \"}\"; write \"$${\" for the characters themselves".into()),
                text.len(),
            );
        };
        let inside = text[2..end].trim();
        let found = if let Some(name) = quoted(inside, "env") {
            match (self.environment)(name) {
                None => Err(format!("the environment variable {name:?} is not set")),
                Some(content) if content.is_empty() => {
                    Err(format!("the environment variable {name:?} is empty"))
                }
                Some(content) => Ok(Found::Text(content)),
            }
        } else if let Some(path) = quoted(inside, "file") {
            match (self.files)(path) {
                Err(why) => Err(format!("the file {path:?} can not be read: {why}")),
                Ok(content) => {
                    let content = content
                        .strip_suffix('\n')
                        .map_or(content.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
                    if content.is_empty() {
                        Err(format!("the file {path:?} is empty"))
                    } else {
                        Ok(Found::File(self.directory.join(path), content.to_owned()))
                    }
                }
            }
        } else if inside.contains("context.") {
            Ok(Found::Expression(inside.to_owned()))
        } else {
            Err("\"${…}\" takes env['NAME'], file['path'] or context.…; write \"$${\" for the characters themselves"
                .into())
        };
        (found, end + 1)
    }
}

/// What a stand-in brings.
enum Found {
    Text(String),
    /// All that a file holds, and which file that is.
    File(PathBuf, String),
    /// What each login brings.
    Expression(String),
}

/// Cuts a text at the places where expressions stand.
fn template(filled: &str, computed: Vec<(String, usize)>, written: &str) -> Template {
    let ends = computed.iter().skip(1).map(|(_, at)| *at).chain([filled.len()]);
    let ends: Vec<usize> = ends.collect();
    let start = computed.first().map_or(0, |(_, at)| *at);
    let parts = computed.into_iter().zip(ends);
    Template {
        start: filled[..start].to_owned(),
        computed: parts.map(|((expression, at), end)| (expression, filled[at..end].to_owned())).collect(),
        written: written.to_owned(),
    }
}

/// Where the brace is that closes a stand-in; one inside quotes does not, if they have an end.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            None if c == '}' => return Some(at),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
    }
    text.find('}')
}

/// The name in `word['name']` or `word["name"]`.
fn quoted<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let inside = text.strip_prefix(word)?.trim_start().strip_prefix('[')?.strip_suffix(']')?.trim();
    let quote = inside.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let name = inside.strip_prefix(quote)?.strip_suffix(quote)?;
    (!name.is_empty() && !name.contains(quote)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of `a`, or what is wrong with it.
    fn check(source: &str, expected: &str) {
        let mut report = Report::default();
        let mut node = Node::parse(source, &mut report).unwrap();
        let environment = |name: &str| match name {
            "HOST" => Some("kafka".to_owned()),
            "YAML" => Some("x: [\"${env['HOST']}\", *y".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let files = |path: &str| match path {
            "/secret" => Ok("hunter2\n".to_owned()),
            "empty" => Ok("\n".to_owned()),
            "two" => Ok("1\n\n".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        Elsewhere { directory: Path::new(""), environment: &environment, files: &files }
            .fill_in(&mut node, &mut report);
        let text = match &node.value {
            Value::Map(entries) => match &entries[0].1.value {
                Value::Text(text) => Some(text.text.clone()),
                _ => None,
            },
            _ => None,
        };
        match report.conclude("f", text) {
            Ok((text, _)) => assert_eq!(text, expected, "{source}"),
            Err(errors) => assert_eq!(errors.to_string(), expected, "{source}"),
        }
    }

    #[test]
    fn what_stands_elsewhere_is_put_in_as_text() {
        check("a: ${env['HOST']}", "kafka");
        check("a: ${env[\"HOST\"]}:9092,${ env['HOST'] }:9093", "kafka:9092,kafka:9093");
        check("a: ${file['/secret']}", "hunter2");
        check("a: ${file['two']}", "1\n");
        check("a: \"${env['YAML']}\"", "x: [\"${env['HOST']}\", *y");
        check("a: 'pa$${ss} $ {'", "pa${ss} $ {");
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        check("a: \"x-${env['NOPE']}\"", "f:1:7: the environment variable \"NOPE\" is not set");
        check("a: ${env['EMPTY']}", "f:1:4: the environment variable \"EMPTY\" is empty");
        check("a: ${file['gone']}", "f:1:4: the file \"gone\" can not be read: no such file");
        check("a: ${file['empty']}", "f:1:4: the file \"empty\" is empty");
        check("a: \"\\t${env['NOPE']}\"", "f:1:4: the environment variable \"NOPE\" is not set");
    }

    #[test]
    fn what_is_no_stand_in_is_an_error() {
        let takes = "\"${…}\" takes env['NAME'], file['path'] or context.…; write \"$${\" for the characters themselves";
        for wrong in ["${HOST}", "${env[HOST]}", "${env['']}", "${environment['HOST']}", "${env['a'b']}"] {
            check(&format!("a: \"{wrong}\""), &format!("f:1:5: {takes}"));
        }
        check("a: x${env", "f:1:5: \"${\" has no \"}\"; write \"$${\" for the characters themselves");
    }

    #[test]
    fn what_a_login_brings_becomes_an_expression() {
        for (source, expected) in [
            ("${context.auth.claims.a}", "context.auth.claims.a"),
            ("${context.auth.claims.a}.", "(context.auth.claims.a) + '.'"),
            ("x-${ context.a }-${context.b}'", r"'x-' + (context.a) + '-' + (context.b) + '\''"),
            ("${env['HOST']}-${context.auth.claims[\"a}b\"]}", "'kafka-' + (context.auth.claims[\"a}b\"])"),
            ("${glob(context.a)}", "glob(context.a)"),
        ] {
            let mut report = Report::default();
            let source = format!("a: \"{}\"", source.replace('\\', "\\\\").replace('"', "\\\""));
            let mut node = Node::parse(&source, &mut report).unwrap();
            let environment = |name: &str| (name == "HOST").then(|| "kafka".to_owned());
            let files = |_: &str| Err(String::new());
            Elsewhere { directory: Path::new(""), environment: &environment, files: &files }
                .fill_in(&mut node, &mut report);
            let Value::Map(entries) = &node.value else { panic!("{source} is a map") };
            let Value::Template(template) = &entries[0].1.value else { panic!("{source} is a template") };
            assert_eq!(template.expression(), expected, "{source}");
        }
    }
}
