//! What the operator asks for, and the words of the command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;
use zeroize::Zeroizing;

use super::keys::{Key, Keys};
use super::{Failure, Preset, SecurityProtocol, http};

/// Everything that must be known before Keycloak is asked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) url: Url,
    pub(super) admin: String,
    pub(super) password: Secret,
    pub(super) admin_realm: String,
    pub(super) ca_bundle: Option<String>,
    pub(super) timeout: Duration,
    pub(super) realm: String,
    pub(super) client: String,
    pub(super) audiences: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) client_roles: Vec<String>,
    pub(super) adopt: bool,
    pub(super) new_secret: bool,
    pub(super) token_url: Option<Url>,
    pub(super) scope: String,
    pub(super) extensions: Vec<(String, String)>,
    pub(super) keys: Keys,
    pub(super) target: Target,
}

/// Where the secret goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Lines `NAME=VALUE`.
    Env,
    /// A file for Kafka's own clients.
    Properties(SecurityProtocol),
    /// A Kubernetes `Secret` as YAML.
    Manifest { namespace: Option<String>, name: String },
    /// The cluster that this runs in; by default the namespace that this runs in.
    Cluster { namespace: Option<String>, name: String, service_account: PathBuf },
}

/// A text that is never shown: `Debug` says its length, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that sends or writes it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Registers a confidential client with a service account, and hands its secret on.
///
/// What is there already stays: run it as often as you like. Mappers and roles that it does not name
/// are left alone. Before the secret is handed on, it is tried for a token.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RegisterArgs {
    /// Keycloak's address with its base path, if it has one, for example https://idp.example
    #[arg(long = "keycloak-url", value_name = "URL", env = "KEYCLOAK_URL")]
    url: String,

    /// The admin's username; the password is read from KEYCLOAK_PASSWORD only
    #[arg(long, value_name = "USERNAME", env = "KEYCLOAK_ADMIN")]
    admin: String,

    /// The realm that the admin is in
    #[arg(long, value_name = "REALM", default_value = "master")]
    admin_realm: String,

    /// The certificates, as PEM, that vouch for Keycloak [default: the system's trust store]
    #[arg(long, value_name = "FILE", env = "KEYCLOAK_CA_BUNDLE")]
    ca_bundle: Option<PathBuf>,

    /// How long to wait for each answer, for example 10s
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,

    /// The realm that the client is in
    #[arg(long, value_name = "REALM")]
    realm: String,

    /// The client's id, for example reader-app
    #[arg(long, value_name = "ID")]
    client: String,

    /// An audience of the client's tokens; repeatable
    #[arg(long = "audience", value_name = "AUDIENCE", default_value = "http://kafka.dev")]
    audiences: Vec<String>,

    /// A role of the realm for the client, in realm_access.roles; made if need be; repeatable
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,

    /// A role of the client's own, in resource_access.ID.roles; made if need be; repeatable
    #[arg(long = "client-role", value_name = "ROLE")]
    client_roles: Vec<String>,

    /// Turn a client that is public, or used otherwise, into one for machines alone
    ///
    /// Whoever logs in with it by a browser or by a user's password no longer can.
    #[arg(long)]
    adopt: bool,

    /// Give the client a new secret; the one before it ends at once
    #[arg(long)]
    new_secret: bool,

    /// The token endpoint that is handed on [default: what the realm says]
    #[arg(long, value_name = "URL")]
    token_url: Option<Url>,

    /// The scope that is handed on; may be empty
    #[arg(long, value_name = "SCOPE", default_value = "")]
    scope: String,

    /// A SASL extension that is handed on, for example logicalCluster=lkc-1; repeatable
    #[arg(long = "extension", value_name = "NAME=VALUE")]
    extensions: Vec<String>,

    /// Where the secret goes
    #[arg(long, value_enum, value_name = "WHERE", default_value = "env")]
    to: Word,

    /// The names that a program reads
    #[arg(long, value_enum, value_name = "PRESET", default_value = "kafka", conflicts_with = "keys")]
    preset: Preset,

    /// A name of your own for something that is handed on, instead of a preset; repeatable
    ///
    /// For example APP_ID=client_id. What is handed on: method, client_id, client_secret,
    /// token_endpoint_url, extensions, scope.
    #[arg(long = "key", value_name = "NAME=VALUE")]
    keys: Vec<Key>,

    /// How the clients reach their brokers, for --to properties
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value = "SASL_SSL", ignore_case = true)]
    security_protocol: SecurityProtocol,

    /// The secret's namespace, for --to manifest and --to cluster [default: the one this runs in]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// The secret's name, for --to manifest and --to cluster [default: the client's id]
    #[arg(long, value_name = "NAME")]
    secret_name: Option<String>,

    /// The folder of the service account's token, for --to cluster
    #[arg(long, value_name = "FOLDER", default_value = "/var/run/secrets/kubernetes.io/serviceaccount")]
    service_account: PathBuf,
}

/// The words for where the secret goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Word {
    /// Lines NAME=VALUE on standard output
    Env,
    /// A properties file for Kafka's own clients on standard output
    Properties,
    /// A Kubernetes Secret as YAML on standard output
    Manifest,
    /// A Secret of the cluster that this runs in
    Cluster,
}

/// Why the command line cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum WrongUse {
    #[error("KEYCLOAK_PASSWORD is not set; it is the only way to give the admin's password")]
    NoPassword,
    #[error("--keycloak-url is no address; give http or https and a host, without a user, query or fragment")]
    Url,
    #[error("--{0} must be a text without control characters, and not empty")]
    Text(&'static str),
    #[error("--token-url is no address; give http or https and a host, without a user")]
    TokenUrl,
    #[error("--extension number {0} is not NAME=VALUE of letters for the name and no comma in the value")]
    Extension(usize),
    #[error("--key names {0:?} twice; give each a name of its own")]
    KeyTwice(String),
    #[error("--key names {0:?}, which no variable can have; for --to env use letters, digits and _")]
    NoVariable(String),
    #[error("--{0} is for --to manifest and --to cluster only")]
    NoSecret(&'static str),
    #[error("--namespace {0:?} is no name of a namespace; small letters, digits and - make one")]
    Namespace(String),
    #[error(
        "{0:?} is no name of a Kubernetes secret; give one with --secret-name: small letters, digits, - and ."
    )]
    SecretName(String),
    #[error(transparent)]
    File(Failure),
}

impl Settings {
    /// Reads the words; the password and nothing else comes from `environment`.
    pub fn read(args: RegisterArgs, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, WrongUse> {
        let password = environment("KEYCLOAK_PASSWORD").filter(|text| !text.is_empty());
        let password = Secret::new(password.ok_or(WrongUse::NoPassword)?);
        let url = address(&args.url).filter(|url| url.query().is_none() && url.fragment().is_none());
        let url = url.ok_or(WrongUse::Url)?;
        if args.token_url.as_ref().is_some_and(|url| address(url.as_str()).is_none()) {
            return Err(WrongUse::TokenUrl);
        }
        let named = [("admin", &args.admin), ("admin-realm", &args.admin_realm), ("realm", &args.realm)];
        let lists =
            [("audience", &args.audiences), ("role", &args.roles), ("client-role", &args.client_roles)];
        let listed = lists.into_iter().flat_map(|(name, list)| list.iter().map(move |text| (name, text)));
        for (name, text) in named.into_iter().chain([("client", &args.client)]).chain(listed) {
            // A path knows these two as something else than a name.
            if text.is_empty() || text.contains(char::is_control) || text == "." || text == ".." {
                return Err(WrongUse::Text(name));
            }
        }
        if args.scope.contains(char::is_control) {
            return Err(WrongUse::Text("scope"));
        }
        let target = target(&args)?;
        let keys = if args.keys.is_empty() { args.preset.into() } else { Keys::chosen(args.keys) };
        if let Some(name) = keys.repeated() {
            return Err(WrongUse::KeyTwice(name.to_owned()));
        }
        if let (Target::Env, Some(name)) = (&target, keys.no_variable()) {
            return Err(WrongUse::NoVariable(name.to_owned()));
        }
        let extensions = args.extensions.iter().enumerate();
        let extensions = extensions.map(|(at, text)| extension(text).ok_or(WrongUse::Extension(at + 1)));
        Ok(Self {
            url,
            admin: args.admin,
            password,
            admin_realm: args.admin_realm,
            ca_bundle: args.ca_bundle.as_deref().map(bundle).transpose().map_err(WrongUse::File)?,
            timeout: args.timeout,
            realm: args.realm,
            client: args.client,
            audiences: args.audiences,
            roles: args.roles,
            client_roles: args.client_roles,
            adopt: args.adopt,
            new_secret: args.new_secret,
            token_url: args.token_url,
            scope: args.scope,
            extensions: extensions.collect::<Result<_, _>>()?,
            keys,
            target,
        })
    }

    /// Whether the admin's password goes over a network in the clear.
    pub fn is_in_the_clear(&self) -> bool {
        let is_here = match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.url.scheme() == "http" && !is_here
    }
}

fn address(text: &str) -> Option<Url> {
    let url: Url = text.parse().ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain).then_some(url)
}

fn target(args: &RegisterArgs) -> Result<Target, WrongUse> {
    if matches!(args.to, Word::Env | Word::Properties) {
        if args.namespace.is_some() {
            return Err(WrongUse::NoSecret("namespace"));
        }
        if args.secret_name.is_some() {
            return Err(WrongUse::NoSecret("secret-name"));
        }
    }
    let namespace = args.namespace.clone();
    let secret_name = || {
        let name = args.secret_name.as_ref().unwrap_or(&args.client).clone();
        let is_name = name.len() <= 253 && name.split('.').all(is_label);
        if is_name { Ok(name) } else { Err(WrongUse::SecretName(name)) }
    };
    if let Some(name) = namespace.as_ref().filter(|name| !is_label(name)) {
        return Err(WrongUse::Namespace(name.clone()));
    }
    Ok(match args.to {
        Word::Env => Target::Env,
        Word::Properties => Target::Properties(args.security_protocol),
        Word::Manifest => Target::Manifest { namespace, name: secret_name()? },
        Word::Cluster => {
            let service_account = args.service_account.clone();
            Target::Cluster { namespace, name: secret_name()?, service_account }
        }
    })
}

/// A label of RFC 1123, as names in Kubernetes are made of.
pub(super) fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// RFC 7628 has letters in an extension's name; a comma would end its value in a list.
fn extension(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let is_name = !name.is_empty() && name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_value = !value.contains(|c: char| c.is_control() || c == ',');
    (is_name && is_value).then(|| (name.to_owned(), value.to_owned()))
}

fn bundle(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|why| Failure::File { path: path.to_owned(), why })?;
    if http::is_bundle(&text) { Ok(text) } else { Err(Failure::CaBundle(path.to_owned())) }
}

const EXAMPLES: &str = "\
Examples:
  export KEYCLOAK_URL=https://idp.example KEYCLOAK_ADMIN=admin KEYCLOAK_PASSWORD
  sluicegate keycloak register --realm kafka --client reader-app --role reader > reader.env
  sluicegate keycloak register --realm kafka --client reader-app --to properties > client.properties
  sluicegate keycloak register --realm kafka --client mlflow --preset mlflow --to manifest | kubectl apply -f -
  sluicegate keycloak register --realm kafka --client sluicegate --to cluster --namespace kafka \\
    --secret-name sluicegate-kafka --ca-bundle /etc/keycloak/ca.pem
  sluicegate keycloak register --realm kafka --client app --key APP_ID=client_id --key APP_SECRET=client_secret

Exit codes: 0 right, 1 refused or failed, 2 wrong use.";

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        args: RegisterArgs,
    }

    /// Settings as these words make them, with an address and an admin before them.
    pub(in super::super) fn settings(words: &[&str]) -> Result<Settings, WrongUse> {
        let usual =
            ["sluicegate", "--keycloak-url", "http://kc:8080/auth", "--admin", "admin", "--realm", "kafka"];
        let words = usual.iter().chain(&["--client", "reader-app"]).chain(words);
        let args = Words::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args;
        Settings::read(args, &|name| (name == "KEYCLOAK_PASSWORD").then(|| "hunter2".to_owned()))
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", settings(&[]).unwrap());
        assert!(shown.contains("Secret(7 bytes)") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn without_a_password_there_is_no_way_in() {
        let args =
            ["sluicegate", "--keycloak-url", "http://kc", "--admin", "a", "--realm", "r", "--client", "c"];
        let read = |password: Option<&str>| {
            let args = Words::try_parse_from(args).unwrap_or_else(|error| panic!("{error}")).args;
            Settings::read(args, &|_| password.map(str::to_owned))
        };
        assert!(matches!(read(None), Err(WrongUse::NoPassword)));
        assert!(matches!(read(Some("")), Err(WrongUse::NoPassword)));
        assert!(read(Some("x")).is_ok());
    }

    #[test]
    fn what_cannot_be_meant_is_wrong_use() {
        let check = |words: &[&str], expected: &str| {
            let error = settings(words).map(|_| ()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        };
        check(&["--role", ""], "--role must be a text");
        check(&["--client-role", ".."], "--client-role must be a text");
        check(&["--audience", "a\nb"], "--audience must be a text");
        check(&["--scope", "a\nb"], "--scope must be a text");
        check(&["--extension", "lkc-1"], "--extension number 1");
        check(&["--extension", "a=b", "--extension", "auth=x"], "--extension number 2");
        check(&["--extension", "a=b,c"], "--extension number 1");
        check(&["--key", "A=scope", "--key", "A=method"], "names \"A\" twice");
        check(&["--key", "client-id=client_id"], "which no variable can have");
        check(&["--namespace", "kafka"], "--namespace is for --to manifest");
        check(&["--to", "properties", "--secret-name", "x"], "--secret-name is for --to manifest");
        check(&["--to", "cluster", "--namespace", "a/b"], "is no name of a namespace");
        check(&["--to", "cluster", "--secret-name", "../x"], "is no name of a Kubernetes secret");
        check(&["--to", "manifest", "--secret-name", "Reader"], "is no name of a Kubernetes secret");
        check(&["--token-url", "ftp://kc/token"], "--token-url is no address");
        check(&["--ca-bundle", "/nowhere/ca.pem"], "/nowhere/ca.pem cannot be read");
        check(&["--ca-bundle", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], "is no CA bundle");
    }

    #[test]
    fn an_address_has_a_host_and_no_password() {
        let check = |text: &str, is_right: bool| assert_eq!(address(text).is_some(), is_right, "{text}");
        check("https://idp.example/auth", true);
        check("http://[::1]:8080", true);
        check("https://admin:hunter2@idp.example", false);
        check("unix:/run/kc", false);
        check("idp.example", false);
    }

    #[test]
    fn plain_http_beyond_this_machine_is_noticed() {
        let clear = |url: &str| {
            let mut settings = settings(&[]).unwrap();
            settings.url = url.parse().unwrap();
            settings.is_in_the_clear()
        };
        assert!(clear("http://kc:8080"));
        assert!(clear("http://10.0.0.1"));
        assert!(!clear("https://kc"));
        assert!(!clear("http://127.0.0.1:8080"));
        assert!(!clear("http://[::1]:8080"));
        assert!(!clear("http://localhost"));
    }
}
