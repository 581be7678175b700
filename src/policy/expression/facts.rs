//! What expressions may ask about, and where it stands under `context`.

use super::value::{Object, Value};
use crate::names::Principal;

/// What is known of one login, as expressions see it.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    pub auth_type: &'a str,
    pub principal: &'a Principal,
    /// The token's claims; `Null` where there is no token.
    pub claims: &'a serde_json::Value,
    /// The SASL extensions that came with the token.
    pub extensions: &'a [(String, String)],
    pub client_id: Option<&'a str>,
    pub client_address: &'a str,
    pub listener: &'a str,
}

/// One thing that expressions may ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    AuthType,
    PrincipalName,
    Claims,
    Extensions,
    ClientId,
    ClientAddress,
    ListenerName,
}

impl Fact {
    pub fn of<'a>(self, circumstances: &Circumstances<'a>) -> Value<'a> {
        match self {
            Fact::AuthType => Value::text(circumstances.auth_type),
            Fact::PrincipalName => Value::text(circumstances.principal.name()),
            Fact::Claims => Value::from_json(circumstances.claims),
            Fact::Extensions => Value::Object(Object::Pairs(circumstances.extensions)),
            Fact::ClientId => circumstances.client_id.map_or(Value::Null, Value::text),
            Fact::ClientAddress => Value::text(circumstances.client_address),
            Fact::ListenerName => Value::text(circumstances.listener),
        }
    }

    /// What it is whatever the circumstances.
    pub fn always(self) -> &'static str {
        match self {
            Fact::Claims | Fact::Extensions => "an object",
            _ => "text",
        }
    }
}

/// A place in the tree under `context`.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Leaf(Fact),
    Branch(&'static [(&'static str, Place)]),
}

/// The tree under `context`.
pub const CONTEXT: &[(&str, Place)] = &[
    (
        "auth",
        Place::Branch(&[
            ("type", Place::Leaf(Fact::AuthType)),
            ("principal", Place::Branch(&[("name", Place::Leaf(Fact::PrincipalName))])),
            ("token", Place::Branch(&[("claims", Place::Leaf(Fact::Claims))])),
            ("claims", Place::Leaf(Fact::Claims)),
            ("extensions", Place::Leaf(Fact::Extensions)),
        ]),
    ),
    (
        "client",
        Place::Branch(&[("id", Place::Leaf(Fact::ClientId)), ("address", Place::Leaf(Fact::ClientAddress))]),
    ),
    ("listener", Place::Branch(&[("name", Place::Leaf(Fact::ListenerName))])),
];

/// The full path of a word that stands somewhere under `context`, for messages.
pub fn full_path(word: &str) -> Option<&'static str> {
    Some(match word {
        "auth" => "context.auth",
        "principal" => "context.auth.principal",
        "token" => "context.auth.token",
        "claims" => "context.auth.claims",
        "extensions" => "context.auth.extensions",
        "client" => "context.client",
        "listener" => "context.listener",
        _ => return None,
    })
}
