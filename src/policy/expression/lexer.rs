//! Text becomes tokens, each with its place.

use super::ConditionError;
use super::number::Number;

/// One token, and the bytes of the text that say it.
#[derive(Clone, Debug, PartialEq)]
pub struct Token<'t> {
    pub kind: TokenKind<'t>,
    pub at: usize,
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind<'t> {
    /// A run of letters, digits, `_`, `$` and dashes: what somebody meant as one word.
    Word(&'t str),
    Text(String),
    Number(Number),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// Cuts the whole text into tokens; the last is `End`.
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, ConditionError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let last = token.kind == TokenKind::End;
        tokens.push(token);
        if last {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn next(&mut self) -> Result<Token<'t>, ConditionError> {
        let text = self.text;
        let rest = self.rest().trim_start();
        let at = text.len() - rest.len();
        self.at = at;
        let Some(first) = rest.chars().next() else {
            return Ok(Token { kind: TokenKind::End, at, end: at });
        };
        let negative = first == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        let kind = if first.is_ascii_digit() || negative {
            self.number()?
        } else if is_word_start(first) {
            let length = rest.find(|c| !is_in_word(c)).unwrap_or(rest.len());
            self.at += length;
            TokenKind::Word(&rest[..length])
        } else if matches!(first, '\'' | '"') {
            self.quoted(first)?
        } else {
            self.sign(first)?
        };
        Ok(Token { kind, at, end: self.at })
    }

    fn number(&mut self) -> Result<TokenKind<'t>, ConditionError> {
        let at = self.at;
        self.at += usize::from(self.rest().starts_with('-'));
        self.digits();
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            self.digits();
        }
        if let Some(exponent) = self.rest().strip_prefix(['e', 'E']) {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.starts_with(|c: char| c.is_ascii_digit()) {
                self.at += self.rest().len() - digits.len();
                self.digits();
            }
        }
        if self.rest().starts_with(is_in_word) {
            let end = self.rest().find(|c| !is_in_word(c)).map_or(self.text.len(), |n| self.at + n);
            let word = &self.text[at..end];
            return Err(error(at, format!("{word} is neither a number nor quoted; write '{word}'")));
        }
        let digits = &self.text[at..self.at];
        Number::parse(digits)
            .map(TokenKind::Number)
            .ok_or_else(|| error(at, format!("{digits} is too large a number")))
    }

    fn digits(&mut self) {
        let rest = self.rest();
        self.at += rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind<'t>, ConditionError> {
        let start = self.at;
        let mut out = String::new();
        self.at += 1;
        while let Some(character) = self.take() {
            match character {
                c if c == quote => return Ok(TokenKind::Text(out)),
                '\\' => out.push(self.escaped()?),
                other => out.push(other),
            }
        }
        Err(error(start, format!("the text that begins here has no end; close it with {quote}")))
    }

    fn escaped(&mut self) -> Result<char, ConditionError> {
        let at = self.at - 1;
        match self.take() {
            Some(c @ ('\\' | '\'' | '"' | '/')) => Ok(c),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => {
                let code =
                    self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let character =
                    code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
                self.at += 4;
                character.ok_or_else(|| {
                    error(at, "\\u needs four hexadecimal digits of one character, as in \\u00e9".to_owned())
                })
            }
            _ => Err(error(
                at,
                "a backslash stands before \\ ' \" / n r t or u; write \\\\ for itself".to_owned(),
            )),
        }
    }

    fn sign(&mut self, first: char) -> Result<TokenKind<'t>, ConditionError> {
        let rest = self.rest();
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.at += sign.len();
            return Ok(TokenKind::Sign(sign));
        }
        let message = match first {
            '=' => "a single = does not compare; write ==".to_owned(),
            '&' => "a single & joins nothing; write &&".to_owned(),
            '|' => "a single | joins nothing; write ||".to_owned(),
            '-' => "there is no subtraction; a - stands only before a number or within quotes".to_owned(),
            '`' | '‘' | '’' | '“' | '”' => {
                format!("{first} is no quotation mark here; write ' or \"")
            }
            '?' | ':' => "there is no ?: here; write conditions with && and ||".to_owned(),
            other => format!("{other:?} has no meaning here; put names and texts in quotes"),
        };
        Err(error(self.at, message))
    }

    fn take(&mut self) -> Option<char> {
        let character = self.rest().chars().next()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '-')
}

fn error(at: usize, message: String) -> ConditionError {
    ConditionError { message, at }
}

/// Longer ones first, so that none hides behind its beginning.
const SIGNS: [&str; 18] =
    ["===", "!==", "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "(", ")", "[", "]", ",", "."];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_tokens_with_their_places() {
        let found = tokens(r#"a.b-c !== 'it\'s é' && [-1.5e1, "\u00e9"]"#).unwrap();
        let kinds: Vec<_> = found.iter().map(|token| token.kind.clone()).collect();
        use TokenKind::*;
        assert_eq!(
            kinds,
            [
                Word("a"),
                Sign("."),
                Word("b-c"),
                Sign("!=="),
                Text("it's é".to_owned()),
                Sign("&&"),
                Sign("["),
                Number(super::Number::Whole(-15)),
                Sign(","),
                Text("é".to_owned()),
                Sign("]"),
                End,
            ]
        );
        assert_eq!((found[2].at, found[2].end), (2, 5));
    }

    #[test]
    fn what_is_no_token_is_named_with_its_place() {
        for (text, at, message) in [
            ("a = 'b'", 2, "a single = does not compare; write =="),
            ("a == 'b", 5, "the text that begins here has no end; close it with '"),
            ("a == ‘b’", 5, "‘ is no quotation mark here; write ' or \""),
            ("12ab == 1", 0, "12ab is neither a number nor quoted; write '12ab'"),
            (r"'\x'", 1, "a backslash stands before \\ ' \" / n r t or u; write \\\\ for itself"),
            (r"'\ud800'", 1, "\\u needs four hexadecimal digits of one character, as in \\u00e9"),
            (r"'\u12", 1, "\\u needs four hexadecimal digits of one character, as in \\u00e9"),
            ("1e999", 0, "1e999 is too large a number"),
            ("a # b", 2, "'#' has no meaning here; put names and texts in quotes"),
        ] {
            let expected = ConditionError { message: message.to_owned(), at };
            assert_eq!(tokens(text).unwrap_err(), expected, "{text}");
        }
    }
}
