//! What is handed on, and by which names.

use std::fmt;
use std::str::FromStr;

use super::Secret;

/// What a program needs for a token: handed on under names of the operator's choice.
pub(super) struct Credentials {
    pub client_id: String,
    pub client_secret: Secret,
    pub token_endpoint_url: String,
    pub scope: String,
    /// SASL extensions, `name=value`.
    pub extensions: Vec<(String, String)>,
}

/// One of the things that are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Value {
    Method,
    ClientId,
    ClientSecret,
    TokenEndpointUrl,
    Extensions,
    Scope,
}

impl Value {
    fn of(self, credentials: &Credentials) -> Secret {
        match self {
            Self::Method => Secret::new("oidc"),
            Self::ClientId => Secret::new(credentials.client_id.clone()),
            Self::ClientSecret => credentials.client_secret.clone(),
            Self::TokenEndpointUrl => Secret::new(credentials.token_endpoint_url.clone()),
            Self::Extensions => {
                let pairs = credentials.extensions.iter().map(|(name, value)| format!("{name}={value}"));
                Secret::new(pairs.collect::<Vec<_>>().join(","))
            }
            Self::Scope => Secret::new(credentials.scope.clone()),
        }
    }
}

/// The names that a program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// method, client_id, client_secret, token_endpoint_url, extensions, scope
    Kafka,
    /// OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, OIDC_TOKEN_URL
    Mlflow,
    /// PHOENIX_OAUTH2_CLIENT_ID, PHOENIX_OAUTH2_CLIENT_SECRET
    Phoenix,
    /// MLFLOW_CLIENT_ID, MLFLOW_CLIENT_SECRET
    OtelCollector,
}

impl Preset {
    fn keys(self) -> &'static [(&'static str, Value)] {
        match self {
            Self::Kafka => &[
                ("method", Value::Method),
                ("client_id", Value::ClientId),
                ("client_secret", Value::ClientSecret),
                ("token_endpoint_url", Value::TokenEndpointUrl),
                ("extensions", Value::Extensions),
                ("scope", Value::Scope),
            ],
            Self::Mlflow => &[
                ("OIDC_CLIENT_ID", Value::ClientId),
                ("OIDC_CLIENT_SECRET", Value::ClientSecret),
                ("OIDC_TOKEN_URL", Value::TokenEndpointUrl),
            ],
            Self::Phoenix => &[
                ("PHOENIX_OAUTH2_CLIENT_ID", Value::ClientId),
                ("PHOENIX_OAUTH2_CLIENT_SECRET", Value::ClientSecret),
            ],
            Self::OtelCollector => {
                &[("MLFLOW_CLIENT_ID", Value::ClientId), ("MLFLOW_CLIENT_SECRET", Value::ClientSecret)]
            }
        }
    }
}

/// A name, and what is handed on under it: `NAME=VALUE` on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub(super) name: String,
    value: Value,
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, word)) = text.split_once('=') else {
            return Err("write NAME=VALUE, for example DB_CLIENT=client_id".to_owned());
        };
        let value = <Value as clap::ValueEnum>::from_str(word, false).map_err(|_| {
            let words = <Value as clap::ValueEnum>::value_variants().iter();
            let words = words.filter_map(clap::ValueEnum::to_possible_value);
            let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
            format!("{word:?} is nothing that is handed on; expected one of {}", words.join(", "))
        })?;
        // What a Kubernetes secret takes; of an environment's lines more is asked.
        let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            && !name.starts_with('.');
        if !is_name {
            return Err(format!("{name:?} is no name; letters, digits, -, _ and . make one, no . first"));
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// All names under which something is handed on.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn chosen(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// A name that stands twice.
    pub(super) fn repeated(&self) -> Option<&str> {
        let names = self.0.iter().map(|key| key.name.as_str());
        let mut places = names.clone().enumerate();
        places
            .find(|(place, name)| names.clone().take(*place).any(|earlier| earlier == *name))
            .map(|(_, name)| name)
    }

    /// A name that no variable of an environment can have.
    pub(super) fn no_variable(&self) -> Option<&str> {
        let is_variable = |name: &&str| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        self.0.iter().map(|key| key.name.as_str()).find(|name| !is_variable(name))
    }

    pub(super) fn entries(&self, credentials: &Credentials) -> Vec<(String, Secret)> {
        self.0.iter().map(|key| (key.name.clone(), key.value.of(credentials))).collect()
    }
}

impl From<Preset> for Keys {
    fn from(preset: Preset) -> Self {
        let key = |(name, value): &(&str, Value)| Key { name: (*name).to_owned(), value: *value };
        Self(preset.keys().iter().map(key).collect())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .finish_non_exhaustive()
    }
}

/// What Kubernetes takes.
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a realm of Keycloak's would give.
    pub(in super::super) fn credentials() -> Credentials {
        Credentials {
            client_id: "reader-app".to_owned(),
            client_secret: Secret::new("hunter2"),
            token_endpoint_url: "http://kc/realms/kafka/protocol/openid-connect/token".to_owned(),
            scope: "email profile".to_owned(),
            extensions: vec![
                ("logicalCluster".into(), "lkc-1".into()),
                ("identityPoolId".into(), "p-1".into()),
            ],
        }
    }

    fn entries(keys: &Keys) -> Vec<(String, String)> {
        let entries = keys.entries(&credentials()).into_iter();
        entries.map(|(name, value)| (name, value.expose().to_owned())).collect()
    }

    #[test]
    fn every_preset_hands_on_what_its_program_reads() {
        const URL: &str = "http://kc/realms/kafka/protocol/openid-connect/token";
        let check = |preset: Preset, expected: &[(&str, &str)]| {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(entries(&preset.into()), expected);
        };
        check(
            Preset::Kafka,
            &[
                ("method", "oidc"),
                ("client_id", "reader-app"),
                ("client_secret", "hunter2"),
                ("token_endpoint_url", URL),
                ("extensions", "logicalCluster=lkc-1,identityPoolId=p-1"),
                ("scope", "email profile"),
            ],
        );
        check(
            Preset::Mlflow,
            &[("OIDC_CLIENT_ID", "reader-app"), ("OIDC_CLIENT_SECRET", "hunter2"), ("OIDC_TOKEN_URL", URL)],
        );
        check(
            Preset::Phoenix,
            &[("PHOENIX_OAUTH2_CLIENT_ID", "reader-app"), ("PHOENIX_OAUTH2_CLIENT_SECRET", "hunter2")],
        );
        check(
            Preset::OtelCollector,
            &[("MLFLOW_CLIENT_ID", "reader-app"), ("MLFLOW_CLIENT_SECRET", "hunter2")],
        );
    }

    #[test]
    fn names_may_be_chosen_freely() {
        let keys = ["APP_ID=client_id", "APP_SECRET=client_secret"].map(|text| text.parse().unwrap());
        let keys = Keys::chosen(keys.to_vec());
        assert_eq!(keys.repeated(), None);
        let expected = [("APP_ID", "reader-app"), ("APP_SECRET", "hunter2")];
        assert_eq!(entries(&keys), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let twice = ["A=client_id", "B=scope", "A=client_secret"].map(|text| text.parse().unwrap());
        assert_eq!(Keys::chosen(twice.to_vec()).repeated(), Some("A"));
        let odd = ["A=scope", "client-id=client_id"].map(|text| text.parse().unwrap());
        assert_eq!(Keys::chosen(odd.to_vec()).no_variable(), Some("client-id"));
    }

    #[test]
    fn a_name_that_cannot_be_one_is_refused_with_what_can() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Key>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("client_id", "write NAME=VALUE");
        check("APP=secret", "expected one of method, client_id, client_secret, token_endpoint_url, ");
        check("=client_id", "is no name");
        check(".a=client_id", "is no name");
        check("A B=client_id", "is no name");
        check("A\n=client_id", "is no name");
    }

    #[test]
    fn credentials_show_no_secret() {
        let shown = format!("{:?}", credentials());
        assert!(shown.contains("reader-app") && !shown.contains("hunter2"), "{shown}");
    }
}
