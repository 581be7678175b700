//! Lines for an environment, a properties file for Kafka's clients, a manifest for Kubernetes.
//!
//! Values come without control characters: the settings and Keycloak's answers are checked for them.

use std::fmt::Write as _;

use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::Secret;
use super::keys::Credentials;

/// How a Kafka client reaches its brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SecurityProtocol {
    #[value(name = "SASL_SSL")]
    SaslSsl,
    #[value(name = "SASL_PLAINTEXT")]
    SaslPlaintext,
}

/// `NAME=VALUE` for a shell or an env file; quoted for a shell where it must be.
pub(super) fn env(entries: &[(String, Secret)]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    for (name, value) in entries {
        let value = value.expose();
        let is_plain =
            value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/@%+=,".contains(&byte));
        let value = if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(*text, "{name}={}", Zeroizing::new(value).as_str());
    }
    text
}

/// What Kafka's own clients, from 4.0 on, read to log in by OAUTHBEARER.
pub(super) fn properties(credentials: &Credentials, protocol: SecurityProtocol) -> Zeroizing<String> {
    let protocol = match protocol {
        SecurityProtocol::SaslSsl => "SASL_SSL",
        SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
    };
    let url = &credentials.token_endpoint_url;
    let mut jaas = Zeroizing::new(format!(
        "{OAUTH}.OAuthBearerLoginModule required clientId={} clientSecret={}",
        quoted(&credentials.client_id).as_str(),
        quoted(credentials.client_secret.expose()).as_str(),
    ));
    if !credentials.scope.is_empty() {
        let _ = write!(*jaas, " scope={}", quoted(&credentials.scope).as_str());
    }
    for (name, value) in &credentials.extensions {
        let _ = write!(*jaas, " extension_{name}={}", quoted(value).as_str());
    }
    jaas.push(';');
    Zeroizing::new(format!(
        "# The JVM wants to be told that this address is meant:\n\
         # -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={url}\n\
         security.protocol={protocol}\n\
         sasl.mechanism=OAUTHBEARER\n\
         sasl.login.callback.handler.class={OAUTH}.OAuthBearerLoginCallbackHandler\n\
         sasl.oauthbearer.token.endpoint.url={}\n\
         sasl.jaas.config={}\n",
        url.replace('\\', r"\\"),
        Zeroizing::new(jaas.replace('\\', r"\\")).as_str(),
    ))
}

/// A value in the language of JAAS.
fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")))
}

/// A `Secret` for `kubectl apply -f -`.
pub(super) fn manifest(
    namespace: Option<&str>,
    name: &str,
    entries: &[(String, Secret)],
) -> Zeroizing<String> {
    // A text in JSON is one in YAML.
    let text = |text: &str| Zeroizing::new(Json::from(text).to_string());
    let mut out =
        Zeroizing::new(format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n", text(name).as_str()));
    if let Some(namespace) = namespace {
        let _ = writeln!(*out, "  namespace: {}", text(namespace).as_str());
    }
    let _ = writeln!(*out, "  labels:\n    {MANAGED_BY}: sluicegate\ntype: Opaque\nstringData:");
    for (name, value) in entries {
        let _ = writeln!(*out, "  {}: {}", text(name).as_str(), text(value.expose()).as_str());
    }
    out
}

/// Says on a secret who writes it.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keycloak::keys::tests::credentials;
    use crate::keycloak::keys::{Keys, Preset};

    #[test]
    fn lines_are_quoted_where_a_shell_would_read_them_otherwise() {
        let check = |value: &str, expected: &str| {
            assert_eq!(*env(&[("A".to_owned(), Secret::new(value))]), format!("A={expected}\n"));
        };
        check("hunter2", "hunter2");
        check("", "");
        check("https://kc:8443/realms/kafka", "https://kc:8443/realms/kafka");
        check("email profile", "'email profile'");
        check("$(id)`'\"\\", r#"'$(id)`'\''"\'"#);
    }

    #[test]
    fn a_clients_properties_bring_it_in() {
        let expected = "\
            # The JVM wants to be told that this address is meant:\n\
            # -Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=http://kc/realms/kafka/protocol/openid-connect/token\n\
            security.protocol=SASL_SSL\n\
            sasl.mechanism=OAUTHBEARER\n\
            sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n\
            sasl.oauthbearer.token.endpoint.url=http://kc/realms/kafka/protocol/openid-connect/token\n\
            sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
            clientId=\"reader-app\" clientSecret=\"hunter2\" scope=\"email profile\" \
            extension_logicalCluster=\"lkc-1\" extension_identityPoolId=\"p-1\";\n";
        assert_eq!(*properties(&credentials(), SecurityProtocol::SaslSsl), expected);
        let plain = Credentials { scope: String::new(), extensions: Vec::new(), ..credentials() };
        let text = properties(&plain, SecurityProtocol::SaslPlaintext);
        assert!(text.contains("security.protocol=SASL_PLAINTEXT\n"), "{}", *text);
        assert!(text.ends_with("clientSecret=\"hunter2\";\n"), "{}", *text);
    }

    #[test]
    fn a_secret_with_signs_of_jaas_stays_one_value() {
        let odd = Credentials { client_secret: Secret::new(r#"a"b\c"#), ..credentials() };
        let text = properties(&odd, SecurityProtocol::SaslSsl);
        // Once for JAAS, and each backslash once more for the file.
        assert!(text.contains(r#"clientSecret="a\\"b\\\\c""#), "{}", *text);
    }

    #[test]
    fn a_manifest_is_yaml_that_says_every_value() {
        let check = |value: &str, namespace: Option<&str>| {
            let odd = Credentials { client_secret: Secret::new(value), ..credentials() };
            let entries = Keys::from(Preset::Phoenix).entries(&odd);
            let text = manifest(namespace, "phoenix-oauth", &entries);
            let found: Json = serde_saphyr::from_str(&text).unwrap();
            let mut metadata =
                serde_json::json!({"name": "phoenix-oauth", "labels": {MANAGED_BY: "sluicegate"}});
            if let Some(namespace) = namespace {
                metadata["namespace"] = namespace.into();
            }
            let expected = serde_json::json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata,
                "stringData": {"PHOENIX_OAUTH2_CLIENT_ID": "reader-app", "PHOENIX_OAUTH2_CLIENT_SECRET": value},
            });
            assert_eq!(found, expected, "{}", *text);
        };
        check("hunter2", None);
        check("hunter2", Some("observability"));
        for value in ["", "true", "0123", "a: b", "- a", "a\"b\\c#d", "ü", "{}"] {
            check(value, Some("true"));
        }
    }
}
