//! Keycloak, started and stopped by `scripts/keycloak` on a port and in a folder of its own, and changed as its
//! administrator changes it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tls::Authority;
use super::{ports, provided};

/// The script that knows all about starting Keycloak.
pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/keycloak");

/// What the realms' tokens say in `aud`.
pub const AUDIENCE: &str = "http://kafka.dev";

/// How a client is set that was registered to get tokens for itself, and for nobody else.
pub const REGISTERED: [(&str, bool); 6] = [
    ("publicClient", false),
    ("serviceAccountsEnabled", true),
    ("standardFlowEnabled", false),
    ("implicitFlowEnabled", false),
    ("directAccessGrantsEnabled", false),
    ("enabled", true),
];

/// An answer that is not here by now does not come: a machine with two cores may compile beside the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this run has Keycloak.
pub fn is_here() -> bool {
    provided::required("SLUICEGATE_KEYCLOAK", "Keycloak")
}

/// A running Keycloak, for as long as the value or the test binary lives.
pub struct Keycloak {
    port: u16,
    /// Who vouches for it where it listens by HTTPS.
    pub authority: Authority,
    /// The script ends Keycloak and removes its folder when its standard input does, thus also without a drop.
    script: Child,
    dir: TempDir,
}

impl Keycloak {
    /// Starts it with these realms, each with these clients, written `ID:SECRET[:ROLE,…]`.
    pub fn start(realms: &[&str], clients: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("keycloak-").tempdir().expect("a temporary directory");
        let port = ports::free_range(3);
        let authority = Authority::new("the authority of Keycloak");
        authority.pair(&["127.0.0.1"]).write(dir.path(), "tls");
        let mut script = Command::new(SCRIPT);
        script.args(["start", "--while-stdin-open", "--port", &port.to_string(), "--dir"]).arg(dir.path());
        script.arg("--certificate").arg(dir.path().join("tls.crt"));
        script.arg("--key").arg(dir.path().join("tls.key"));
        script.args(realms.iter().flat_map(|realm| ["--realm", realm]));
        script.args(clients.iter().flat_map(|client| ["--client", client]));
        let mut script =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/keycloak starts");
        let mut addresses = String::new();
        let stdout = script.stdout.as_mut().expect("it was asked for above");
        stdout.read_to_string(&mut addresses).expect("the script writes UTF-8");
        assert!(
            addresses.contains("KEYCLOAK_URL="),
            "Keycloak did not start; scripts/keycloak says why above"
        );
        Self { port, authority, script, dir }
    }

    /// Where it is, for clients and for its administrator.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same by HTTPS.
    pub fn https_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.https_port())
    }

    fn https_port(&self) -> u16 {
        self.port + 2
    }

    /// The `iss` of a realm's tokens that one gets by HTTPS.
    pub fn https_issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.https_url())
    }

    /// The `iss` of a realm's tokens.
    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.url())
    }

    pub fn jwks_url(&self, realm: &str) -> String {
        format!("{}/protocol/openid-connect/certs", self.issuer(realm))
    }

    pub fn token_url(&self, realm: &str) -> String {
        format!("{}/protocol/openid-connect/token", self.issuer(realm))
    }

    pub fn introspection_url(&self, realm: &str) -> String {
        format!("{}/introspect", self.token_url(realm))
    }

    /// Ends a client's token before its time.
    pub fn revoke(&self, realm: &str, client: &str, secret: &str, token: &str) {
        let form = format!("token={token}&client_id={client}&client_secret={secret}");
        let path = format!("/realms/{realm}/protocol/openid-connect/revoke");
        let form_follows = "content-type: application/x-www-form-urlencoded";
        let (code, answer) = self.http("POST", &path, form_follows, &form);
        assert_eq!(code, 200, "{answer}");
    }

    /// What a client is answered that asks for a token: the status and the document.
    pub fn ask_for_token(&self, realm: &str, client: &str, secret: &str) -> (u16, Value) {
        let form = format!("grant_type=client_credentials&client_id={client}&client_secret={secret}");
        self.post_form(&format!("/realms/{realm}/protocol/openid-connect/token"), &form)
    }

    /// A client's token.
    pub fn token(&self, realm: &str, client: &str, secret: &str) -> String {
        granted(self.ask_for_token(realm, client, secret))
    }

    /// A client's token that it gets by HTTPS.
    pub fn token_by_https(&self, realm: &str, client: &str, secret: &str) -> String {
        let form = format!("grant_type=client_credentials&client_id={client}&client_secret={secret}");
        let path = format!("/realms/{realm}/protocol/openid-connect/token");
        let host = "127.0.0.1".try_into().expect("an address is a name of a server");
        let connection = ClientConnection::new(self.authority.client(), host).expect("TLS can be begun");
        let mut stream = StreamOwned::new(connection, self.connect(self.https_port()));
        granted(document(exchange(&mut stream, self.https_port(), "POST", &path, FORM, &form)))
    }

    /// A token of the administrator, who belongs to the realm `master`.
    pub fn administrators_token(&self) -> String {
        let form = "grant_type=password&client_id=admin-cli&username=admin&password=admin";
        granted(self.post_form("/realms/master/protocol/openid-connect/token", form))
    }

    /// Changes a client as the administrator sees it.
    pub fn change_client(&self, realm: &str, client: &str, change: impl FnOnce(&mut Value)) {
        let mut found = self.client(realm, client);
        change(&mut found);
        let id = text(&found, "id");
        self.administer("PUT", &format!("/{realm}/clients/{id}"), Some(&found));
    }

    /// Has a client's tokens say that they are for another client too.
    pub fn add_audience(&self, realm: &str, client: &str, other: &str) {
        let id = text(&self.client(realm, client), "id");
        let mapper = json!({
            "name": other, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.client.audience": other, "access.token.claim": "true"},
        });
        self.administer("POST", &format!("/{realm}/clients/{id}/protocol-mappers/models"), Some(&mapper));
    }

    /// Gives a client another secret, and returns it; the one before counts no more.
    pub fn renew_secret(&self, realm: &str, client: &str) -> String {
        let id = text(&self.client(realm, client), "id");
        let renewed = self.administer("POST", &format!("/{realm}/clients/{id}/client-secret"), None);
        text(&renewed, "value")
    }

    /// Gives a client's account a role of the realm.
    pub fn give_role(&self, realm: &str, client: &str, role: &str) {
        self.map_role("POST", realm, client, role);
    }

    /// Takes a role of the realm from a client's account.
    pub fn take_role(&self, realm: &str, client: &str, role: &str) {
        self.map_role("DELETE", realm, client, role);
    }

    fn map_role(&self, method: &str, realm: &str, client: &str, role: &str) {
        let account = self.account(realm, client);
        let role = self.administer("GET", &format!("/{realm}/roles/{role}"), None);
        let path = format!("/{realm}/users/{}/role-mappings/realm", text(&account, "id"));
        self.administer(method, &path, Some(&json!([role])));
    }

    /// The user that a client is when it asks for itself.
    fn account(&self, realm: &str, client: &str) -> Value {
        let client = text(&self.client(realm, client), "id");
        self.administer("GET", &format!("/{realm}/clients/{client}/service-account-user"), None)
    }

    /// Has a realm sign by a new key from now on; those before it stay in its key set.
    pub fn rotate_keys(&self, realm: &str, priority: u32) {
        let id = text(&self.administer("GET", &format!("/{realm}"), None), "id");
        let key = json!({
            "name": format!("key-{priority}"), "parentId": id, "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {
                "priority": [priority.to_string()], "enabled": ["true"], "active": ["true"],
                "keySize": ["2048"], "algorithm": ["RS256"],
            },
        });
        self.administer("POST", &format!("/{realm}/components"), Some(&key));
    }

    /// Adds a client; what is not said is as Keycloak has it by itself.
    pub fn add_client(&self, realm: &str, client: &Value) {
        self.administer("POST", &format!("/{realm}/clients"), Some(client));
    }

    /// Adds a user with a password who may do nothing.
    pub fn add_user(&self, realm: &str, username: &str, password: &str) {
        let user = json!({
            "username": username, "enabled": true,
            "email": format!("{username}@example.com"), "firstName": "A", "lastName": "User",
            "credentials": [{"type": "password", "value": password, "temporary": false}],
        });
        self.administer("POST", &format!("/{realm}/users"), Some(&user));
    }

    /// Takes the account of a client from it, but not the client.
    pub fn disable_account(&self, realm: &str, client: &str) {
        let account = text(&self.account(realm, client), "id");
        self.administer("PUT", &format!("/{realm}/users/{account}"), Some(&json!({"enabled": false})));
    }

    /// A client as the administrator sees it.
    pub fn client(&self, realm: &str, client: &str) -> Value {
        let mut found = self.administer("GET", &format!("/{realm}/clients?clientId={client}"), None);
        let found = found.get_mut(0).unwrap_or_else(|| panic!("the realm {realm} has no client {client}"));
        // They come in any order.
        for member in ["defaultClientScopes", "optionalClientScopes", "protocolMappers"] {
            if let Some(list) = found.get_mut(member).and_then(Value::as_array_mut) {
                list.sort_by_key(Value::to_string);
            }
        }
        found.take()
    }

    /// One call of the administrator below `/admin/realms`; what it answers, or null.
    fn administer(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let token = self.administrators_token();
        let body = body.map_or_else(String::new, Value::to_string);
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json");
        let (code, answer) = self.http(method, &format!("/admin/realms{path}"), &headers, &body);
        assert!((200..300).contains(&code), "{method} {path} is answered with {code}: {answer}");
        serde_json::from_str(&answer).unwrap_or(Value::Null)
    }

    fn post_form(&self, path: &str, form: &str) -> (u16, Value) {
        document(self.http("POST", path, FORM, form))
    }

    fn http(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        exchange(&mut self.connect(self.port), self.port, method, path, headers, body)
    }

    fn connect(&self, port: u16) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("Keycloak listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has options");
        stream
    }
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";

/// One request by HTTP/1.0, whose answers end with the connection and come in no chunks.
fn exchange(
    stream: &mut (impl Read + Write),
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("Keycloak takes the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("Keycloak answers");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("an answer has a status");
    (code, body.to_owned())
}

fn document((code, answer): (u16, String)) -> (u16, Value) {
    (code, serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no JSON, and {code}: {answer}")))
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

fn granted((code, answer): (u16, Value)) -> String {
    assert_eq!(code, 200, "{answer}");
    text(&answer, "access_token")
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}")).to_owned()
}
