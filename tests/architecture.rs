//! The plan of the house, held against its source: who may know whom, and who may do what.
//!
//! Reads `src/**/*.rs` without comments and strings. To add an arrow, add it to the table below in the
//! same commit, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// The rooms by floor, the ground first; an arrow points to a lower floor.
const FLOORS: &[&[&str]] = &[
    &["names", "wire", "telemetry", "issuer", "keycloak"],
    &["auth", "policy"],
    &["cluster"],
    &["api", "config"],
    &["session"],
    &["server"],
    &["main", "cli"],
];

/// The arrows: a room, and the rooms it may know.
const ARROWS: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("wire", &[]),
    ("telemetry", &[]),
    ("issuer", &[]), // a small OAuth server of its own: the gateway knows it as any other issuer
    ("keycloak", &[]), // a tool of its own: a gateway reads what it hands on from a file
    ("auth", &["names"]),
    ("policy", &["names"]),
    // `auth`: a virtual cluster holds how its clients log in, as a value, and never looks into it.
    ("cluster", &["auth", "policy", "names"]),
    ("api", &["cluster", "policy", "names", "wire"]),
    ("config", &["cluster", "policy", "auth", "names"]),
    // `policy`: a login turns into rights once, and they wait with the requests they admitted.
    ("session", &["api", "cluster", "auth", "policy", "names", "wire"]),
    // `api`, `wire`: only what ITEMS says, never a body.
    ("server", &["session", "api", "cluster", "auth", "telemetry", "names", "wire"]),
    ("main", &["cli"]),
    // `cluster`: `check` tells of the doors that a directory opens; the others: `explain` asks them.
    ("cli", &["config", "server", "issuer", "keycloak", "telemetry", "cluster", "auth", "policy", "names"]),
];

/// Arrows that only tests need.
const ARROWS_OF_TESTS: &[(&str, &[&str])] = &[
    ("api", &["auth"]), // the tests' virtual cluster has a login too
];

/// Of these rooms only these items.
const ITEMS: &[(&str, &str, &[&str])] = &[
    // What brokers speak, and by which words a request and its refusal go into the audit log.
    ("server", "api", &["versions", "disposition", "Disposition", "Refusal"]),
    // Bytes into frames and out of them, and which API they are; the grammar is laid out before
    // somebody waits for it.
    ("server", "wire", &["self", "ApiKey", "Segments", "split_frame", "has_frame", "missing", "grammar"]),
];

/// Words that only some places say: the word, who says it, and what to do instead.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("tokio", &["server/", "issuer/", "main.rs", "cli/"], "hand the core bytes and the time"),
    ("unsafe", &["wire/gather.rs"], "do without; one unsafe trait is all there is"),
    (
        "std::fs",
        &["server/", "issuer/", "keycloak/", "telemetry", "config/mod.rs", "cli/token.rs"],
        "take the file's text as a value",
    ),
    ("std::thread", &["server/", "issuer/", "telemetry"], "let server/ run it"),
    ("TcpStream", &["server/", "issuer/"], "let server/ hold the socket"),
    ("TcpListener", &["server/", "issuer/"], "let server/ hold the socket"),
    ("UdpSocket", &["server/", "issuer/"], "let server/ hold the socket"),
    ("UnixStream", &["server/", "issuer/"], "let server/ hold the socket"),
];

/// The hands of a session: all decisions are its master's, `session/mod.rs` with `entry` and `requests`.
const HANDS: [&str; 5] = ["phase", "in_flight", "sasl", "login", "lookup"];

/// One file, blank where comments and strings stood.
struct Source {
    /// From `src/` on.
    path: String,
    text: String,
    /// Where its code for tests lies.
    tests: Vec<Range<usize>>,
}

impl Source {
    fn of(path: &str, text: &str) -> Self {
        let text = blanked(text);
        let tests = test_blocks(&text);
        Self { path: path.to_owned(), text, tests }
    }

    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|block| block.contains(&at))
    }

    fn place(&self, at: usize) -> String {
        format!("src/{}:{}", self.path, self.text[..at].lines().count().max(1))
    }

    /// How many modules are opened in this file and not closed before this place.
    fn modules_around(&self, place: usize) -> usize {
        let opened = self.places("mod").filter_map(|at| Some(at + self.text[at..].find(['{', ';'])?));
        opened.filter(|open| (*open..block_end(&self.text, *open)).contains(&place)).count()
    }

    /// Where a path or a word stands by itself.
    fn places<'s>(&'s self, word: &'s str) -> impl Iterator<Item = usize> + 's {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.text.match_indices(word).map(|(at, _)| at).filter(move |at| {
            !self.text[..*at].ends_with(is_part) && !self.text[at + word.len()..].starts_with(is_part)
        })
    }

    /// What stands behind `word::`: one name, or the first names in braces.
    fn named_in<'s>(&'s self, word: &'s str) -> impl Iterator<Item = (usize, Vec<&'s str>)> {
        self.places(word).filter_map(move |at| {
            let behind = self.text[at + word.len()..].strip_prefix("::")?;
            Some((at, first_names(behind)))
        })
    }

    /// The rooms that are named through the crate's root.
    fn arrows(&self) -> Vec<(usize, &str)> {
        let root = if matches!(self.room(), "main" | "cli") { "sluicegate" } else { "crate" };
        let named = self.named_in(root);
        named.flat_map(|(at, rooms)| rooms.into_iter().map(move |room| (at, room))).collect()
    }
}

/// The names that a path goes on with: `a` of `a::b`, `a` and `b` of `{a, b::c}`.
fn first_names(text: &str) -> Vec<&str> {
    let name = |text: &'_ str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let Some(group) = text.strip_prefix('{') else { return vec![&text[..name(text)]] };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                let element = group[start..at].trim();
                names.push(&element[..name(element)]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The same text with comments, strings and characters blank; lines stay where they are.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + blank_length(&text[at..], at.checked_sub(1).map(|before| bytes[before]));
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + text[at..].chars().next().map_or(1, char::len_utf8));
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

/// How long the comment, string or character is that begins here.
fn blank_length(text: &str, before: Option<u8>) -> usize {
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let is_part = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if let Some(rest) = text.strip_prefix('r').filter(|_| !is_part || before == Some(b'b')) {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if rest[hashes..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(hashes)), hashes + 2);
        }
    }
    let quote = match text.chars().next() {
        Some('"') => '"',
        // A character, and no lifetime.
        Some('\'') if text[1..].starts_with('\\') || text.chars().nth(2) == Some('\'') => '\'',
        _ => return 0,
    };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The items behind `#[cfg(test)]`.
fn test_blocks(text: &str) -> Vec<Range<usize>> {
    let blocks = text.match_indices("#[cfg(test)]").filter_map(|(start, _)| {
        let open = start + text[start..].find(['{', ';'])?;
        Some(start..block_end(text, open))
    });
    blocks.collect()
}

/// Where the block ends that opens here; a place that opens none is one by itself.
fn block_end(text: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return open + at + 1;
        }
    }
    text.len()
}

/// Every file of the house; one that a door declares for tests is all test.
fn house() -> Vec<Source> {
    fn read(folder: &Path, root: &Path, into: &mut Vec<Source>) {
        let mut entries: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                read(&path, root, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                into.push(Source::of(name, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read(&root, &root, &mut sources);
    let mut all_test = Vec::new();
    for source in &sources {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for block in &source.tests {
            let module = source.text[block.clone()].rsplit_once("mod ").map(|(_, rest)| rest.trim());
            if let Some(module) = module.and_then(|module| module.strip_suffix(';')) {
                all_test.push(format!("{folder}/{module}"));
            }
        }
    }
    for source in &mut sources {
        let is_in = |module: &String| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if all_test.iter().any(is_in) {
            source.tests = std::iter::once(0..source.text.len()).collect();
        }
    }
    sources
}

fn known_to(table: &[(&str, &'static [&'static str])], room: &str) -> &'static [&'static str] {
    table.iter().find(|(from, _)| *from == room).map_or(&[], |(_, to)| to)
}

/// Arrows that the table does not have.
fn unplanned_arrows(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let is_room = |room: &str| FLOORS.iter().any(|floor| floor.contains(&room));
    for source in sources.iter().filter(|source| source.path != "lib.rs") {
        let room = source.room();
        if !is_room(room) {
            complaints.push(format!("src/{}: `{room}` is no room; give it a floor in FLOORS", source.path));
        }
        for (at, to) in source.arrows() {
            let place = source.place(at);
            let is_allowed = to == room
                || known_to(ARROWS, room).contains(&to)
                || (source.is_test(at) && known_to(ARROWS_OF_TESTS, room).contains(&to));
            if !is_room(to) {
                complaints.push(format!("{place}: name the room first, `crate::room::item`; `{to}` is none"));
            } else if !is_allowed {
                complaints.push(format!(
                    "{place}: `{room}` may not know `{to}`; move the code to a room that may, hand it a \
                     value, or add the arrow to ARROWS with the reason"
                ));
            }
        }
        for (_, to, allowed) in ITEMS.iter().filter(|(from, ..)| *from == room) {
            for (at, items) in source.named_in(to) {
                complaints.extend(items.iter().filter(|item| !allowed.contains(item)).map(|item| {
                    let place = source.place(at);
                    format!(
                        "{place}: of `{to}`, `{room}` may not know `{item}`; let session/ do it, or add it \
                         to ITEMS with the reason"
                    )
                }));
            }
        }
    }
    complaints
}

/// Ways to the crate's root that are not called `crate`, and so hide an arrow.
fn back_stairs(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let folders = source.path.matches('/').count();
        let depth = folders + usize::from(!source.path.ends_with("mod.rs"));
        for at in source.places("super").filter(|at| !source.text[..*at].ends_with("super::")) {
            let chain = &source.text[at..];
            let steps = (chain.len() - chain.trim_start_matches("super::").len()) / "super::".len();
            if steps >= depth + source.modules_around(at) {
                complaints.push(format!("{}: say `crate::room`, and the arrow shows", source.place(at)));
            }
        }
    }
    complaints
}

/// Siblings that know each other and should not.
fn crossed_siblings(sources: &[Source], room: &str, siblings: &[&str], instead: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.room() == room) {
        let Some(own) = siblings.iter().find(|own| source.path == format!("{room}/{own}.rs")) else {
            continue;
        };
        for (at, names) in source.named_in("super").chain(source.named_in(room)) {
            for other in names.iter().filter(|name| siblings.contains(name) && *name != own) {
                complaints.push(format!("{}: `{own}` may not know `{other}`; {instead}", source.place(at)));
            }
        }
    }
    complaints
}

/// Words said where they should not be; tests may use files, threads and sockets.
fn misplaced_words(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        for (word, allowed, instead) in WORDS {
            if allowed.iter().any(|place| source.path.starts_with(place)) {
                continue;
            }
            let counts = |at: &usize| !source.is_test(*at) || matches!(*word, "unsafe" | "tokio");
            for at in source.places(word).filter(counts) {
                let places = allowed.join(", ");
                complaints.push(format!("{}: only {places} may say `{word}`; {instead}", source.place(at)));
            }
        }
    }
    complaints
}

/// Wildcards in the table of APIs.
fn wildcards(sources: &[Source]) -> Vec<String> {
    let tables = sources.iter().filter(|source| source.path == "api/table.rs");
    let arms = tables.flat_map(|source| source.places("_").map(move |at| (source, at)));
    let arms = arms.filter(|(source, at)| {
        let behind = source.text[at + 1..].trim_start();
        behind.starts_with("=>") || behind.starts_with("if ") || behind.starts_with('|')
    });
    arms.map(|(source, at)| {
        format!(
            "{}: a wildcard would let a new API pass unread; name the key in one of the three lists",
            source.place(at)
        )
    })
    .collect()
}

/// The files that the table of APIs serves from.
fn families(sources: &[Source]) -> Vec<&str> {
    let table = sources.iter().find(|source| source.path == "api/table.rs").expect("the table is there");
    let served = table.text.split_once("\n    serve {").expect("the table has a list `serve`").1;
    let served = served.split_once('}').expect("the list ends").0;
    let families = served.split(',').filter_map(|row| Some(row.split_once(':')?.1.trim()));
    families.collect::<BTreeSet<_>>().into_iter().collect()
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_arrow_is_planned() {
    let sources = house();
    assert_none(unplanned_arrows(&sources));
    assert_none(back_stairs(&sources));
}

#[test]
fn every_planned_arrow_points_down_and_is_there() {
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room)).expect("it has a floor");
    let sources = house();
    let mut there: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        there.entry(source.room()).or_default().extend(source.arrows().iter().map(|(_, to)| *to));
    }
    for (room, knows) in ARROWS.iter().chain(ARROWS_OF_TESTS) {
        assert!(there.contains_key(room), "{room} is planned and not there; take it out of the table");
        for to in *knows {
            // `main` and `cli` are one floor: the program and its words.
            let points_down = floor(to) < floor(room) || (*room, *to) == ("main", "cli");
            assert!(points_down, "{room} -> {to} does not point down, and could close a circle");
            assert!(
                there[room].contains(to) || (*room, *to) == ("main", "cli"),
                "{room} -> {to} is planned and not there; take it out of the table"
            );
        }
    }
}

#[test]
fn no_family_knows_another() {
    let sources = house();
    let families = families(&sources);
    assert!(families.len() > 5, "{families:?}");
    assert_none(crossed_siblings(&sources, "api", &families, "share through a noun of its own, as blobs.rs"));
}

#[test]
fn no_hand_of_a_session_knows_another() {
    assert_none(crossed_siblings(&house(), "session", &HANDS, "let session/mod.rs decide"));
}

#[test]
fn sockets_files_threads_and_unsafe_stay_where_they_are() {
    assert_none(misplaced_words(&house()));
}

#[test]
fn the_table_of_apis_has_no_wildcard() {
    assert_none(wildcards(&house()));
}

/// What is said of one file.
fn check(path: &str, text: &str, expected: &[&str]) {
    let sources = [Source::of(path, text)];
    let mut complaints = unplanned_arrows(&sources);
    complaints.extend(back_stairs(&sources));
    complaints.extend(crossed_siblings(&sources, "api", &["fetch", "produce"], ""));
    complaints.extend(crossed_siblings(&sources, "session", &HANDS, ""));
    complaints.extend(misplaced_words(&sources));
    complaints.extend(wildcards(&sources));
    assert_eq!(complaints.len(), expected.len(), "{path}: {complaints:#?}");
    for (complaint, expected) in complaints.iter().zip(expected) {
        assert!(complaint.contains(expected), "{complaint:?} does not say {expected:?}");
    }
}

#[test]
fn what_is_forbidden_is_found_and_what_is_allowed_is_not() {
    check(
        "auth/keys.rs",
        "use crate::names::Secret;\n\nuse crate::session::Session;\n",
        &["src/auth/keys.rs:3: `auth` may not know `session`"],
    );
    check("auth/keys.rs", "fn a() { crate::policy::decide() }", &["`auth` may not know `policy`"]);
    check("auth/keys.rs", "use crate::{names::Secret, wire::{Gather, x}};", &["`auth` may not know `wire`"]);
    check("cellar/mod.rs", "", &["`cellar` is no room"]);
    check("names/side.rs", "use crate::Thing;", &["`Thing` is none"]);
    check("cli/run.rs", "use sluicegate::session::Session;", &["`cli` may not know `session`"]);
    check(
        "server/stream.rs",
        "use crate::wire::{self, Segments};\nfn a() { wire::decode() }",
        &[":2: of `wire`, `server` may not know `decode`"],
    );
    check(
        "server/journal.rs",
        "use crate::api::{\n    Refusal,\n    Gate as G,\n};",
        &["may not know `Gate`"],
    );
    check(
        "api/fetch.rs",
        "use super::produce::Produce;\nuse super::blobs::Blob;",
        &["`fetch` may not know `produce`"],
    );
    check("api/fetch.rs", "use crate::api::{produce, refusal};", &["`fetch` may not know `produce`"]);
    check("session/sasl.rs", "use super::{Reason, phase::Phase};", &["`sasl` may not know `phase`"]);
    check("session/mod.rs", "use phase::Phase; use self::sasl::Sasl;", &[]);
    check("auth/keys.rs", "use super::super::session::X;", &["say `crate::room`"]);
    check("auth/mod.rs", "use super::session::X;", &["say `crate::room`"]);
    check("auth/keys.rs", "use super::X;\n#[cfg(test)]\nmod tests { use super::super::X; }", &[]);
    check("wire/frame.rs", "fn a() { tokio::spawn() }", &["may say `tokio`"]);
    check("wire/frame.rs", "unsafe impl X for Y {}", &["may say `unsafe`"]);
    check(
        "policy/grant.rs",
        "use std::fs;\nuse std::net::{IpAddr, TcpStream};",
        &["`std::fs`", "`TcpStream`"],
    );
    check("policy/grant.rs", "#[cfg(test)]\nmod tests { fn a() { std::fs::read() } }\n", &[]);
    check(
        "policy/grant.rs",
        "#[cfg(test)]\nmod tests { fn a() {} }\nuse std::thread;",
        &["grant.rs:3: only"],
    );
    check("api/testing.rs", "use crate::auth::Authentication;", &["`api` may not know `auth`"]);
    check("api/produce.rs", "#[cfg(test)]\nmod tests { use crate::auth::X; }", &[]);
    check("api/table.rs", "match key { ApiKey::A => 1, _ => 2 }", &["table.rs:1: a wildcard"]);
    check("api/table.rs", "match key { ApiKey::A | _ if x => 1 }", &["a wildcard"]);
    check(
        "auth/keys.rs",
        "// use crate::session::X;\n/* tokio */ const A: &str = \"crate::session::X tokio\";",
        &[],
    );
    check(
        "auth/keys.rs",
        "const A: &str = r#\"\"tokio\"#; fn a<'a>(c: &'a str) -> char { '\"' } fn b() { tokio() }",
        &["tokio"],
    );
}
