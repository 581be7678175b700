//! Which patterns are taken, and what goes on of them.

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
    for pattern in ["a{1001}", "(?x)a", "(?u)a", "(?R)a", r"(a)\1", "(?=a)", r"\Z", r"\<a", r"\p{sc=Greek}"] {
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
    for foreign in
        ["orders", "team.a-(?:a)", r"team\.a-(?:a)|(?:b)", r"team\.a-(?:a", r"team\.a-a", r"xteam\.a-(?:a)"]
    {
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
