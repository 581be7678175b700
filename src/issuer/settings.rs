//! What the operator asks for, and the words of the command line.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::IssuerError;

/// Everything an issuer needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub clients: Vec<Client>,
    /// The `iss` of tokens; by default the address it listens on.
    pub issuer: Option<String>,
    pub audiences: Vec<String>,
    pub algorithm: Algorithm,
    pub token_lifetime: Duration,
    /// The first key's id; by default its RFC 7638 thumbprint.
    pub key_id: Option<String>,
    /// Whether tokens say nothing by themselves, so that the issuer must be asked.
    pub opaque: bool,
}

/// Who may have a token, and what his tokens say besides the usual.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub secret: Secret,
    /// These win over the issuer's own claims, except over `iss`, `iat` and `exp`.
    pub claims: Map<String, Value>,
}

/// A client's secret: `Debug` shows its length, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "EdDSA")]
    EdDsa,
}

/// Runs an OAuth issuer for development and tests: client credentials, discovery, a key set.
///
/// It is not for production: it keeps its keys in memory, speaks plain HTTP, and lets anybody
/// rotate the keys.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Where to listen; stay on loopback unless others are meant to reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    pub listen: SocketAddr,

    /// A client that may have tokens, for example reader-app:reader-secret; repeatable
    ///
    /// The id ends at the first colon.
    #[arg(long = "client", value_name = "ID:SECRET", required = true)]
    pub clients: Vec<Secret>,

    /// One more claim in a client's tokens, for example 'reader-app:groups=["ops"]'; repeatable
    ///
    /// What is valid JSON is taken as such, anything else as text: reader-app:tenant=blue. These
    /// claims win over the usual ones, except over iss, iat and exp.
    #[arg(long = "claim", value_name = "ID:NAME=VALUE")]
    pub claims: Vec<String>,

    /// An audience of every token; repeatable
    #[arg(long = "audience", value_name = "AUDIENCE", default_value = "http://kafka.dev")]
    pub audiences: Vec<String>,

    /// The `iss` of tokens, for example http://issuer:9080 [default: http://ADDRESS]
    ///
    /// It is also the base of all addresses in the discovery document; a path in it is served.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,

    /// How tokens are signed
    #[arg(long, value_enum, ignore_case = true, default_value = "RS256")]
    pub algorithm: Algorithm,

    /// How long a token is good for, for example 30s, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub token_lifetime: Duration,

    /// The `kid` of the first key [default: its RFC 7638 thumbprint]
    #[arg(long, value_name = "ID")]
    pub key_id: Option<String>,

    /// Give out tokens that are no JWTs; only /introspect says what they are worth
    #[arg(long)]
    pub opaque: bool,
}

impl TryFrom<Args> for Settings {
    type Error = IssuerError;

    fn try_from(args: Args) -> Result<Self, IssuerError> {
        let mut clients = Vec::with_capacity(args.clients.len());
        for (index, text) in args.clients.iter().enumerate() {
            clients.push(Client::parse(text).ok_or(IssuerError::ClientForm(index + 1))?);
        }
        for text in args.claims {
            let Some((id, name, value)) = parse_claim(&text) else {
                return Err(IssuerError::ClaimForm(text));
            };
            let Some(client) = clients.iter_mut().find(|client| client.id == id) else {
                let client = id.to_owned();
                return Err(IssuerError::ClaimWithoutClient { claim: text, client });
            };
            client.claims.insert(name.to_owned(), value);
        }
        let settings = Self {
            listen: args.listen,
            clients,
            issuer: args.issuer,
            audiences: args.audiences,
            algorithm: args.algorithm,
            token_lifetime: args.token_lifetime,
            key_id: args.key_id,
            opaque: args.opaque,
        };
        settings.check()?;
        Ok(settings)
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), IssuerError> {
        for (index, client) in self.clients.iter().enumerate() {
            if self.clients[..index].iter().any(|earlier| earlier.id == client.id) {
                return Err(IssuerError::ClientTwice(client.id.clone()));
            }
            if let Some(name) = RESERVED_CLAIMS.iter().find(|name| client.claims.contains_key(**name)) {
                return Err(IssuerError::ClaimReserved((*name).to_owned()));
            }
        }
        if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&self.token_lifetime) {
            return Err(IssuerError::Lifetime(self.token_lifetime));
        }
        match &self.issuer {
            Some(issuer) if !is_issuer_url(issuer) => Err(IssuerError::IssuerUrl(issuer.clone())),
            _ => Ok(()),
        }
    }
}

impl Client {
    pub fn new(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), secret: secret.into(), claims: Map::new() }
    }

    fn parse(text: &Secret) -> Option<Self> {
        let (id, secret) = text.reveal().split_once(':')?;
        (!id.is_empty() && !secret.is_empty()).then(|| Self::new(id, secret))
    }
}

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl Algorithm {
    /// The name in a token's header and in a key.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A claim's name may itself hold colons, as `https://example.com/role` does.
fn parse_claim(text: &str) -> Option<(&str, &str, Value)> {
    let (id, rest) = text.split_once(':')?;
    let (name, value) = rest.split_once('=')?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    (!id.is_empty() && !name.is_empty()).then_some((id, name, value))
}

/// The path becomes a route, where braces and the like would have a meaning.
fn is_issuer_url(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]".contains(c);
    let Ok(url) = Url::parse(text) else { return false };
    matches!(url.scheme(), "http" | "https")
        && text.chars().all(plain)
        && !url.path().contains("//")
        && !url.path().contains("/:")
}

/// Without these as they are, a token would not be this issuer's, or not have its lifetime.
pub(super) const RESERVED_CLAIMS: [&str; 3] = ["iss", "iat", "exp"];
/// Times in tokens are whole seconds.
const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// Ten years: `exp` stays a number that every client can read.
const LIFETIME_MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

const EXAMPLES: &str = "\
Examples:
  sluicegate issuer --client reader-app:reader-secret --client writer-app:writer-secret
  sluicegate issuer --client app:secret --claim 'app:groups=[\"ops\"]' --claim app:tenant=blue
  sluicegate issuer --client app:secret --algorithm ES256 --audience kafka --token-lifetime 1h
  curl -u reader-app:reader-secret -d grant_type=client_credentials http://127.0.0.1:9080/token
  curl -u reader-app:reader-secret -d token=TOKEN http://127.0.0.1:9080/introspect
  curl -u reader-app:reader-secret -d token=TOKEN http://127.0.0.1:9080/revoke
  curl -X POST 'http://127.0.0.1:9080/rotate?keep=0'";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn settings(words: &[&str]) -> Result<Settings, String> {
        let words = ["issuer"].iter().chain(words);
        let command = Command::try_parse_from(words).map_err(|error| error.to_string())?;
        Settings::try_from(command.args).map_err(|error| error.to_string())
    }

    #[test]
    fn a_client_is_all_that_has_to_be_said() {
        let settings = settings(&["--client", "reader-app:a:b"]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:9080");
        assert_eq!(settings.audiences, ["http://kafka.dev"]);
        assert_eq!(settings.algorithm, Algorithm::Rs256);
        assert_eq!(settings.token_lifetime, Duration::from_secs(300));
        assert_eq!(settings.clients[0].id, "reader-app");
        assert_eq!(settings.clients[0].secret.reveal(), "a:b");
    }

    #[test]
    fn everything_can_be_said() {
        let settings = settings(&[
            "--listen=[::1]:1",
            "--client=a:x",
            "--client=b:y",
            r#"--claim=a:groups=["ops","dev"]"#,
            "--claim=a:https://example.com/role=x=y",
            "--claim=b:level=3",
            "--audience=one",
            "--audience=two",
            "--issuer=http://issuer:9080/realms/kafka",
            "--algorithm=eddsa",
            "--token-lifetime=90s",
            "--key-id=first",
            "--opaque",
        ])
        .unwrap();
        assert_eq!(
            Value::from(settings.clients[0].claims.clone()),
            json!({"groups": ["ops", "dev"], "https://example.com/role": "x=y"})
        );
        assert_eq!(Value::from(settings.clients[1].claims.clone()), json!({"level": 3}));
        assert_eq!(settings.audiences, ["one", "two"]);
        assert_eq!(settings.issuer.as_deref(), Some("http://issuer:9080/realms/kafka"));
        assert_eq!(settings.algorithm, Algorithm::EdDsa);
        assert_eq!(settings.token_lifetime, Duration::from_secs(90));
        assert_eq!((settings.key_id.as_deref(), settings.opaque), (Some("first"), true));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_remedy() {
        for (words, expected) in [
            (&[][..], "--client <ID:SECRET>"),
            (&["--client=a"], "--client number 1 is not ID:SECRET"),
            (&["--client=a:x", "--client=:y"], "--client number 2 is not ID:SECRET"),
            (&["--client=a:x", "--client=a:y"], r#"client "a" is named twice"#),
            (&["--client=a:x", "--claim=a:b"], "is not ID:NAME=VALUE"),
            (&["--client=a:x", "--claim=b:c=d"], r#"is for "b", and there is no such --client"#),
            (&["--client=a:x", "--claim=a:exp=1"], r#"claim "exp" is the issuer's own"#),
            (&["--client=a:x", "--token-lifetime=10ms"], "outside 1s to 3650d"),
            (&["--client=a:x", "--issuer=ftp://x"], "give an http or https URL"),
            (&["--client=a:x", "--issuer=http://x/{y}"], "give an http or https URL"),
            (&["--client=a:x", "--issuer=http://x?y"], "give an http or https URL"),
        ] {
            let error = settings(words).unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn a_secret_is_shown_by_nothing() {
        let shown = format!("{:?}", Client::new("a", "hunter2"));
        assert!(shown.contains("Secret(7 bytes)"), "{shown}");
        for words in
            [&["--client=hunter2"][..], &["--client=:hunter2"], &["--client=a:hunter2", "--listen=x"]]
        {
            let error = settings(words).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
