//! The issuer as its clients meet it: over HTTP, tokens verified by another library.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::*;

/// An issuer that runs until it is dropped.
struct Running {
    base: String,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<Result<(), IssuerError>>,
}

impl Running {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        // Every test asks; whoever comes second hears that it is already there.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut settings = settings();
        change(&mut settings);
        let issuer = Issuer::bind(settings).await.unwrap();
        let base = format!("http://{}", issuer.local_addr());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(issuer.serve(async {
            let _ = stopped.await;
        }));
        Self { base, http: reqwest::Client::builder().no_proxy().build().unwrap(), stop: Some(stop), task }
    }

    async fn ask(&self, secret: &str, parameters: &[(&str, &str)]) -> Response {
        let request = self.http.post(format!("{}/token", self.base)).basic_auth("reader-app", Some(secret));
        request.form(parameters).send().await.unwrap()
    }

    async fn token(&self) -> String {
        let response = self.ask("reader-secret", &[("grant_type", "client_credentials")]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let answer: Value = response.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// What a client is answered that asks about a token; null where the answer is empty.
    async fn about(&self, path: &str, client: &str, token: &str) -> Result<Value, StatusCode> {
        let (id, secret) = client.split_once(':').unwrap();
        let request = self.http.post(format!("{}/{path}", self.base)).basic_auth(id, Some(secret));
        let response = request.form(&[("token", token)]).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        match response.status() {
            StatusCode::OK => {
                Ok(serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
            }
            status => Err(status),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    async fn rotate(&self, query: &str) -> Value {
        let response = self.http.post(format!("{}/rotate{query}", self.base)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// The claims of a token, if a key of the served set verifies it.
    async fn verify(&self, token: &str) -> Option<Value> {
        let keys: JwkSet = serde_json::from_value(self.get("/.well-known/jwks").await).unwrap();
        let header = decode_header(token).unwrap();
        let jwk = keys.find(header.kid.as_deref().unwrap())?;
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["http://kafka.dev"]);
        validation.set_issuer(&[&self.base]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims =
            decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap().claims;
        Some(claims)
    }
}

fn settings() -> Settings {
    let mut client = Client::new("reader-app", "reader-secret");
    client.claims.insert("groups".to_owned(), json!(["ops"]));
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        clients: vec![client],
        issuer: None,
        audiences: vec!["http://kafka.dev".to_owned()],
        algorithm: Algorithm::EdDsa,
        token_lifetime: Duration::from_secs(300),
        key_id: None,
        opaque: false,
    }
}

#[tokio::test]
async fn a_token_of_every_algorithm_is_verified_by_the_published_keys() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = Running::start(|settings| settings.algorithm = algorithm).await;
        let token = issuer.token().await;
        let header = decode_header(&token).unwrap();
        assert_eq!(format!("{:?}", header.alg), algorithm.name());
        assert_eq!(header.typ.as_deref(), Some("JWT"));
        let claims = issuer.verify(&token).await.unwrap();
        for name in ["sub", "client_id", "azp"] {
            assert_eq!(claims[name], "reader-app", "{name}");
        }
        assert_eq!(claims["groups"], json!(["ops"]));
        assert_eq!(claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap() + 300);
        let keys = issuer.get("/.well-known/jwks.json").await;
        assert_eq!(keys["keys"][0]["alg"], algorithm.name());
    }
}

#[tokio::test]
async fn the_answer_is_what_kafka_clients_expect() {
    let issuer = Running::start(|_| ()).await;
    let parameters = [("grant_type", "client_credentials"), ("scope", "a b")];
    let response = issuer.ask("reader-secret", &parameters).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["scope"], "a b");
    let claims = issuer.verify(answer["access_token"].as_str().unwrap()).await.unwrap();
    assert_eq!(claims["scope"], "a b");
}

#[tokio::test]
async fn two_tokens_differ() {
    let issuer = Running::start(|_| ()).await;
    let (one, two) = (issuer.token().await, issuer.token().await);
    let ids = [issuer.verify(&one).await.unwrap(), issuer.verify(&two).await.unwrap()];
    assert_ne!(ids[0]["jti"], ids[1]["jti"]);
}

#[tokio::test]
async fn a_refusal_has_its_code_and_says_why() {
    let issuer = Running::start(|_| ()).await;
    let good = ("grant_type", "client_credentials");
    for (secret, parameter, status, code) in [
        ("wrong", good, StatusCode::UNAUTHORIZED, "invalid_client"),
        ("reader-secret", ("grant_type", "password"), StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        ("reader-secret", ("scope", "a"), StatusCode::BAD_REQUEST, "invalid_request"),
    ] {
        let response = issuer.ask(secret, &[parameter]).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["cache-control"], "no-store");
        let challenged = response.headers().contains_key("www-authenticate");
        assert_eq!(challenged, status == StatusCode::UNAUTHORIZED);
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"], code);
        assert!(!answer["error_description"].as_str().unwrap().is_empty());
        assert!(answer.get("access_token").is_none());
    }
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let issuer = Running::start(|_| ()).await;
    let scope = "a".repeat(64 * 1024);
    let response =
        issuer.ask("reader-secret", &[("grant_type", "client_credentials"), ("scope", &scope)]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn after_a_rotation_old_tokens_are_verified_until_the_old_keys_are_dropped() {
    let issuer = Running::start(|_| ()).await;
    let first = issuer.token().await;
    let rotated = issuer.rotate("").await;
    let second = issuer.token().await;
    assert_eq!(decode_header(&second).unwrap().kid.as_deref(), rotated["kid"].as_str());
    assert_ne!(rotated["kid"], rotated["replaced"]);
    assert!(issuer.verify(&first).await.is_some() && issuer.verify(&second).await.is_some());

    issuer.rotate("?keep=0").await;
    let third = issuer.token().await;
    assert!(issuer.verify(&first).await.is_none() && issuer.verify(&second).await.is_none());
    assert!(issuer.verify(&third).await.is_some());
}

#[tokio::test]
async fn of_its_tokens_it_says_whether_they_are_active_and_whose() {
    for opaque in [false, true] {
        let issuer = Running::start(|settings| {
            settings.opaque = opaque;
            settings.clients.push(Client::new("other-app", "other-secret"));
        })
        .await;
        let token = issuer.token().await;
        assert_eq!(token.contains('.'), !opaque);
        let said = issuer.about("introspect", "reader-app:reader-secret", &token).await.unwrap();
        for (name, expected) in [
            ("active", json!(true)),
            ("token_type", json!("Bearer")),
            ("client_id", json!("reader-app")),
            ("iss", json!(issuer.base)),
            ("aud", json!(["http://kafka.dev"])),
            ("groups", json!(["ops"])),
        ] {
            assert_eq!(said[name], expected, "{name}");
        }
        let inactive = Ok(json!({"active": false}));
        assert_eq!(issuer.about("introspect", "reader-app:reader-secret", "stranger").await, inactive);
        for path in ["introspect", "revoke"] {
            let asked = issuer.about(path, "reader-app:wrong", &token).await;
            assert_eq!(asked, Err(StatusCode::UNAUTHORIZED), "{path}");
        }
        issuer.about("revoke", "other-app:other-secret", &token).await.unwrap();
        let said = issuer.about("introspect", "other-app:other-secret", &token).await.unwrap();
        assert_eq!(said["active"], true, "another's is not revoked");
        issuer.about("revoke", "reader-app:reader-secret", &token).await.unwrap();
        assert_eq!(issuer.about("introspect", "reader-app:reader-secret", &token).await, inactive);
    }
}

#[tokio::test]
async fn a_named_key_is_followed_by_numbered_ones() {
    let issuer = Running::start(|settings| settings.key_id = Some("dev".to_owned())).await;
    assert_eq!(issuer.rotate("").await, json!({"kid": "dev-2", "replaced": "dev"}));
}

#[tokio::test]
async fn discovery_leads_to_the_keys_and_to_the_token() {
    let issuer = Running::start(|_| ()).await;
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let document = issuer.get(path).await;
        assert_eq!(document["issuer"], issuer.base);
        assert_eq!(document["token_endpoint"], format!("{}/token", issuer.base));
        assert_eq!(document["jwks_uri"], format!("{}/.well-known/jwks", issuer.base));
        assert_eq!(document["introspection_endpoint"], format!("{}/introspect", issuer.base));
    }
    let response = issuer.http.get(format!("{}/healthz", issuer.base)).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok\n");
}

#[tokio::test]
async fn an_issuer_with_a_path_is_served_there_too() {
    let url = "http://issuer:9080/realms/kafka";
    let issuer = Running::start(|settings| settings.issuer = Some(url.to_owned())).await;
    for path in [
        "/realms/kafka/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/realms/kafka",
        "/.well-known/openid-configuration",
    ] {
        let document = issuer.get(path).await;
        assert_eq!(document["issuer"], url);
        assert_eq!(document["token_endpoint"], format!("{url}/token"));
    }
    assert_eq!(issuer.get("/realms/kafka/.well-known/jwks").await, issuer.get("/.well-known/jwks").await);
}

#[tokio::test]
async fn it_says_at_every_start_that_it_is_not_for_production() {
    let issuer = Issuer::bind(settings()).await.unwrap();
    let greeting = issuer.greeting();
    assert!(greeting.lines().next().unwrap().contains("NOT FOR PRODUCTION"));
    assert!(
        greeting.contains(&format!("curl -u reader-app -d grant_type=client_credentials {}", issuer.url()))
    );
    assert!(!greeting.contains("reader-secret") && !greeting.contains("WARNING"), "{greeting}");
    let issuer = Issuer::bind(Settings { listen: "0.0.0.0:0".parse().unwrap(), ..settings() }).await.unwrap();
    assert!(issuer.greeting().contains("WARNING"), "{}", issuer.greeting());
}

#[tokio::test]
async fn it_ends_when_told_even_while_a_client_holds_a_connection() {
    let mut issuer = Running::start(|_| ()).await;
    let silent = tokio::net::TcpStream::connect(issuer.base.trim_start_matches("http://")).await.unwrap();
    issuer.token().await;
    drop(issuer.stop.take());
    let ended = tokio::time::timeout(GRACE * 5, &mut issuer.task).await;
    assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
    drop(silent);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let issuer = Issuer::bind(settings()).await.unwrap();
    let taken = Settings { listen: issuer.local_addr(), ..settings() };
    let error = Issuer::bind(taken).await.err().unwrap().to_string();
    assert!(error.contains(&issuer.local_addr().to_string()), "{error}");
}
