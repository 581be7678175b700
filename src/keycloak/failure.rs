//! What goes wrong usually, and what to do about it.

use std::path::PathBuf;

/// Why a client was not registered, or its secret not handed on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{} cannot be read: {why}", path.display())]
    File { path: PathBuf, why: std::io::Error },
    #[error("{} is no CA bundle; it must hold certificates in PEM, from BEGIN to END", .0.display())]
    CaBundle(PathBuf),
    #[error("no client for HTTPS could be made: {0}")]
    Client(String),
    #[error(
        "{at} is unreachable: {why}; check the address, and that its name is known and its port open from here"
    )]
    Unreachable { at: String, why: String },
    #[error(
        "SSL certificate problem: {at} shows one that is not trusted: {why}; give the certificate of its \
         authority with --ca-bundle, or a URL inside the cluster whose host the certificate names or that \
         needs none"
    )]
    NotTrusted { at: String, why: String },
    #[error("{at} refuses plain HTTP; give KEYCLOAK_URL with https")]
    HttpsRequired { at: String },
    #[error(
        "{at} is no Keycloak: nothing answers under {path}; give KEYCLOAK_URL with its base path, if it has \
         one such as /auth"
    )]
    NoKeycloak { at: String, path: String },
    #[error(
        "the admin's credentials are wrong: realm {realm:?} answers {word}; check KEYCLOAK_ADMIN and \
         KEYCLOAK_PASSWORD, and with --admin-realm the realm that this user is in"
    )]
    AdminRefused { realm: String, word: String },
    #[error("there is no realm {0:?}; make it, or check --realm and --admin-realm for its exact name")]
    NoRealm(String),
    #[error(
        "the admin may not {what} in realm {realm:?}; give this user the role {needs} of the client \
         \"realm-management\" there, or \"{realm}-realm\" in the realm master"
    )]
    NotAllowed { what: &'static str, realm: String, needs: &'static str },
    #[error(
        "client {0:?} exists and is public, so it has no secret; choose another --client, or make it \
         confidential with --adopt, after which nobody logs in with it without its secret"
    )]
    Public(String),
    #[error("client {0:?} exists and is disabled; enable it in Keycloak, or choose another --client")]
    Disabled(String),
    #[error(
        "client {0:?} exists and its service account is off; switch it on in Keycloak, or with --adopt, \
         which also turns off every other way to log in with it"
    )]
    ServiceAccountOff(String),
    #[error(
        "client {client:?} exists for something else ({what}); choose another --client, or turn it into one \
         for machines alone with --adopt"
    )]
    OtherUse { client: String, what: String },
    #[error("client {0:?} has no secret that can be read; give it one with --new-secret")]
    NoSecret(String),
    #[error(
        "client {client:?} gets no token ({word}): its service account is off; switch it on in Keycloak, or \
         with --adopt"
    )]
    TokenWithoutAccount { client: String, word: String },
    #[error(
        "client {client:?} gets no token with its secret ({word}): the secret is stale, or its service account \
         is off or disabled; get a new one with --new-secret, and see its user in Keycloak"
    )]
    TokenRefused { client: String, word: String },
    #[error("{at} answers {status} {word} when asked to {what}; its log says why")]
    Unexpected { at: String, status: u16, word: String, what: &'static str },
    #[error("{at} answers with something else than was asked for ({what}): {why}")]
    Unreadable { at: String, what: &'static str, why: String },
    #[error(
        "this does not run inside a cluster: {0} is not set; run it as a Job, or take --to manifest and apply \
         what it prints"
    )]
    NoCluster(&'static str),
    #[error(
        "the API server does not know this service account (401); mount its token, or name its folder with \
         --service-account"
    )]
    AccountUnknown,
    #[error(
        "Access denied: this service account may not {verb} the secret {namespace}/{name}; give it create, \
         get, update and patch on secrets there by a Role, and a RoleBinding to the account in its own \
         namespace, as deploy/keycloak/rbac.yaml does"
    )]
    AccessDenied { verb: &'static str, namespace: String, name: String },
    #[error("there is no namespace {0:?}; make it, or check --namespace")]
    NoNamespace(String),
}
