//! Files that are wrong, and what is said of them.

mod broker_tokens; // how the gateway gets tokens of its own for brokers
mod errors; //   what must be changed
mod introspection; // tokens about which an OAuth server is asked
mod login_endpoints; // where clients' names and passwords are exchanged for tokens
mod schema; //   what an editor is told
mod server_names; // virtual clusters behind server names
mod walls; //    what would let one tenant into another's world, or a secret out
mod warnings; // what is allowed and probably not meant

use super::*;
use crate::auth::{KeyPlace, Method};
use crate::cluster::{Behind, Door};

/// A file about which there is nothing to say. The numbers on the right are its lines.
const RIGHT: &str = r#"backend_clusters:
  - name: local
    bootstrap_servers: ["kafka:9092"]
virtual_clusters:
  - name: team
    destination: {name: local}
    authentication:
      - type: oauth_bearer
        jwks: {endpoint: "https://idp.example/jwks"}
        validate: {issuer: "https://idp.example", audiences: [{name: kafka}]}
    namespace:
      mode: hide_prefix
      prefix: my-
    cluster_policies:
      - type: acls
        name: all
        config:
          rules:
            - {resource_type: topic, action: allow, operations: [{name: all}], resource_names: [{match: "*"}]}
            - {resource_type: group, action: allow, operations: [{name: all}], resource_names: [{match: "*"}]}
listeners:
  - name: front
    addresses: ["127.0.0.1"]
    ports: ["19092-19094"]
    policies:
      - type: forward_to_virtual_cluster
        config: {type: port_mapping, advertised_host: localhost, destination: {name: team}}
"#;

const KEYS: &str =
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn told(source: &str) -> (Vec<String>, Vec<String>) {
    let environment = |name: &str| (name == "HUNTER").then(|| "hunter2".to_owned());
    let files = |path: &Path| match path.to_str() {
        Some("/etc/gw/keys.json") => Ok(KEYS.to_owned()),
        Some("/etc/gw/hunter") => Ok("hunter2\n".to_owned()),
        Some("/etc/gw/client.key") => Ok(rcgen::KeyPair::generate().unwrap().serialize_pem()),
        Some("/etc/gw/kafka/client_id") => Ok("gateway\n".to_owned()),
        Some("/etc/gw/kafka/client_secret") => Ok("hunter2\n".to_owned()),
        Some("/etc/gw/kafka/token_endpoint_url") => Ok("http://idp.example/token\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    let files = |name: &str| files(&Path::new("/etc/gw").join(name));
    let elsewhere = Elsewhere { directory: Path::new("/etc/gw"), environment: &environment, files: &files };
    let without_file = |problem: &Problem| problem.to_string().trim_start_matches("f:").to_owned();
    match read(source, "f", &elsewhere) {
        Ok((_, warnings)) => (Vec::new(), warnings.iter().map(|warning| without_file(&warning.0)).collect()),
        Err(errors) => (errors.problems().iter().map(without_file).collect(), Vec::new()),
    }
}

fn changed(old: &str, new: &str) -> String {
    assert_eq!(RIGHT.matches(old).count(), 1, "{old:?} does not stand once in the right file");
    RIGHT.replace(old, new)
}

/// Puts `new` in place of `old` in the right file, and compares every error that comes of it.
fn check(old: &str, new: &str, expected: &[&str]) {
    let (errors, _) = told(&changed(old, new));
    assert_eq!(errors, expected, "{new}");
}

/// As `check`, for a file that is allowed and warned of.
fn warns(old: &str, new: &str, expected: &[&str]) {
    let (errors, warnings) = told(&changed(old, new));
    assert_eq!(errors, [""; 0], "{new}");
    assert_eq!(warnings, expected, "{new}");
}

#[test]
fn the_example_is_right_and_warned_of_its_plain_listeners_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.yaml");
    let (gateway, warnings) = load(&path, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(gateway.directory.clusters.len(), 2);
    assert_eq!(warnings.len(), 2);
    assert!(warnings.iter().all(|warning| warning.0.message.contains("takes tokens without TLS")));
}

#[test]
fn the_right_file_is_right() {
    let (errors, warnings) = told(RIGHT);
    assert_eq!((errors, warnings), (vec![], vec![]));
}

/// A second virtual cluster, to be put in place of `listeners:`, which stays.
fn second(name: &str, prefix: &str, backend: &str) -> String {
    format!(
        "  - name: {name}
    destination: {{name: {backend}}}
    acl_mode: passthrough
    authentication:
      - type: oauth_bearer
        jwks: {{endpoint: \"https://idp.example/jwks\"}}
        validate: {{issuer: \"https://idp.example\", audiences: [{{name: kafka}}]}}
    namespace:
      mode: hide_prefix
      prefix: {prefix}
listeners:"
    )
}

fn read_right(source: &str) -> Gateway {
    let elsewhere = Elsewhere {
        directory: Path::new("/etc/gw"),
        environment: &|_| None,
        files: &|_| Ok(KEYS.to_owned()),
    };
    read(source, "f", &elsewhere).unwrap_or_else(|errors| panic!("{errors}")).0
}

#[test]
fn the_file_becomes_the_values_of_the_rooms() {
    let source = changed(
        "    bootstrap",
        "    metadata_update_interval_seconds: 5
    tls: {enabled: true, tls_versions: [tls13]}
    bootstrap",
    );
    let source = source.replace(
        "        validate:",
        "        session_lifetime_max: 1h
        clock_skew: 1s
        claims_mapping: {sub: client_id}
        validate:",
    );
    let source = source.replace("{endpoint: \"https://idp.example/jwks\"}", "{file: keys.json}");
    let gateway = read_right(&format!(
        "{source}limits: {{connections: 7, frame_bytes: 1MiB}}\naudit: {{file: audit.log}}\n"
    ));
    let backend = &gateway.directory.backends[0];
    assert_eq!(backend.metadata_interval, Duration::from_secs(5));
    let versions = backend.tls.as_ref().unwrap().versions;
    assert_eq!((versions.tls12, versions.tls13), (false, true));
    let cluster = &gateway.directory.clusters[0];
    assert_eq!(cluster.namespace.prefix(), "my-");
    assert_eq!(cluster.cluster_id.len(), 22);
    let [Method::OauthBearer(oauth)] = &cluster.authentication.methods[..] else { panic!("{cluster:?}") };
    let rules = &oauth.verifier.rules;
    assert_eq!(rules.issuer.as_deref(), Some("https://idp.example"));
    assert_eq!(rules.audiences, ["kafka"]);
    assert_eq!(rules.lifetime_max, Some(Duration::from_secs(24 * 3600)));
    assert_eq!(
        (rules.clock_skew, rules.session_lifetime_max),
        (Duration::from_secs(1), Some(Duration::from_secs(3600)))
    );
    assert_eq!(
        (rules.principal_claim.to_string(), rules.scope_claim.to_string()),
        ("client_id".into(), "scope".into())
    );
    let place = oauth.source.as_ref().map(|source| &source.place);
    assert_eq!(place, Some(&KeyPlace::File { path: "/etc/gw/keys.json".into() }));
    assert_eq!(gateway.directory.entrances[0].ports, [19092, 19093, 19094]);
    assert_eq!(gateway.directory.listeners[0].book.brokers_max(), Some(2));
    assert_eq!((gateway.limits.connections, gateway.limits.frame_bytes), (7, 1 << 20));
    assert_eq!(gateway.audit, AuditTarget::File("/etc/gw/audit.log".into()));
    assert_eq!(gateway.admin, Some(SocketAddr::from(([127, 0, 0, 1], 8090))));
    assert_eq!(gateway.drain_timeout, Duration::from_secs(30));
}

#[test]
fn a_cluster_id_is_stable_and_its_own() {
    let id = |source: &str| read_right(source).directory.clusters[0].cluster_id.to_string();
    assert_eq!(id(RIGHT), "z7xNrXyNdG45Ys_4IbsUlQ");
    assert_eq!(id(&changed("    namespace:", "    cluster_id: mine\n    namespace:")), "mine");
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.yaml");
    let shown = path.display().to_string();
    let errors = load(&path, &|_| None).unwrap_err().to_string();
    assert!(errors.starts_with(&format!("{shown}: the file can not be read: No such file")), "{errors}");
    std::fs::write(&path, "#".repeat(4 * 1024 * 1024 + 1)).unwrap();
    let errors = load(&path, &|_| None).unwrap_err().to_string();
    assert_eq!(errors, format!("{shown}: the file can not be read: it is larger than 4 MiB"));
    std::fs::write(&path, b"a: \xff").unwrap();
    let errors = load(&path, &|_| None).unwrap_err().to_string();
    assert_eq!(errors, format!("{shown}: the file can not be read: it is not UTF-8 text"));
}

#[test]
fn ten_thousand_tenants_are_checked_at_once() {
    let tenants: String = (0..10_000)
        .map(|n| format!("  - {{name: t{n}, destination: {{name: local}}, acl_mode: passthrough, authentication: [*a], namespace: {{mode: hide_prefix, prefix: t{n}-, additional: {{topics: [{{type: glob, glob: 'shared-{n}-*'}}]}}}}}}\n"))
        .collect();
    let source = changed("listeners:", &format!("{tenants}listeners:"))
        .replace("      - type: oauth_bearer", "      - &a\n        type: oauth_bearer");
    let (errors, warnings) = told(&source);
    assert_eq!(errors, [""; 0]);
    assert_eq!(warnings.len(), 10_000); // no listener leads there
}
