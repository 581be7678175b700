//! The addresses under which all this is served.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::issued::Issued;
use super::keys::{KeySet, OLD_KEYS_MAX, SigningKey};
use super::request::{self, Refused};
use super::settings::Settings;
use super::token::{self, Stamp};
use super::{Algorithm, IssuerError};

/// What all requests share.
pub struct Desk {
    settings: Settings,
    issuer_url: String,
    keys: ArcSwap<KeySet>,
    issued: std::sync::Mutex<Issued>,
    /// Rotations go one after the other: each starts from the set that the last one left.
    rotation: Mutex<()>,
}

impl Desk {
    pub async fn open(settings: Settings, local_addr: SocketAddr) -> Result<Self, IssuerError> {
        let issuer_url = settings.issuer.clone().unwrap_or_else(|| url_of(local_addr));
        let key = generate(settings.algorithm, settings.key_id.clone()).await?;
        let keys = ArcSwap::from_pointee(KeySet::new(key));
        let issued = std::sync::Mutex::default();
        Ok(Self { settings, issuer_url, keys, issued, rotation: Mutex::new(()) })
    }

    pub fn issuer_url(&self) -> &str {
        &self.issuer_url
    }

    pub fn clients(&self) -> impl Iterator<Item = &str> {
        self.settings.clients.iter().map(|client| client.id.as_str())
    }

    fn token(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
        let (content_type, authorization) = who_asks(headers);
        let granted = request::grant(&self.settings.clients, content_type, authorization, body)?;
        let lifetime_seconds = self.settings.token_lifetime.as_secs();
        let stamp = Stamp {
            issuer: &self.issuer_url,
            audiences: &self.settings.audiences,
            issued_at: unix_seconds(),
            lifetime_seconds,
            token_id: random_id()?,
        };
        let expires_at = stamp.issued_at.saturating_add(lifetime_seconds);
        let claims = token::claims(granted.client, granted.scope.as_deref(), stamp);
        let token = match self.settings.opaque {
            true => random_id()?,
            false => self.keys.load().signing().sign(&claims)?,
        };
        self.issued().note(&token, &granted.client.id, claims.clone(), expires_at);
        let mut answer =
            json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime_seconds});
        if let Some(scope) = claims.get("scope") {
            answer["scope"] = scope.clone();
        }
        Ok(answer)
    }

    /// Source: RFC 7662 section 2.2.
    fn introspect(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
        let (content_type, authorization) = who_asks(headers);
        let asked = request::inquiry(&self.settings.clients, content_type, authorization, body)?;
        let issued = self.issued();
        let Some(claims) = issued.find(&asked.token, unix_seconds()) else {
            return Ok(json!({"active": false}));
        };
        let mut answer = claims.clone();
        answer.insert("active".to_owned(), json!(true));
        answer.insert("token_type".to_owned(), json!("Bearer"));
        Ok(answer.into())
    }

    /// Source: RFC 7009 section 2.2: a token that is not there is as good as revoked.
    fn revoke(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Failure> {
        let (content_type, authorization) = who_asks(headers);
        let asked = request::inquiry(&self.settings.clients, content_type, authorization, body)?;
        self.issued().revoke(&asked.token, &asked.client.id);
        Ok(())
    }

    fn issued(&self) -> std::sync::MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn rotate(&self, keep: usize) -> Result<Value, Failure> {
        let _turn = self.rotation.lock().await;
        let old = self.keys.load_full();
        let id = self.settings.key_id.as_ref().map(|id| format!("{id}-{}", old.generation() + 1));
        let key = generate(self.settings.algorithm, id).await?;
        let new = old.rotated(key, keep);
        let answer = json!({"kid": new.signing().id(), "replaced": old.signing().id()});
        self.keys.store(Arc::new(new));
        Ok(answer)
    }

    /// Source: OpenID Connect Discovery 1.0 and RFC 8414; one document serves both.
    fn metadata(&self) -> Value {
        let base = self.issuer_url.trim_end_matches('/');
        json!({
            "issuer": self.issuer_url,
            "token_endpoint": format!("{base}/token"),
            "jwks_uri": format!("{base}/.well-known/jwks"),
            "introspection_endpoint": format!("{base}/introspect"),
            "revocation_endpoint": format!("{base}/revoke"),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.settings.algorithm.name()],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        })
    }
}

/// Every address, below the root and below the issuer's own path if it has one.
pub fn router(desk: Arc<Desk>) -> Router {
    let path = url::Url::parse(desk.issuer_url()).map(|url| url.path().trim_end_matches('/').to_owned());
    let routes = Router::new()
        .route("/token", post(token))
        .route("/introspect", post(introspect))
        .route("/revoke", post(revoke))
        .route("/rotate", post(rotate))
        .route("/healthz", get(async || "ok\n"))
        .route("/.well-known/jwks", get(jwks))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata));
    let router = match path {
        Ok(path) if !path.is_empty() => {
            // RFC 8414 puts the well-known part between host and path.
            let behind = format!("/.well-known/oauth-authorization-server{path}");
            routes.clone().route(&behind, get(metadata)).nest(&path, routes)
        }
        _ => routes,
    };
    router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(desk)
}

async fn token(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    match desk.token(&headers, &body) {
        Ok(answer) => (NO_STORE, Json(answer)).into_response(),
        Err(failure) => failure.into_response(),
    }
}

async fn introspect(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    match desk.introspect(&headers, &body) {
        Ok(answer) => (NO_STORE, Json(answer)).into_response(),
        Err(failure) => failure.into_response(),
    }
}

async fn revoke(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: Bytes) -> Response {
    match desk.revoke(&headers, &body) {
        Ok(()) => NO_STORE.into_response(),
        Err(failure) => failure.into_response(),
    }
}

/// The headers that say what a request's body is, and whose.
fn who_asks(headers: &HeaderMap) -> (Option<&str>, Option<&str>) {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    (text(header::CONTENT_TYPE), text(header::AUTHORIZATION))
}

#[derive(serde::Deserialize)]
struct Rotation {
    /// How many old keys stay in the set.
    keep: Option<usize>,
}

async fn rotate(State(desk): State<Arc<Desk>>, Query(rotation): Query<Rotation>) -> Response {
    match desk.rotate(rotation.keep.unwrap_or(OLD_KEYS_MAX)).await {
        Ok(answer) => (NO_STORE, Json(answer)).into_response(),
        Err(failure) => failure.into_response(),
    }
}

async fn jwks(State(desk): State<Arc<Desk>>) -> Response {
    (NO_STORE, Json(desk.keys.load().jwks())).into_response()
}

async fn metadata(State(desk): State<Arc<Desk>>) -> Response {
    (NO_STORE, Json(desk.metadata())).into_response()
}

/// A refusal, or a fault of our own.
enum Failure {
    Refused(Refused),
    Ours(IssuerError),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<IssuerError> for Failure {
    fn from(error: IssuerError) -> Self {
        Self::Ours(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (code, description) = match self {
            Self::Refused(refused) => (refused.code(), refused.to_string()),
            Self::Ours(error) => ("server_error", error.to_string()),
        };
        let status = match code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = Json(json!({"error": code, "error_description": description}));
        let mut response = (status, NO_STORE, body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, BASIC);
        }
        response
    }
}

/// Off the runtime's own threads: an RSA key takes its time.
async fn generate(algorithm: Algorithm, id: Option<String>) -> Result<SigningKey, IssuerError> {
    let made = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm, id)).await;
    made.map_err(|_| IssuerError::Key(algorithm))?
}

/// `0.0.0.0` is no address to call; the machine itself answers to `localhost`.
fn url_of(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("http://localhost:{}", address.port()),
        false => format!("http://{address}"),
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn random_id() -> Result<String, IssuerError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| IssuerError::Random)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

const NO_STORE: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
const BASIC: axum::http::HeaderValue =
    axum::http::HeaderValue::from_static("Basic realm=\"sluicegate issuer\"");
/// A few short parameters, or a token.
const BODY_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_url_is_one_that_can_be_called() {
        for (address, expected) in [
            ("127.0.0.1:9080", "http://127.0.0.1:9080"),
            ("[::1]:9080", "http://[::1]:9080"),
            ("0.0.0.0:9080", "http://localhost:9080"),
            ("[::]:9080", "http://localhost:9080"),
        ] {
            assert_eq!(url_of(address.parse().unwrap()), expected);
        }
    }
}
