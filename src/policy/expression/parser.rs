//! Tokens become an expression, or an error that says where and what was probably meant.

use super::facts::{CONTEXT, Place, full_path};
use super::lexer::{Token, TokenKind, tokens};
use super::{Comparison, ConditionError, Expression, Kind, Method, Purpose, TRUE_OR_FALSE};
use crate::policy::words::nearest;

/// Reads a whole expression.
///
/// Limits: 1 to 1000 characters; brackets, negations and steps each at most 32 deep.
pub fn parse(text: &str, purpose: Purpose) -> Result<Expression, ConditionError> {
    if text.trim().is_empty() {
        return Err(error(0, "the expression is empty; leave it out, or write what must be true"));
    }
    if let Some((at, _)) = text.char_indices().nth(CHARACTERS_MAX) {
        return Err(error(
            at,
            format!("the expression has more than {CHARACTERS_MAX} characters; split the policy"),
        ));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, depth: 0, purpose };
    let expression = parser.any()?;
    let token = parser.peek().clone();
    if token.kind != TokenKind::End {
        return Err(error(token.at, parser.surplus(&token)));
    }
    match (purpose, expression.always()) {
        (_, None) | (Purpose::Condition, Some(TRUE_OR_FALSE)) => Ok(expression),
        (Purpose::Names, Some("text" | "a list" | "a pattern" | "a sum")) => Ok(expression),
        (Purpose::Condition, Some(what)) => Err(error(
            expression.at,
            format!("the condition is {what}, not true or false; compare it with =="),
        )),
        (Purpose::Names, Some(what)) => {
            Err(error(expression.at, format!("the expression yields {what}; it must yield a list of names")))
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Ends with `End`, which is never taken.
    tokens: Vec<Token<'t>>,
    next: usize,
    depth: usize,
    purpose: Purpose,
}

type Parsed = Result<Expression, ConditionError>;

impl<'t> Parser<'t> {
    /// any: all `||` all ...
    fn any(&mut self) -> Parsed {
        self.deeper(|parser| parser.joined("||", Self::all, Kind::Or))
    }

    /// all: equality `&&` equality ...
    fn all(&mut self) -> Parsed {
        self.joined("&&", Self::equality, Kind::And)
    }

    fn joined(
        &mut self,
        sign: &'static str,
        operand: fn(&mut Self) -> Parsed,
        kind: fn(Vec<Expression>) -> Kind,
    ) -> Parsed {
        let first = operand(self)?;
        if !self.at_sign(sign) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take_sign(sign) {
            operands.push(operand(self)?);
        }
        for operand in &operands {
            demand_truth(operand, sign)?;
        }
        let (at, end) = (operands[0].at, operands[operands.len() - 1].end);
        Ok(Expression { kind: kind(operands), at, end })
    }

    /// equality: relation (`==` relation)?
    fn equality(&mut self) -> Parsed {
        let left = self.relation()?;
        let comparison = match self.take_one_of(&["===", "==", "!==", "!="]) {
            Some("===" | "==") => Comparison::Equal,
            Some(_) => Comparison::Unequal,
            None => return Ok(left),
        };
        let right = self.relation()?;
        self.refuse_chain(&["===", "==", "!==", "!="])?;
        let (at, end) = (left.at, right.end);
        Ok(Expression { kind: Kind::Compare(comparison, Box::new([left, right])), at, end })
    }

    /// relation: sum (`<` sum | `in` sum)?
    fn relation(&mut self) -> Parsed {
        let left = self.sum()?;
        let comparison = match self.take_one_of(&["<=", ">=", "<", ">"]) {
            Some("<=") => Some(Comparison::LessOrEqual),
            Some(">=") => Some(Comparison::GreaterOrEqual),
            Some("<") => Some(Comparison::Less),
            Some(_) => Some(Comparison::Greater),
            None if self.take_word("in") => None,
            None => return Ok(left),
        };
        let right = self.sum()?;
        self.refuse_chain(&["<=", ">=", "<", ">"])?;
        let (at, end) = (left.at, right.end);
        let operands = Box::new([left, right]);
        let kind = match comparison {
            Some(comparison) => Kind::Compare(comparison, operands),
            None => Kind::In(operands),
        };
        Ok(Expression { kind, at, end })
    }

    /// sum: negation `+` negation ...
    fn sum(&mut self) -> Parsed {
        let first = self.negation()?;
        if !self.at_sign("+") {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take_sign("+") {
            operands.push(self.negation()?);
        }
        let (at, end) = (operands[0].at, operands[operands.len() - 1].end);
        Ok(Expression { kind: Kind::Sum(operands), at, end })
    }

    /// negation: `!` negation | steps
    fn negation(&mut self) -> Parsed {
        let at = self.peek().at;
        if !self.take_sign("!") {
            return self.steps();
        }
        let operand = self.deeper(Self::negation)?;
        demand_truth(&operand, "!")?;
        let end = operand.end;
        Ok(Expression { kind: Kind::Not(Box::new(operand)), at, end })
    }

    /// steps: primary (`.field` | `.method(..)` | `[..]`)...
    fn steps(&mut self) -> Parsed {
        let mut expression = self.primary()?;
        for step in steps_of(&expression).. {
            let at = self.peek().at;
            let dot = self.take_sign(".");
            if !dot && !self.take_sign("[") {
                break;
            }
            if step == DEPTH_MAX {
                return Err(error(at, format!("more than {DEPTH_MAX} steps in a row")));
            }
            expression = if dot { self.after_dot(expression)? } else { self.in_brackets(expression)? };
        }
        Ok(expression)
    }

    fn after_dot(&mut self, of: Expression) -> Parsed {
        let (word, token) = self.field_name()?;
        let (start, end) = (of.at, token.end);
        if !self.take_sign("(") {
            if word != "length" && matches!(of.kind, Kind::Fact(fact) if fact.always() == "text") {
                let path = self.said(&of);
                return Err(error(token.at, format!("{path} is text and has no {word}")));
            }
            return Ok(Expression { kind: Kind::Member(Box::new(of), word.into()), at: start, end });
        }
        let Some(method) = Method::parse(word) else {
            return Err(error(token.at, unknown_method(word)));
        };
        let arguments = self.list_until(")")?;
        let (least, most) = method.arguments();
        if arguments.len() < least || arguments.len() > most {
            let wanted = if least == most { format!("{least}") } else { format!("{least} or {most}") };
            let got = arguments.len();
            return Err(error(token.at, format!("{word}() takes {wanted} argument(s), not {got}")));
        }
        let end = self.tokens[self.next - 1].end;
        Ok(Expression { kind: Kind::Call(Box::new(of), method, arguments), at: start, end })
    }

    fn in_brackets(&mut self, of: Expression) -> Parsed {
        let index = self.any()?;
        let end = self.peek().end;
        self.demand_sign("]")?;
        let at = of.at;
        let kind = match index.kind {
            Kind::Text(key) | Kind::Pattern(key) => Kind::Member(Box::new(of), key),
            _ => Kind::Element(Box::new(of), Box::new(index)),
        };
        Ok(Expression { kind, at, end })
    }

    fn primary(&mut self) -> Parsed {
        let token = self.take();
        let (at, end) = (token.at, token.end);
        let kind = match token.kind {
            TokenKind::Text(text) if self.purpose == Purpose::Names && text.contains(['*', '?']) => {
                Kind::Pattern(text.into())
            }
            TokenKind::Text(text) => Kind::Text(text.into()),
            TokenKind::Number(number) => Kind::Number(number),
            TokenKind::Word("true") => Kind::Bool(true),
            TokenKind::Word("false") => Kind::Bool(false),
            TokenKind::Word("null" | "undefined") => Kind::Null,
            TokenKind::Word("context") => return self.fact(at),
            TokenKind::Word("glob") if self.at_sign("(") => return self.glob(at),
            TokenKind::Word(word) => return Err(error(at, self.unknown_word(word))),
            TokenKind::Sign("[") => {
                let items = self.list_until("]")?;
                let end = self.tokens[self.next - 1].end;
                return Ok(Expression { kind: Kind::List(items), at, end });
            }
            TokenKind::Sign("(") => {
                let inner = self.any()?;
                self.demand_sign(")")?;
                return Ok(inner);
            }
            TokenKind::Sign(sign) => return Err(error(at, format!("a value is missing before {sign}"))),
            TokenKind::End => return Err(error(at, "the expression ends too early; a value is missing")),
        };
        Ok(Expression { kind, at, end })
    }

    /// What stands under `context`, as far as its tree reaches; the rest is ordinary steps.
    fn fact(&mut self, at: usize) -> Parsed {
        let mut path = "context".to_owned();
        let mut places = CONTEXT;
        loop {
            let names: Vec<&str> = places.iter().map(|(name, _)| *name).collect();
            if !self.at_sign(".") && !self.at_sign("[") {
                let all = names.join(", .");
                return Err(error(at, format!("{path} is no value by itself; go on with .{all}")));
            }
            let (word, token) = self.step_name()?;
            let Some((name, place)) = places.iter().find(|(name, _)| *name == word) else {
                return Err(error(token.at, unknown_field(&path, &word, &names)));
            };
            path = format!("{path}.{name}");
            match place {
                Place::Branch(inner) => places = inner,
                Place::Leaf(fact) => {
                    let end = self.tokens[self.next - 1].end;
                    return Ok(Expression { kind: Kind::Fact(*fact), at, end });
                }
            }
        }
    }

    fn glob(&mut self, at: usize) -> Parsed {
        if self.purpose != Purpose::Names {
            return Err(error(at, "glob() makes names into patterns and has no place in a condition"));
        }
        self.demand_sign("(")?;
        let inner = self.any()?;
        let end = self.peek().end;
        self.demand_sign(")")?;
        Ok(Expression { kind: Kind::Glob(Box::new(inner)), at, end })
    }

    /// The expressions up to the closing sign, with commas between them.
    fn list_until(&mut self, close: &'static str) -> Result<Vec<Expression>, ConditionError> {
        let mut items = Vec::new();
        while !self.take_sign(close) {
            if !items.is_empty() {
                self.demand_sign(",")?;
            }
            items.push(self.any()?);
        }
        Ok(items)
    }

    /// The next step's name, after a dot or as a text in brackets.
    fn step_name(&mut self) -> Result<(String, Token<'t>), ConditionError> {
        if self.take_sign(".") {
            return self.field_name().map(|(word, token)| (word.to_owned(), token));
        }
        self.demand_sign("[")?;
        let token = self.take();
        let TokenKind::Text(word) = token.kind.clone() else {
            return Err(error(token.at, "only a quoted name can stand in these brackets"));
        };
        self.demand_sign("]")?;
        Ok((word, token))
    }

    fn field_name(&mut self) -> Result<(&'t str, Token<'t>), ConditionError> {
        let token = self.take();
        match token.kind {
            TokenKind::Word(word) if word.contains('-') => Err(error(
                token.at,
                format!("{word} has a dash and cannot follow a dot; write ['{word}'] instead of .{word}"),
            )),
            TokenKind::Word(word) => Ok((word, token)),
            _ => Err(error(token.at, "a name must follow the dot")),
        }
    }

    fn unknown_word(&self, word: &str) -> String {
        let goes_on = self.at_sign(".") || self.at_sign("[");
        if let Some(path) = full_path(word).filter(|_| goes_on) {
            return format!("{word} stands under context; write {path}");
        }
        if self.at_sign("(") {
            return match Method::parse(word) {
                Some(_) => format!("{word}() follows a dot, as in context.auth.principal.name.{word}(..)"),
                None => format!("there is no function {word}()"),
            };
        }
        match word {
            "and" => return "and is written &&".to_owned(),
            "or" => return "or is written ||".to_owned(),
            "not" => return "not is written !".to_owned(),
            "in" => return "a value is missing before in".to_owned(),
            _ => {}
        }
        match nearest(word, &["context"]).filter(|_| goes_on) {
            Some(meant) => format!("{word} is unknown; did you mean {meant}?"),
            None => format!("{word} is not quoted; write '{word}'"),
        }
    }

    /// Why the expression cannot go on with this token.
    fn surplus(&self, token: &Token<'_>) -> String {
        match &token.kind {
            TokenKind::Word("and") => "and is written &&".to_owned(),
            TokenKind::Word("or") => "or is written ||".to_owned(),
            TokenKind::Word("not") => "write !(a in b) for not in".to_owned(),
            TokenKind::Sign(sign @ (")" | "]")) => format!("nothing is open that {sign} could close"),
            _ => {
                let said = &self.text[token.at..token.end];
                format!("an operator such as == or && is missing before {said}")
            }
        }
    }

    fn refuse_chain(&self, signs: &[&'static str]) -> Result<(), ConditionError> {
        match self.peek().kind {
            TokenKind::Sign(sign) if signs.contains(&sign) => {
                Err(error(self.peek().at, "comparisons do not chain; join two of them with &&"))
            }
            _ => Ok(()),
        }
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == DEPTH_MAX {
            return Err(error(
                self.peek().at,
                format!("brackets or negations are more than {DEPTH_MAX} deep"),
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn said(&self, expression: &Expression) -> &'t str {
        &self.text[expression.at..expression.end]
    }

    fn peek(&self) -> &Token<'t> {
        &self.tokens[self.next]
    }

    fn take(&mut self) -> Token<'t> {
        let token = self.peek().clone();
        if token.kind != TokenKind::End {
            self.next += 1;
        }
        token
    }

    fn at_sign(&self, sign: &'static str) -> bool {
        self.peek().kind == TokenKind::Sign(sign)
    }

    fn take_sign(&mut self, sign: &'static str) -> bool {
        let found = self.at_sign(sign);
        self.next += usize::from(found);
        found
    }

    fn take_one_of(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        signs.iter().copied().find(|sign| self.take_sign(sign))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek().kind == TokenKind::Word(word);
        self.next += usize::from(found);
        found
    }

    fn demand_sign(&mut self, sign: &'static str) -> Result<(), ConditionError> {
        if self.take_sign(sign) {
            return Ok(());
        }
        let token = self.peek();
        Err(match token.kind {
            TokenKind::End => error(token.at, format!("the expression ends before its {sign}")),
            _ => {
                let said = &self.text[token.at..token.end];
                error(token.at, format!("{sign} is missing before {said}"))
            }
        })
    }
}

/// How many steps already lead from a primary to this expression, brackets or not.
fn steps_of(expression: &Expression) -> usize {
    let mut steps = 0;
    let mut kind = &expression.kind;
    while let Kind::Member(of, _) | Kind::Element(of, _) | Kind::Call(of, ..) = kind {
        steps += 1;
        kind = &of.kind;
    }
    steps
}

/// Refuses an operand of which it is plain that it is neither true nor false.
fn demand_truth(operand: &Expression, sign: &str) -> Result<(), ConditionError> {
    match operand.always() {
        None | Some(TRUE_OR_FALSE) => Ok(()),
        Some(what) => {
            let message =
                format!("{sign} joins what is true or false, and here stands {what}; compare it first");
            Err(error(operand.at, message))
        }
    }
}

fn unknown_field(path: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(meant) => format!("{path} has no {word}; did you mean {meant}?"),
        None => format!("{path} has no {word}; it has {}", known.join(", ")),
    }
}

fn unknown_method(word: &str) -> String {
    if matches!(word, "match" | "matchAll" | "test" | "search" | "matches") {
        return format!(
            "{word}() would need regular expressions, which there are not; use startsWith, endsWith or includes"
        );
    }
    match nearest(word, &Method::WORDS) {
        Some(meant) => format!("there is no {word}(); did you mean {meant}()?"),
        None => format!("there is no {word}(); there are {}", Method::WORDS.join(", ")),
    }
}

fn error(at: usize, message: impl Into<String>) -> ConditionError {
    ConditionError { message: message.into(), at }
}

/// As in the product whose language this is.
const CHARACTERS_MAX: usize = 1_000;
/// Bounds the stack that reading and evaluating take.
const DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> ConditionError {
        match parse(text, Purpose::Condition) {
            Ok(expression) => panic!("{text} was read as {expression:?}"),
            Err(error) => error,
        }
    }

    fn check(text: &str, at: usize, message: &str) {
        assert_eq!(refused(text), error(at, message), "{text}");
    }

    #[test]
    fn a_word_without_quotes_is_shown_with_them() {
        check(
            "context.auth.claims.client_id == reader-app",
            33,
            "reader-app is not quoted; write 'reader-app'",
        );
        check("'a' in [a, 'b']", 8, "a is not quoted; write 'a'");
        check("context.auth.type == anonymous && true", 21, "anonymous is not quoted; write 'anonymous'");
    }

    #[test]
    fn a_place_that_context_does_not_have_is_named_with_the_nearest() {
        check("context.auth.claim.sub == 'x'", 13, "context.auth has no claim; did you mean claims?");
        check("context['auht'].type == 'x'", 8, "context has no auht; did you mean auth?");
        check("context.auth.token.sub == 'x'", 19, "context.auth.token has no sub; it has claims");
        check("context.topic.name == 'x'", 8, "context has no topic; it has auth, client, listener");
        check("contxt.auth.type == 'x'", 0, "contxt is unknown; did you mean context?");
        check("claims.sub == 'x'", 0, "claims stands under context; write context.auth.claims");
        check(
            "context.auth == 'x'",
            0,
            "context.auth is no value by itself; go on with .type, .principal, .token, .claims, .extensions",
        );
        check("context.client.id.foo == 'x'", 18, "context.client.id is text and has no foo");
        check(
            "context.auth.claims.azp-x == 'x'",
            20,
            "azp-x has a dash and cannot follow a dot; write ['azp-x'] instead of .azp-x",
        );
    }

    #[test]
    fn a_method_that_is_not_there_is_named_with_what_is() {
        let path = "context.auth.principal.name";
        for (call, message) in [
            ("startswith('a')", "there is no startswith(); did you mean startsWith()?"),
            (
                "match('a.*')",
                "match() would need regular expressions, which there are not; use startsWith, endsWith or includes",
            ),
            ("includes()", "includes() takes 1 argument(s), not 0"),
            ("substring(1, 2, 3)", "substring() takes 1 or 2 argument(s), not 3"),
        ] {
            check(&format!("{path}.{call}"), path.len() + 1, message);
        }
        check("includes('a')", 0, "includes() follows a dot, as in context.auth.principal.name.includes(..)");
        check("glob('a')", 0, "glob() makes names into patterns and has no place in a condition");
    }

    #[test]
    fn what_is_plainly_neither_true_nor_false_is_no_condition() {
        check("'abc'", 0, "the condition is text, not true or false; compare it with ==");
        check(
            "context.auth.principal.name",
            0,
            "the condition is text, not true or false; compare it with ==",
        );
        check("true && 'a'", 8, "&& joins what is true or false, and here stands text; compare it first");
        check("!'a' in ['b']", 1, "! joins what is true or false, and here stands text; compare it first");
    }

    #[test]
    fn what_breaks_the_grammar_is_named_with_its_place() {
        check("", 0, "the expression is empty; leave it out, or write what must be true");
        check("true &&", 7, "the expression ends too early; a value is missing");
        check("true true", 5, "an operator such as == or && is missing before true");
        check("true and false", 5, "and is written &&");
        check("'a' not in ['b']", 4, "write !(a in b) for not in");
        check("(true", 5, "the expression ends before its )");
        check("true)", 4, "nothing is open that ) could close");
        check("[1 2] == null", 3, ", is missing before 2");
        check("1 < 2 < 3", 6, "comparisons do not chain; join two of them with &&");
        check("1 == 1 == true", 7, "comparisons do not chain; join two of them with &&");
        check("== 'x'", 0, "a value is missing before ==");
        check("context.auth. == 'x'", 14, "a name must follow the dot");
    }

    #[test]
    fn length_and_depth_have_limits() {
        assert!(parse(&format!("'{}' == ''", "é".repeat(992)), Purpose::Condition).is_ok());
        assert_eq!(refused(&format!("'{}' == ''", "é".repeat(993))).at, 993 * 2 + 7);
        let nested = |levels: usize| format!("{}true{}", "(".repeat(levels), ")".repeat(levels));
        assert!(parse(&nested(31), Purpose::Condition).is_ok());
        assert_eq!(refused(&nested(32)).message, "brackets or negations are more than 32 deep");
        assert_eq!(refused(&"(".repeat(1_000)).at, 32);
        assert_eq!(refused(&"!".repeat(1_000)).at, 32);
        assert_eq!(refused(&"[".repeat(1_000)).at, 32);
        let steps = format!("context.auth.claims{} == 1", ".a".repeat(33));
        assert_eq!(refused(&steps).message, "more than 32 steps in a row");
        let steps = format!("(context.auth.claims{}).a.a == 1", ".a".repeat(31));
        assert_eq!(refused(&steps).message, "more than 32 steps in a row");
    }

    #[test]
    fn an_expression_for_names_must_yield_names() {
        for text in ["context.auth.claims.topics", "['a', glob('b')]", "'a-*'", "'a' + 'b'", "glob(['a'])"] {
            assert!(parse(text, Purpose::Names).is_ok(), "{text}");
        }
        let found = parse("1 == 2", Purpose::Names).unwrap_err();
        assert_eq!(found, error(0, "the expression yields true or false; it must yield a list of names"));
    }
}
