//! Who asks for a token or about one, and for what; every way to refuse.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use url::form_urlencoded;

use super::Client;

/// A request that has been granted: the client has proven who it is.
#[derive(Debug)]
pub struct Granted<'a> {
    pub client: &'a Client,
    pub scope: Option<String>,
}

/// Reads one token request.
///
/// Source: RFC 6749, sections 2.3.1 (client authentication) and 4.4 (client credentials).
pub fn grant<'a>(
    clients: &'a [Client],
    content_type: Option<&str>,
    authorization: Option<&str>,
    body: &[u8],
) -> Result<Granted<'a>, Refused> {
    let mut form = Form::read(content_type, body)?;
    match form.take("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => return Err(Refused::GrantType),
        None => return Err(Refused::Missing("grant_type")),
    }
    let client = authenticate(clients, authorization, &mut form)?;
    let scope = form.take("scope");
    if scope.as_deref().is_some_and(|scope| !is_scope(scope)) {
        return Err(Refused::Scope);
    }
    Ok(Granted { client, scope })
}

/// A request about a token, by a client that has proven who it is.
#[derive(Debug)]
pub struct Inquiry<'a> {
    pub client: &'a Client,
    pub token: String,
}

/// Reads one request to introspect or to revoke a token.
///
/// Source: RFC 7662 section 2.1, RFC 7009 section 2.1.
pub fn inquiry<'a>(
    clients: &'a [Client],
    content_type: Option<&str>,
    authorization: Option<&str>,
    body: &[u8],
) -> Result<Inquiry<'a>, Refused> {
    let mut form = Form::read(content_type, body)?;
    let client = authenticate(clients, authorization, &mut form)?;
    let token = form.take("token").ok_or(Refused::Missing("token"))?;
    Ok(Inquiry { client, token })
}

/// Why nothing is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("send the parameters as application/x-www-form-urlencoded")]
    NotAForm,
    #[error("a parameter is given more than once")]
    Repeated,
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    #[error("authenticate either by HTTP Basic or by client_id and client_secret, not by both")]
    TwoWays,
    #[error("authenticate by HTTP Basic or by client_id and client_secret")]
    NoCredentials,
    #[error("the Authorization header is not HTTP Basic with id:secret in base64")]
    Authorization,
    #[error("unknown client or wrong secret")]
    WrongCredentials,
    #[error("this issuer knows only grant_type=client_credentials")]
    GrantType,
    #[error("a scope is a list of printable words with one space between them")]
    Scope,
}

impl Refused {
    /// The error code of RFC 6749, section 5.2.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAForm | Self::Repeated | Self::Missing(_) | Self::TwoWays => "invalid_request",
            Self::NoCredentials | Self::Authorization | Self::WrongCredentials => "invalid_client",
            Self::GrantType => "unsupported_grant_type",
            Self::Scope => "invalid_scope",
        }
    }
}

/// Parameters by name; an empty one counts as left out.
struct Form(HashMap<String, String>);

impl Form {
    fn read(content_type: Option<&str>, body: &[u8]) -> Result<Self, Refused> {
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refused::NotAForm);
        }
        Self::parse(body)
    }

    fn parse(body: &[u8]) -> Result<Self, Refused> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Refused::Repeated);
            }
        }
        Ok(Self(parameters))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }
}

fn authenticate<'a>(
    clients: &'a [Client],
    authorization: Option<&str>,
    form: &mut Form,
) -> Result<&'a Client, Refused> {
    let (form_id, form_secret) = (form.take("client_id"), form.take("client_secret"));
    let Some(authorization) = authorization else {
        let (Some(id), Some(secret)) = (form_id, form_secret) else {
            return Err(Refused::NoCredentials);
        };
        return find(clients, &id, &secret).ok_or(Refused::WrongCredentials);
    };
    if form_secret.is_some() {
        return Err(Refused::TwoWays);
    }
    let (id, secret) = basic(authorization).ok_or(Refused::Authorization)?;
    // RFC 6749 wants both form-encoded before base64; Kafka's Java client and curl leave them as they are.
    let client = find(clients, &id, &secret)
        .or_else(|| find(clients, &form_decoded(&id)?, &form_decoded(&secret)?))
        .ok_or(Refused::WrongCredentials)?;
    match form_id {
        Some(form_id) if form_id != client.id => Err(Refused::TwoWays),
        _ => Ok(client),
    }
}

/// The client of this id, if the secret is its own; takes as long when there is no such client.
fn find<'a>(clients: &'a [Client], id: &str, secret: &str) -> Option<&'a Client> {
    let client = clients.iter().find(|client| client.id == id);
    let expected = client.map_or("", |client| client.secret.reveal());
    // Digests, for the comparison takes constant time only over equal lengths.
    let (expected, offered) = (digest(&SHA256, expected.as_bytes()), digest(&SHA256, secret.as_bytes()));
    let same = verify_slices_are_equal(expected.as_ref(), offered.as_ref()).is_ok();
    client.filter(|_| same)
}

fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn form_decoded(text: &str) -> Option<String> {
    // A lone value, so that '=' and '&' in it are not separators; where they stand bare it was not encoded.
    if text.contains(['=', '&']) {
        return None;
    }
    let pair = form_urlencoded::parse(text.as_bytes()).next();
    pair.map(|(name, _)| name.into_owned())
}

/// RFC 6749, section 3.3.
fn is_scope(scope: &str) -> bool {
    let printable = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    scope.split(' ').all(|word| !word.is_empty() && word.bytes().all(printable))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";
    const ASK: &str = "grant_type=client_credentials";

    fn basic(credentials: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(credentials))
    }

    /// Who was granted a token, with which scope; or the refusal.
    fn ask(authorization: Option<&str>, body: &str) -> Result<(String, Option<String>), Refused> {
        let clients = [Client::new("app", "secret"), Client::new("http://odd/id", "a+b c%2F&=")];
        let granted = grant(&clients, Some(FORM), authorization, body.as_bytes())?;
        Ok((granted.client.id.clone(), granted.scope))
    }

    fn check(authorization: Option<&str>, body: &str, expected: Result<&str, Refused>) {
        let found = ask(authorization, body).map(|(id, _)| id);
        assert_eq!(found.as_deref().map_err(|refused| *refused), expected, "{authorization:?} {body}");
    }

    #[test]
    fn a_client_proves_itself_by_basic_or_in_the_form() {
        check(Some(&basic("app:secret")), ASK, Ok("app"));
        check(Some(&basic("app:secret").replace("Basic", "bAsIc")), ASK, Ok("app"));
        check(Some(&basic("app:secret")), &format!("{ASK}&client_id=app"), Ok("app"));
        check(None, &format!("{ASK}&client_id=app&client_secret=secret"), Ok("app"));
    }

    #[test]
    fn odd_characters_come_as_they_are_or_encoded() {
        let odd = "a%2Bb+c%252F%26%3D";
        check(Some(&basic(&format!("http%3A%2F%2Fodd%2Fid:{odd}"))), ASK, Ok("http://odd/id"));
        let body = format!("{ASK}&client_id=http://odd/id&client_secret={odd}");
        check(None, &body, Ok("http://odd/id"));
    }

    #[test]
    fn who_does_not_prove_himself_gets_nothing() {
        check(None, ASK, Err(Refused::NoCredentials));
        check(None, &format!("{ASK}&client_id=app"), Err(Refused::NoCredentials));
        for credentials in ["app:wrong", "app:", "nobody:", "nobody:secret", ":", "app:secret2", "app:secre"]
        {
            check(Some(&basic(credentials)), ASK, Err(Refused::WrongCredentials));
        }
        for header in ["Bearer abc", "Basic", "Basic !!!", &basic("app")] {
            check(Some(header), ASK, Err(Refused::Authorization));
        }
        let both = format!("{ASK}&client_id=app&client_secret=secret");
        check(Some(&basic("app:secret")), &both, Err(Refused::TwoWays));
        check(Some(&basic("app:secret")), &format!("{ASK}&client_id=other"), Err(Refused::TwoWays));
    }

    #[test]
    fn only_one_grant_is_known() {
        let who = basic("app:secret");
        check(Some(&who), "grant_type=password", Err(Refused::GrantType));
        check(Some(&who), "", Err(Refused::Missing("grant_type")));
        check(Some(&who), "grant_type=", Err(Refused::Missing("grant_type")));
        check(Some(&who), &format!("{ASK}&{ASK}"), Err(Refused::Repeated));
        let refused = grant(&[], Some("application/json"), None, ASK.as_bytes()).unwrap_err();
        assert_eq!(refused, Refused::NotAForm);
    }

    #[test]
    fn who_asks_about_a_token_proves_himself_too() {
        let clients = [Client::new("app", "secret")];
        let check = |authorization: Option<&str>, body: &str, expected: Result<&str, Refused>| {
            let asked = inquiry(&clients, Some(FORM), authorization, body.as_bytes());
            assert_eq!(
                asked.map(|asked| asked.token).as_deref().map_err(|refused| *refused),
                expected,
                "{body}"
            );
        };
        let who = basic("app:secret");
        check(Some(&who), "token=a&token_type_hint=access_token", Ok("a"));
        check(None, "token=a&client_id=app&client_secret=secret", Ok("a"));
        check(Some(&who), "token=", Err(Refused::Missing("token")));
        check(Some(&basic("app:wrong")), "token=a", Err(Refused::WrongCredentials));
        check(None, "token=a", Err(Refused::NoCredentials));
        assert_eq!(inquiry(&clients, None, Some(&who), b"token=a").unwrap_err(), Refused::NotAForm);
    }

    #[test]
    fn a_scope_is_echoed_if_it_is_one() {
        let scope = |scope| ask(Some(&basic("app:secret")), &format!("{ASK}&scope={scope}")).map(|(_, s)| s);
        assert_eq!(scope("a+b:c"), Ok(Some("a b:c".to_owned())));
        assert_eq!(scope(""), Ok(None));
        for wrong in ["a++b", "+a", "a%22", "a%0Ab", "%C3%A9", "a%5C"] {
            assert_eq!(scope(wrong), Err(Refused::Scope), "{wrong}");
        }
    }
}
