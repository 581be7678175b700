//! Conditions and computed names: expressions over what is known of one login.

use super::expression::{
    Circumstances, ConditionError, EvalError, Expression, List, Purpose, Value, evaluate, parse,
};
use crate::names::{Glob, Principal};

/// An expression that is true or false of a login.
///
/// Shape: literals are text in single or double quotes, numbers, `true`, `false`, `null`
/// (`undefined`) and lists; operators `&& || !`, `== != === !== < <= > >=`, `+`, `in`; methods
/// `includes startsWith endsWith substring split toLowerCase toUpperCase` and `.length`, counted in
/// characters. A claim that is not there is null, and so is what would stand below it. Nothing is
/// converted: `==` is strict, so `'5' == 5` is false; null equals null alone, has no order, and
/// nothing is in it. `in` finds an element of a list or a key of an object.
/// Limits: 1 to 1000 characters, 32 levels; every evaluation ends.
/// Errors: a method on null, an order between different types, `==` on a list or an object, and a
/// result or an operand of `&& || !` that is neither true nor false.
#[derive(Clone, Debug)]
pub struct Condition(Source);

/// An expression that yields a rule's names: a list, or one name.
///
/// Shape: as [`Condition`], and what comes out of a claim is literal text. A text of the author's
/// with `*` or `?` is a pattern, also when a claim is added to it; `glob(..)` makes a pattern of
/// anything.
/// Limits: at most 1000 names.
/// Errors: null, and a claim with a star or a question mark that is added to a pattern.
#[derive(Clone, Debug)]
pub struct NameExpression(Source);

/// An expression that yields one text, which is literal.
///
/// Shape: as [`NameExpression`].
/// Errors: anything but a text.
#[derive(Clone, Debug)]
pub struct TextExpression(Source);

/// A name that an expression yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ComputedName {
    /// Literal text, whatever characters it holds.
    Literal(String),
    Pattern(Glob),
}

#[derive(Clone, Debug)]
struct Source {
    text: Box<str>,
    expression: Expression,
}

impl Condition {
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        Source::read(text, Purpose::Condition).map(Self)
    }

    pub fn evaluate(&self, circumstances: &Circumstances) -> Result<bool, EvalError> {
        match self.0.evaluate(circumstances)? {
            Value::Bool(truth) => Ok(truth),
            other => self.0.fail(format!("is {}, not true or false", other.what())),
        }
    }

    /// The condition as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl NameExpression {
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        Source::read(text, Purpose::Names).map(Self)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    pub(super) fn evaluate(&self, circumstances: &Circumstances) -> Result<Vec<ComputedName>, EvalError> {
        let values = match self.0.evaluate(circumstances)? {
            Value::List(List::Json(items)) if items.len() > NAMES_MAX => return self.too_many(),
            Value::List(list) if list.len() > NAMES_MAX => return self.too_many(),
            Value::List(list) => list.into_values(),
            other => vec![other],
        };
        let name = |value| match value {
            Value::Text(text) => Ok(ComputedName::Literal(text.into_owned())),
            Value::Pattern(text) => Ok(ComputedName::Pattern(Glob::new(&text))),
            other => self.0.fail(format!("yields {} where a name is needed", other.what())),
        };
        values.into_iter().map(name).collect()
    }

    fn too_many<T>(&self) -> Result<T, EvalError> {
        self.0.fail(format!("yields more than {NAMES_MAX} names"))
    }
}

impl TextExpression {
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        Source::read(text, Purpose::Names).map(Self)
    }

    pub fn evaluate(&self, circumstances: &Circumstances) -> Result<String, EvalError> {
        match self.0.evaluate(circumstances)? {
            Value::Text(text) => Ok(text.into_owned()),
            other => self.0.fail(format!("yields {} where text is needed", other.what())),
        }
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Source {
    fn read(text: &str, purpose: Purpose) -> Result<Self, ConditionError> {
        Ok(Self { expression: parse(text, purpose)?, text: text.into() })
    }

    fn evaluate<'a>(&'a self, circumstances: &Circumstances<'a>) -> Result<Value<'a>, EvalError> {
        evaluate(&self.expression, &self.text, circumstances)
    }

    fn fail<T>(&self, what: String) -> Result<T, EvalError> {
        Err(EvalError { message: format!("{} {what}", self.text), at: 0 })
    }
}

/// Reads and evaluates whatever text there is, for fuzzing: it must end and must not panic.
pub fn fuzz(text: &str) {
    let claims = serde_json::json!({
        "sub": "u", "n": 5, "f": 1.5, "yes": true, "roles": ["a", 1, null, ["x"], {}],
        "deep": {"er": {"k": "v"}},
    });
    let extensions = [("k".to_owned(), "v".to_owned())];
    let circumstances = Circumstances {
        auth_type: "oauth_bearer",
        principal: &Principal::new("u"),
        claims: &claims,
        extensions: &extensions,
        client_id: None,
        client_address: "127.0.0.1",
        listener: "front",
    };
    if let Ok(condition) = Condition::parse(text) {
        let _ = condition.evaluate(&circumstances);
    }
    if let Ok(names) = NameExpression::parse(text) {
        let _ = names.evaluate(&circumstances);
    }
}

/// A token does not list more; each costs an entry in the login's rights.
const NAMES_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn with_circumstances<T>(ask: impl FnOnce(&Circumstances) -> T) -> T {
        let claims = json!({
            "client_id": "reader-app",
            "level": 5,
            "large": 9007199254740993i64,
            "ratio": 0.5,
            "admin": true,
            "gone": null,
            "roles": ["reader", "writer", 7, ["nested"]],
            "aud": ["kafka"],
            "realm": {"roles": ["ops"], "a-b": "dash", "length": 3},
            "scope": "openid kafka:read",
            "city": "Zürich",
            "star": "a*",
        });
        let extensions = [("tenant".to_owned(), "blue".to_owned())];
        ask(&Circumstances {
            auth_type: "oauth_bearer",
            principal: &Principal::new("alice"),
            claims: &claims,
            extensions: &extensions,
            client_id: None,
            client_address: "10.0.0.7",
            listener: "front",
        })
    }

    /// `@` stands for the claims.
    fn check(text: &str, expected: bool) {
        let text = text.replace('@', "context.auth.token.claims");
        let condition = Condition::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(with_circumstances(|c| condition.evaluate(c)), Ok(expected), "{text}");
    }

    fn check_fails(text: &str, message: &str) {
        let text = text.replace('@', "context.auth.claims");
        let condition = Condition::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let error = with_circumstances(|c| condition.evaluate(c)).expect_err(&text);
        assert_eq!(error.message.replace("context.auth.claims", "@"), message, "{text}");
    }

    #[test]
    fn every_fact_can_be_asked_for() {
        check("context.auth.type == 'oauth_bearer'", true);
        check("context.auth.principal.name == \"alice\"", true);
        check("context.auth.claims.client_id == @.client_id", true);
        check("context['auth'][\"token\"].claims['client_id'] === 'reader-app'", true);
        check("context.auth.extensions.tenant == 'blue' && context.auth.extensions['none'] == null", true);
        check("context.client.id == null", true);
        check("context.client.address.startsWith('10.')", true);
        check("context.listener.name != 'front'", false);
    }

    #[test]
    fn a_claim_that_is_not_there_is_null() {
        check("@.nope == 'x'", false);
        check("@.nope != 'x'", true);
        check("@.nope == null && @.nope === undefined && @.gone == null", true);
        check("@.nope.deeper.still == 'x'", false);
        check("@.realm.nope['x'] == 'x'", false);
        check("'x' in @.nope", false);
        check("@.nope < 5 || @.nope >= 5 || @.nope <= null", false);
        check("@.roles[9] == null && @.roles[-1] == null", true);
        check_fails("@.nope.startsWith('x')", "@.nope is null and has no startsWith()");
        check_fails("@.nope.includes('x')", "@.nope is null and has no includes()");
        check_fails("!@.nope", "@.nope is null, not true or false; compare it with ==");
        check_fails("@.nope + 'x' == 'x'", "@.nope is null and cannot be added to");
    }

    #[test]
    fn nothing_is_converted() {
        check("@.level == 5 && @.level === 5.0 && @.level != '5'", true);
        check("@.admin == true && @.admin != 'true' && @.admin != 1", true);
        check("@.large == 9007199254740993 && @.large != 9007199254740992", true);
        check("@.ratio == 0.5 && @.ratio < 1 && @.level > @.ratio", true);
        check("'' == null || 0 == null || false == null", false);
        check_fails("@.client_id < 5", "@.client_id is text and has no order with a number");
        check_fails("@.level && true", "@.level is a number, not true or false; compare it with ==");
        check_fails("@.level", "@.level is a number, not true or false");
        check_fails("@.aud == 'kafka'", "@.aud is a list, which == does not compare; use includes or in");
        check_fails("'kafka' != @.aud", "@.aud is a list, which == does not compare; use includes or in");
        check("@.aud != null && @.realm != null", true);
    }

    #[test]
    fn operators_bind_as_in_javascript() {
        check("true || true && false", true);
        check("(true || true) && false", false);
        check("!false && !(1 == 2)", true);
        check("'b' < 'c' == true", true);
        check("5 <= 5 && 5 >= 5 && 'a' <= 'a' && 4 <= 5 && 5 >= 4", true);
        check("5 < 5 || 5 > 5 || 5 <= 4 || 4 >= 5 || 'b' < 'a' || 'a' > 'b'", false);
        check("'a' + 'b' == 'ab' && 1 + 2 + 3 < 7", true);
        check("'ops' in @.realm.roles == false", false);
        check("false && @.nope.includes('x')", false);
        check("true || @.nope.includes('x')", true);
        check_fails("@.nope.includes('x') || true", "@.nope is null and has no includes()");
        check_fails("@.level + 'x' == 'x'", "'x' is text and cannot be added to a number");
    }

    #[test]
    fn in_finds_elements_of_lists_and_keys_of_objects() {
        check("'reader' in @.roles && 7 in @.roles && !('7' in @.roles)", true);
        check("'nested' in @.roles", false);
        check("@.client_id in ['a', 'reader-app']", true);
        check("'roles' in @.realm && 'tenant' in context.auth.extensions && !('x' in @)", true);
        check_fails("'read' in @.scope", "@.scope is text; in looks into lists and objects, use includes");
        check_fails("'read' in @.level", "@.level is a number; in looks into lists and objects");
        check_fails("@.aud in @.roles", "@.aud is a list, which in does not look for");
    }

    #[test]
    fn methods_do_what_their_names_say() {
        check("@.roles.includes('writer') && !@.roles.includes('write') && @.scope.includes('kafka:')", true);
        check("@.client_id.startsWith('reader') && @.client_id.endsWith('-app')", true);
        check("'kafka:read' in @.scope.split(' ') && !('kafka' in @.scope.split(' '))", true);
        check("@.city.toUpperCase() == 'ZÜRICH' && 'AbC'.toLowerCase() == 'abc'", true);
        check(
            "@.city.length == 6 && @.roles.length == 4 && @.realm.length == 3 && @.nope.length == null",
            true,
        );
        check("@.city.substring(1) == 'ürich' && @.city.substring(0, 2) == 'Zü'", true);
        check(
            "'abc'.substring(2, 1) == 'b' && 'abc'.substring(-5, 99) == 'abc' && 'abc'.substring(9) == ''",
            true,
        );
        check("@.realm['a-b'] == 'dash' && @['realm']['ro' + 'les'][0] == 'ops'", true);
        check_fails("@.level.startsWith('5')", "@.level is a number and has no startsWith()");
        check_fails("@.client_id.startsWith(@.nope)", "@.nope is null, and text is needed");
        check_fails("@.scope.substring(0.5) == ''", "0.5 is a number, and a whole number is needed");
        check_fails("@.scope.split('') == null", "'' is empty, which cannot separate");
        check_fails("@.client_id.sub == 'x'", "@.client_id is text and has no sub");
    }

    #[test]
    fn what_claims_can_make_grow_has_a_limit() {
        let claims = json!({"big": "x".repeat(40_000)});
        let condition = Condition::parse("context.auth.claims.big + context.auth.claims.big != ''").unwrap();
        let error = with_circumstances(|c| condition.evaluate(&Circumstances { claims: &claims, ..*c }));
        assert!(error.unwrap_err().message.ends_with("makes a text of more than 65536 bytes"));
        let parts = Condition::parse("context.auth.claims.big.split('x').length == 1").unwrap();
        let error = with_circumstances(|c| parts.evaluate(&Circumstances { claims: &claims, ..*c }));
        assert_eq!(error.unwrap_err().message, "context.auth.claims.big has more than 1000 parts");
    }

    #[test]
    fn names_from_claims_are_literal_and_patterns_are_the_authors() {
        let literal = |text: &str| ComputedName::Literal(text.to_owned());
        let pattern = |text: &str| ComputedName::Pattern(Glob::new(text));
        for (text, expected) in [
            ("@.aud", vec![literal("kafka")]),
            ("@.star", vec![literal("a*")]),
            ("[@.star + '-x', 'b-' + @.client_id]", vec![literal("a*-x"), literal("b-reader-app")]),
            ("@.client_id + '-*'", vec![pattern("reader-app-*")]),
            ("['team-?', 'plain']", vec![pattern("team-?"), literal("plain")]),
            ("glob(@.star)", vec![pattern("a*")]),
            ("glob(@.aud)", vec![pattern("kafka")]),
            ("glob(@.star + '-*')", vec![]),
            ("@.realm.roles", vec![literal("ops")]),
        ] {
            let names = NameExpression::parse(&text.replace('@', "context.auth.claims")).unwrap();
            let found = with_circumstances(|c| names.evaluate(c));
            match found {
                Ok(found) => assert_eq!(found, expected, "{text}"),
                Err(error) => assert!(expected.is_empty(), "{text}: {error}"),
            }
        }
    }

    #[test]
    fn names_that_are_none_fail() {
        for (text, message) in [
            ("@.star + '-*'", "'-*' would put a star or a question mark of a claim into a pattern"),
            ("'?-' + @.star", "@.star would put a star or a question mark of a claim into a pattern"),
            ("@.nope", "@.nope yields null where a name is needed"),
            ("@.roles", "@.roles yields a number where a name is needed"),
            ("@.admin", "@.admin yields true or false where a name is needed"),
            ("glob(@.roles)", "@.roles is or holds a number; glob() takes text"),
        ] {
            let names = NameExpression::parse(&text.replace('@', "context.auth.claims")).unwrap();
            let error = with_circumstances(|c| names.evaluate(c)).expect_err(text);
            assert_eq!(error.message.replace("context.auth.claims", "@"), message, "{text}");
        }
        let many = json!({"t": vec!["x"; 1_001]});
        let names = NameExpression::parse("context.auth.claims.t").unwrap();
        let error = with_circumstances(|c| names.evaluate(&Circumstances { claims: &many, ..*c }));
        assert!(error.unwrap_err().message.ends_with("yields more than 1000 names"));
    }

    #[test]
    fn the_fuzz_entry_survives_seeded_noise() {
        const PIECES: [&str; 36] = [
            "context",
            ".auth",
            ".claims",
            ".roles",
            ".n",
            ".deep",
            "['er']",
            "[0]",
            "[-1]",
            "(",
            ")",
            "[",
            "]",
            ",",
            ".",
            "!",
            "&&",
            "||",
            "==",
            "!==",
            "<",
            ">=",
            "+",
            " in ",
            "'a'",
            "\"é\"",
            "1.5e3",
            "true",
            "null",
            ".includes(",
            ".substring(",
            ".length",
            ".split(",
            "glob(",
            "'x*'",
            "\\",
        ];
        let mut seed = 0x5DEE_CE66_D1CE_CAFE_u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below as u64) as usize
        };
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..random(14) {
                if random(12) == 0 {
                    text.extend(char::from_u32(random(0x2100) as u32));
                } else {
                    text.push_str(PIECES[random(PIECES.len())]);
                }
            }
            fuzz(&text);
        }
    }

    #[test]
    fn the_deepest_expressions_fit_a_small_stack() {
        let chain = format!("{}context.auth.claims{}{}", "(".repeat(30), ")".repeat(30), ".a".repeat(32));
        let negations = "!".repeat(30) + "true";
        let lists = format!("{}1{} != null", "[".repeat(30), "]".repeat(30));
        let indexes = format!("{}0{} != null", "[0][".repeat(29), "]".repeat(29));
        let mixed = (0..28).fold("true".to_owned(), |inner, _| format!("!(1 + 1 < 3 == ({inner}))"));
        for text in [chain + " == null", negations, lists, indexes, mixed] {
            assert!(text.len() <= 1_000, "{}", text.len());
            let thread = std::thread::Builder::new().stack_size(512 * 1024);
            thread.spawn(move || fuzz(&text)).unwrap().join().unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_at_a_place_within_it(text in "\\PC{0,60}") {
            fuzz(&text);
            if let Err(error) = Condition::parse(&text) {
                prop_assert!(error.at <= text.len() && text.is_char_boundary(error.at));
                prop_assert!(!error.message.is_empty());
            }
        }
    }
}
