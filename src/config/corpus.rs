//! Files that are wrong, and what is said of them.

use super::*;
use crate::auth::{KeySource, Method};

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
        _ => Err("no such file".to_owned()),
    };
    let files = |name: &str| files(&Path::new("/etc/gw").join(name));
    let elsewhere = Elsewhere { directory: Path::new("/etc/gw"), environment: &environment, files: &files };
    let without_file = |problem: &Problem| problem.to_string().strip_prefix("f:").unwrap().to_owned();
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

#[test]
fn a_key_that_is_unknown_missing_empty_or_twice_is_told() {
    check(
        "    bootstrap_servers",
        "    bootstrap_server",
        &[
            "2:5: \"bootstrap_servers\" is missing here",
            "3:5: unknown key \"bootstrap_server\"; did you mean \"bootstrap_servers\"?",
        ],
    );
    check(
        "listeners:",
        "virtual_cluster: 1\nlisteners:",
        &["21:1: unknown key \"virtual_cluster\"; did you mean \"virtual_clusters\"?"],
    );
    let known = "name, addresses, ports, tls_server, policies";
    check(
        "    policies:",
        "    xyzzy: 1\n    policies:",
        &[&format!("25:5: unknown key \"xyzzy\"; expected one of {known}")],
    );
    check("    destination: {name: local}\n", "", &["5:5: \"destination\" is missing here"]);
    check(
        "    destination: {name: local}\n",
        "    destination:\n",
        &["6:16: \"destination\" has no value; give it one, or leave the key out"],
    );
    check(
        "    destination: {name: local}\n",
        "    destination: {name: local}\n    destination: {name: local}\n",
        &["7:5: the key \"destination\" stands twice; keep one"],
    );
    assert_eq!(
        told("").0,
        [
            "1:1: \"backend_clusters\" is missing here",
            "1:1: \"listeners\" is missing here",
            "1:1: \"virtual_clusters\" is missing here",
        ]
    );
    assert_eq!(told("[]").0, ["1:1: expected a map, found a list"]);
}

#[test]
fn a_value_of_the_wrong_type_is_told() {
    check("[\"kafka:9092\"]", "kafka:9092", &["3:24: expected a list, found text"]);
    check("  - name: local\n", "  - name: 5\n", &["2:11: expected text, found a number; put it in quotes"]);
    check(
        "  - name: local\n",
        "  - name: yes\n",
        &["6:25: there is no backend cluster \"local\"; expected one of yes"],
    );
    check("mode: hide_prefix", "mode: [x]", &["12:13: expected text, found a list"]);
    check(
        "mode: hide_prefix",
        "mode: hideprefix",
        &["12:13: unknown value \"hideprefix\"; did you mean \"hide_prefix\"?"],
    );
    check(
        "    bootstrap",
        "    tls: {enabled: no}\n    bootstrap",
        &["3:20: expected true or false, found text"],
    );
    check("    bootstrap", "    tls: x\n    bootstrap", &["3:10: expected a map, found text"]);
    let whole = "expected a whole number from 1 to 43200";
    for (value, found) in [("0", ""), ("43201", ""), ("1.5", ""), ("soon", ", found text")] {
        let new = format!("    metadata_update_interval_seconds: {value}\n    bootstrap");
        check("    bootstrap", &new, &[&format!("3:39: {whole}{found}")]);
    }
    check(
        "{resource_type: group,",
        "{resource_type: group",
        &["20:43: this is not valid YAML; check quotes, brackets and indentation"],
    );
}

#[test]
fn a_word_that_no_rule_knows_is_told_with_those_that_are() {
    let group = "{resource_type: group, action: allow, operations: [{name: all}]";
    let words = "all, alter, alter_configs, create, delete, describe, describe_configs, idempotent_write, read, write";
    check(
        group,
        "{resource_type: group, action: allow, operations: [{name: wriet}]",
        &["20:73: unknown value \"wriet\"; did you mean \"write\"?"],
    );
    check(
        group,
        "{resource_type: group, action: allow, operations: [{name: xyzzy}]",
        &[&format!("20:73: unknown value \"xyzzy\"; expected one of {words}")],
    );
    check(
        group,
        "{resource_type: consumer, action: allow, operations: [{name: all}]",
        &["20:31: unknown value \"consumer\"; expected one of topic, group, transactional_id, cluster"],
    );
    check(
        group,
        "{resource_type: group, action: alow, operations: [{name: all}]",
        &["20:46: unknown value \"alow\"; did you mean \"allow\"?"],
    );
    check(
        group,
        "{resource_type: group, action: allow, operations: []",
        &["20:15: the rule lists no operation; name at least one, or all"],
    );
    check(
        "      - type: acls",
        "      - type: quota",
        &["15:15: unknown value \"quota\"; expected one of acls"],
    );
    check(
        "      - type: acls\n        name: all",
        "      - name: all",
        &["15:9: \"type\" is missing here; expected one of acls"],
    );
}

#[test]
fn a_name_that_leads_nowhere_is_told() {
    check(
        "destination: {name: local}",
        "destination: {name: locale}",
        &["6:25: there is no backend cluster \"locale\"; did you mean \"local\"?"],
    );
    check(
        "destination: {name: team}",
        "destination: {name: nobody}",
        &["27:86: there is no virtual cluster \"nobody\"; expected one of team"],
    );
}

#[test]
fn a_name_that_stands_twice_is_told() {
    check(
        "virtual_clusters:",
        "  - {name: local, bootstrap_servers: [\"b:9092\"]}\nvirtual_clusters:",
        &["4:12: the backend cluster \"local\" stands twice; the first is in line 2"],
    );
    check("  - name: local\n", "  - name: ''\n", &["2:11: a name has 1 to 255 printable characters"]);
    let twice = second("team", "other-", "local");
    check(
        "listeners:",
        &twice,
        &["21:11: the virtual cluster \"team\" stands twice; the first is in line 5"],
    );
    check(
        "listeners:\n",
        "listeners:\n  - name: front\n    addresses: [\"::1\"]\n    ports: [\"19092-19094\"]\n    policies: [{type: forward_to_virtual_cluster, config: {type: port_mapping, advertised_host: localhost, destination: {name: team}}}]\n",
        &["26:11: the listener \"front\" stands twice; the first is in line 22"],
    );
    check(
        "listeners:",
        "      - {type: acls, name: all, config: {rules: []}}\nlisteners:",
        &["21:28: the policy \"all\" stands twice in this virtual cluster"],
    );
}

#[test]
fn what_should_stand_elsewhere_and_does_not_is_told() {
    check(
        "destination: {name: team}",
        "destination: {name: \"${env['NOPE']}\"}",
        &["27:87: the environment variable \"NOPE\" is not set"],
    );
    check(
        "destination: {name: local}",
        "destination: {name: \"${file['gone']}\"}",
        &["6:26: the file \"gone\" can not be read: no such file"],
    );
    check(
        "prefix: my-",
        "prefix: \"${context.auth.token.claims.tenant}.\"",
        &["13:16: a text that is computed from the client's token is not supported; write it out"],
    );
}

#[test]
fn addresses_and_ports_that_are_none_are_told() {
    check("kafka:9092", "kafka", &["3:25: \"kafka\" is no address: there is no port; write host:port"]);
    check("[\"kafka:9092\"]", "[]", &["3:24: list at least one broker as host:port"]);
    let address = "[\"127.0.0.1\"]";
    check(address, "[localhost]", &["23:17: \"localhost\" is no IP address like 127.0.0.1, 0.0.0.0 or ::1"]);
    check(
        address,
        "[\"127.0.0.1\", \"127.0.0.1\"]",
        &["23:30: the address \"127.0.0.1\" is already among those before it"],
    );
    check(address, "[]", &["23:16: list at least one IP address; 0.0.0.0 is every one of this machine"]);
    let ports = "[\"19092-19094\"]";
    check(ports, "[]", &["24:12: list at least one port"]);
    check(ports, "[0]", &["24:13: a port is a number from 1 to 65535"]);
    check(ports, "[65536]", &["24:13: a port is a number from 1 to 65535"]);
    check(ports, "[9000-8000]", &["24:13: the range ends before it begins"]);
    check(ports, "[x]", &["24:13: expected a port, or a range of ports like \"19092-19192\""]);
    check(ports, "[9092, 9090-9095]", &["24:19: the port 9092 stands twice in this listener"]);
    check(
        ports,
        "[9092]",
        &[
            "24:12: the one port is for bootstrap and no broker has one; add a port for each broker, as in \"19092-19192\"",
        ],
    );
    check(
        "advertised_host: localhost",
        "advertised_host: \"localhost:9092\"",
        &["27:55: \"localhost:9092\" is no host: write its name or IP address, without a port"],
    );
}

#[test]
fn two_that_want_one_port_are_told() {
    let listener = |addresses: &str, ports: &str| {
        format!(
            "listeners:\n  - name: second\n    addresses: [\"{addresses}\"]\n    ports: [\"{ports}\"]\n    policies: [{{type: forward_to_virtual_cluster, config: {{type: port_mapping, advertised_host: localhost, destination: {{name: team}}}}}}]\n"
        )
    };
    let taken =
        |port: u16| format!("28:12: the port {port} at 127.0.0.1 is taken by the listener \"second\"");
    check("listeners:\n", &listener("127.0.0.1", "19094-19100"), &[&taken(19094)]);
    check("listeners:\n", &listener("127.0.0.2", "19094-19100"), &[]);
    check("listeners:\n", &listener("127.0.0.1", "19095-19100"), &[]);
    let (errors, _) = told(&changed("listeners:\n", &listener("0.0.0.0", "19000-19092")));
    assert_eq!(errors, [taken(19092)]);
    let (errors, _) = told(&changed("listeners:\n", &listener("::", "19000-19092")));
    assert_eq!(errors, [taken(19092)]);
    check(
        "listeners:",
        "admin: {listen: '0.0.0.0:19093'}\nlisteners:",
        &["25:12: the port 19093 at 127.0.0.1 is taken by the admin port"],
    );
    check(
        "[\"19092-19094\"]",
        "[\"8089-8091\"]",
        &["24:12: the port 8090 at 127.0.0.1 is taken by the admin port"],
    );
    check("listeners:", "admin: {listen: disabled}\nlisteners:", &[]);
}

#[test]
fn a_listener_leads_to_one_virtual_cluster() {
    check(
        "      - type: forward_to_virtual_cluster\n",
        "      - type: forward_to_virtual_cluster\n        enabled: false\n",
        &["26:7: every policy of this listener is off, so it leads nowhere"],
    );
    let forward = "type: forward_to_virtual_cluster, config: {type: port_mapping, advertised_host: localhost, destination: {name: team}}";
    check(
        "    policies:\n",
        &format!("    policies:\n      - {{{forward}}}\n"),
        &[
            "27:9: a listener leads to one virtual cluster, since its ports tell brokers apart; give the other a listener of its own",
        ],
    );
    let no_policies = RIGHT[..RIGHT.find("    policies:\n").unwrap()].to_owned();
    assert_eq!(
        told(&format!("{no_policies}    policies: []\n")).0,
        ["25:15: a listener needs a policy of type forward_to_virtual_cluster to lead somewhere"]
    );
    assert_eq!(told(&no_policies).0, ["22:5: \"policies\" is missing here"]);
}

#[test]
fn a_key_set_that_can_not_be_fetched_is_told() {
    let url = "https://idp.example/jwks\"";
    for wrong in ["idp.example/jwks", "ftp://idp.example/jwks", "file:///etc/passwd", "https://"] {
        check(
            url,
            &format!("{wrong}\""),
            &[&format!("9:26: \"{wrong}\" is no URL like https://idp.example/jwks")],
        );
    }
    check(
        url,
        "https://me:hunter2@idp.example/jwks\"",
        &["9:26: a URL with a user or a password is not supported; key sets are public"],
    );
    check(url, "me:hunter2@idp.example/jwks\"", &["9:26: this is no URL like https://idp.example/jwks"]);
    check(
        url,
        "https://idp.example/jwks\", file: x",
        &["9:60: the keys come from an endpoint or from a file; keep one of the two"],
    );
    check(
        "{endpoint: \"https://idp.example/jwks\"}",
        "{}",
        &[
            "9:15: set endpoint, the URL of the issuer's key set, or file; the endpoint is not looked up by the issuer",
        ],
    );
    check(url, "https://idp.example/jwks\", timeout: 0s", &["9:63: this time must be longer than nothing"]);
    check(
        url,
        "https://idp.example/jwks\", timeout: 1",
        &["9:63: expected a time with its unit, like 500ms, 30s or 1h, found a number"],
    );
    check(url, "https://idp.example/jwks\", cache_expiration: 25h", &[]);
    check(
        url,
        "https://idp.example/jwks\", cache_expiration: 2h, stale_max: 1h",
        &[
            "9:15: stale_max is shorter than cache_expiration: keys would be let go before they are fetched again",
        ],
    );
    check(
        "        validate:",
        "        clock_skew: 6m\n        validate:",
        &["10:21: clocks that are more than five minutes off want repair, not tolerance"],
    );
    check(
        "        validate:",
        "        session_lifetime_max: 0s\n        validate:",
        &["10:31: this time must be longer than nothing"],
    );
    check(
        "        validate:",
        "        claims_mapping: {sub: ''}\n        validate:",
        &["10:31: a claim has a name"],
    );
    check("issuer: \"https://idp.example\"", "issuer: \"\"", &["10:28: the issuer is empty"]);
    check(
        "audiences: [{name: kafka}]",
        "audiences: []",
        &["10:62: list at least one audience, or leave the key out"],
    );
}

#[test]
fn a_key_set_in_a_file_is_read_once_to_see_that_it_is_one() {
    let endpoint = "{endpoint: \"https://idp.example/jwks\"}";
    check(endpoint, "{file: keys.json}", &[]);
    check(endpoint, "{file: ''}", &["9:22: the path is empty"]);
    check(endpoint, "{file: gone.json}", &["9:22: \"gone.json\" holds no key set: no such file"]);
    check(
        endpoint,
        "{file: hunter}",
        &[
            "9:22: \"hunter\" holds no key set: the key set is not one JSON object of bounded size without repeated members",
        ],
    );
}

#[test]
fn several_issuers_are_told_apart_by_what_they_sign() {
    let oauth = "      - type: oauth_bearer\n";
    let other = |validate: &str| {
        format!(
            "      - {{type: oauth_bearer, jwks: {{file: keys.json}}, validate: {{{validate} audiences: [{{name: kafka}}]}}}}\n{oauth}"
        )
    };
    check(oauth, &other("issuer: other,"), &[]);
    check(
        oauth,
        &other(""),
        &[
            "8:9: of several issuers each needs its validate.issuer, by which its tokens are told from others'",
        ],
    );
    check(
        oauth,
        &other("issuer: 'https://idp.example',"),
        &["11:28: the issuer \"https://idp.example\" stands twice in this virtual cluster"],
    );
}

#[test]
fn a_key_without_a_value_is_no_default() {
    check(
        "    policies:\n",
        "    tls_server:\n      # certificates: …\n    policies:\n",
        &["25:15: \"tls_server\" has no value; give it one, or leave the key out"],
    );
    check(
        "    bootstrap",
        "    tls: {ca_bundle: x}\n    bootstrap",
        &[
            "3:10: \"enabled\" is missing here",
            "3:22: this holds no certificate in PEM form; write ${file['path']} to bring in a file",
        ],
    );
}

#[test]
fn addresses_of_one_listener_do_not_collide() {
    for (addresses, taken) in [
        ("\"0.0.0.0\", \"127.0.0.1\"", Some("127.0.0.1")),
        ("\"10.0.0.1\", \"0.0.0.0\"", Some("0.0.0.0")),
        ("\"0.0.0.0\", \"::1\"", None),
        ("\"0.0.0.0\", \"::\"", Some("::")),
        ("\"::\", \"10.0.0.1\"", Some("10.0.0.1")),
    ] {
        let (errors, _) = told(&changed("\"127.0.0.1\"", addresses));
        let message = taken.map(|taken| format!("the address \"{taken}\" is already among those before it"));
        assert_eq!(
            errors.iter().map(|error| error.split_once(": ").unwrap().1.to_owned()).collect::<Vec<_>>(),
            message.into_iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_this_program_does_not_serve_is_said_plainly() {
    let oauth = "      - type: oauth_bearer\n";
    for mediation in ["passthrough", "validate_forward"] {
        check(
            oauth,
            &format!("{oauth}        mediation: {mediation}\n"),
            &[&format!(
                "9:20: \"{mediation}\" is not supported: the token stays at the gateway; supported: terminate"
            )],
        );
    }
    for way in ["sasl_plain", "sasl_scram", "client_certificate"] {
        check(
            oauth,
            &format!("      - type: {way}\n"),
            &[&format!(
                "8:15: \"{way}\" is not supported: clients log in with a token; supported: oauth_bearer, anonymous"
            )],
        );
    }
    check(
        "    bootstrap",
        "    authentication: {type: oauth_bearer}\n    bootstrap",
        &[
            "3:28: \"oauth_bearer\" is not supported: the gateway does not log in at brokers with a token; supported: anonymous, sasl_plain, sasl_scram",
        ],
    );
    check(
        "type: port_mapping",
        "type: sni",
        &["27:24: \"sni\" is not supported: brokers are told apart by their ports; supported: port_mapping"],
    );
    check(
        "        jwks:",
        "        introspection: {endpoint: x}\n        jwks:",
        &["9:24: this key is not supported; leave it out"],
    );
    check(
        "    namespace:",
        "    topic_aliases: [{alias: a, topic: b}]\n    namespace:",
        &["11:20: topic aliases are not supported; leave topic_aliases out"],
    );
    check("    namespace:", "    topic_aliases: []\n    namespace:", &[]);
    check(
        "    policies:\n",
        "    tls_server: {certificates: [], client_authentication: {mode: required}}\n    policies:\n",
        &["25:32: list at least one certificate", "25:59: this key is not supported; leave it out"],
    );
}

#[test]
fn clients_are_anonymous_only_where_the_backend_says_so() {
    let oauth = "      - type: oauth_bearer\n";
    let both = format!("      - type: anonymous\n{oauth}");
    check(
        oauth,
        &both,
        &[
            "8:9: clients may be anonymous only where the backend cluster \"local\" says insecure_allow_anonymous_virtual_cluster_auth: true",
        ],
    );
    let allowed = RIGHT
        .replace(oauth, &both)
        .replace("    bootstrap", "    insecure_allow_anonymous_virtual_cluster_auth: true\n    bootstrap");
    assert_eq!(told(&allowed), (vec![], vec![]));
}

#[test]
fn a_namespace_that_is_none_is_told() {
    check(
        "prefix: my-",
        "prefix: my/",
        &["13:15: the prefix contains '/'; a prefix may hold letters, digits, '.', '_' and '-'"],
    );
    check(
        "prefix: my-",
        "prefix: ''",
        &["13:15: the prefix is empty; give each virtual cluster a prefix of its own"],
    );
    let topics = |list: &str| format!("prefix: my-\n      additional: {{topics: [{list}]}}");
    check(
        "prefix: my-",
        &topics("{type: exact_list, exact_list: [{backend: my-x}]}"),
        &[
            "14:71: \"my-x\" already lies under the prefix and is reached by its short name; take it off the list",
        ],
    );
    check(
        "prefix: my-",
        &topics("{type: exact_list, exact_list: [{backend: __consumer_offsets}]}"),
        &["14:71: \"__consumer_offsets\" belongs to Kafka itself and is never shown"],
    );
    check(
        "prefix: my-",
        &topics("{type: exact_list, exact_list: [{backend: 'x*'}]}"),
        &["14:71: \"x*\" is a pattern; write {type: glob, glob: …}"],
    );
    check("prefix: my-", &topics("{type: glob, glob: 'shared-*', conflict: ignore}"), &[]);
    check(
        "    namespace:",
        "    dns_label: My_Label\n    cluster_id: 'a b'\n    namespace:",
        &[
            "11:16: \"My_Label\" is no dns_label: up to 63 of a-z, 0-9 and '-', not at its ends",
            "12:17: \"a b\" is no cluster id: 1 to 64 letters, digits, '-' and '_'",
        ],
    );
}

#[test]
fn a_condition_that_is_none_is_told_where_it_breaks() {
    let rules = "        config:\n          rules";
    let with = |condition: &str| format!("        condition: {condition}\n{rules}");
    check(
        rules,
        &with("context.auth.claims.client_id == reader-app"),
        &["17:53: the condition is none: reader-app is not quoted; write 'reader-app'"],
    );
    check(
        rules,
        &with("\"context.auth.claims.client_id == 'x\""),
        &["17:54: the condition is none: the text that begins here has no end; close it with '"],
    );
    check(
        rules,
        &with("'x =\n          y'"), // folded: the place inside it is not known
        &["17:20: the condition is none: a single = does not compare; write =="],
    );
    check(
        rules,
        &format!("        enabled: false\n{}", with("'1 ='")),
        &["18:23: the condition is none: a single = does not compare; write =="],
    );
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

/// What is said of a second virtual cluster on a backend, that no listener leads to it apart.
fn neighbour(source: &str) -> Vec<String> {
    let (errors, warnings) = told(source);
    let all = errors.into_iter().chain(warnings);
    all.filter(|told| !told.contains("no listener leads to")).collect()
}

#[test]
fn prefixes_that_overlap_on_one_kafka_are_told() {
    let choose = "on the same Kafka (line 13): one would see the other's names; choose prefixes of which none begins with another";
    for (prefix, expected) in [
        ("other-", None),
        ("m", None),
        ("my-", Some("is the prefix of")),
        ("my-own-", Some("begins with the prefix of")),
    ] {
        let told = neighbour(&changed("listeners:", &second("other", prefix, "local")));
        let expected = expected
            .map(|how| format!("30:15: the prefix \"{prefix}\" {how} the virtual cluster \"team\" {choose}"));
        // With `m` it is the first cluster's prefix that begins with the second's.
        match (prefix, expected) {
            ("m", _) => assert!(
                told[0].starts_with("13:15: the prefix \"my-\" begins with the prefix of"),
                "{told:?}"
            ),
            (_, expected) => assert_eq!(told, expected.into_iter().collect::<Vec<_>>()),
        }
    }
    let dots =
        changed("listeners:", &second("other", "a_b_", "local")).replace("prefix: my-", "prefix: a.b.");
    assert_eq!(
        neighbour(&dots),
        [format!(
            "30:15: the prefix \"a_b_\" can not be told, but for '.' and '_', from the prefix of the virtual cluster \"team\" {choose}"
        )]
    );
}

#[test]
fn two_backends_are_one_kafka_when_they_share_a_server() {
    let on = |servers: &str, prefix: &str| {
        let backends = format!("  - {{name: far, bootstrap_servers: [{servers}]}}\nvirtual_clusters:");
        let source = changed("listeners:", &second("other", prefix, "far"));
        neighbour(&source.replace("virtual_clusters:", &backends))
    };
    assert_eq!(on("\"elsewhere:9092\"", "my-"), [""; 0]);
    assert_eq!(
        on("\"elsewhere:9092\"", "my-own-"),
        [
            "31:15: the prefix \"my-own-\" begins with that of the virtual cluster \"team\"; they are on different Kafkas, where they can not meet, but would on one"
        ]
    );
    let told = on("\"elsewhere:9092\", \"kafka:9092\"", "my-own-");
    assert!(
        told[0].contains("begins with the prefix of the virtual cluster \"team\" on the same Kafka"),
        "{told:?}"
    );
}

#[test]
fn additional_names_do_not_reach_into_a_neighbours_prefix() {
    for (names, at, reaches) in [
        ("topics: [{type: exact_list, exact_list: [{backend: other-orders}]}]", 71, true),
        ("topics: [{type: exact_list, exact_list: [{backend: othe}]}]", 71, false),
        ("topics: [{type: exact_list, exact_list: [{backend: other}]}]", 71, false),
        ("topics: [{type: glob, glob: 'othe*'}]", 48, true),
        ("topics: [{type: glob, glob: 'other-x*'}]", 48, true),
        ("topics: [{type: glob, glob: '*-x'}]", 48, true),
        ("topics: [{type: glob, glob: 'othe?-'}]", 48, true),
        ("topics: [{type: glob, glob: 'othe?'}]", 48, false),
        ("topics: [{type: glob, glob: 'shared-*'}]", 48, false),
        ("consumer_groups: [{type: glob, glob: '*'}]", 57, true),
    ] {
        let new = format!("prefix: my-\n      additional: {{{names}}}");
        let source = changed("listeners:", &second("other", "other-", "local")).replace("prefix: my-", &new);
        let expected = format!(
            "14:{at}: this reaches into the prefix \"other-\" of the virtual cluster \"other\" on the same Kafka; choose names outside it"
        );
        assert_eq!(neighbour(&source), if reaches { vec![expected] } else { vec![] }, "{names}");
    }
}

#[test]
fn settings_out_of_range_are_told() {
    check(
        "listeners:",
        "limits: {frame_bytes: 1KB, connections: 0, login_timeout: 0s, token_bytes: 64KiB}\nlisteners:",
        &[
            "21:9: a token of token_bytes does not fit a frame of frame_bytes_before_login; raise the latter",
            "21:23: expected a size from 1024 bytes to 2147483647 bytes",
            "21:41: expected a whole number from 1 to 10000000",
            "21:59: this time must be longer than nothing",
        ],
    );
    check(
        "listeners:",
        "limits: {frame_bytes: 2GiB}\nlisteners:",
        &["21:23: expected a size from 1024 bytes to 2147483647 bytes"],
    );
    check(
        "listeners:",
        "limits: {frame_bytes: 32KiB}\nlisteners:",
        &["21:9: frame_bytes is less than frame_bytes_before_login; raise it"],
    );
    check(
        "listeners:",
        "limits: {frame_bytes: 64kib}\nlisteners:",
        &["21:23: expected a size like 65536, 64KiB or 100MiB"],
    );
    check(
        "listeners:",
        "admin: {listen: '8090'}\nlogging: {level: loud}\naudit: {file: ''}\nshutdown: {drain_timeout: 30}\nlisteners:",
        &[
            "21:17: \"8090\" is no address and port like 127.0.0.1:8090, nor \"disabled\"",
            "22:18: \"loud\" is no level; expected error, warn, info, debug, trace or off, or module=level, separated by commas",
            "23:15: expected stdout, a path, or disabled",
            "24:27: expected a time with its unit, like 500ms, 30s or 1h, found a number",
        ],
    );
    check("listeners:", "logging: {level: 'info,sluicegate::session=debug', format: json}\nlisteners:", &[]);
}

#[test]
fn what_is_no_pem_is_told() {
    let tls = "    tls_server: {certificates: [{certificate: \"${file['hunter']}\", key: \"${env['HUNTER']}\"}]}\n    policies:\n";
    check(
        "    policies:\n",
        tls,
        &[
            "25:47: this holds no certificate in PEM form; write ${file['path']} to bring in a file",
            "25:73: this holds no private key in PEM form; write ${file['path']} to bring in a file",
        ],
    );
    check(
        "    bootstrap",
        "    tls: {enabled: false, ca_bundle: x, tls_versions: [tls10]}\n    bootstrap",
        &[
            "3:38: this holds no certificate in PEM form; write ${file['path']} to bring in a file",
            "3:56: \"tls10\" is not supported: it is broken; supported: tls12, tls13",
        ],
    );
}

#[test]
fn what_comes_from_outside_is_never_shown() {
    let from = "\"${env['HUNTER']}\"";
    for old in [
        "name: local}",
        "name: team}",
        "mode: hide_prefix",
        "prefix: my-",
        "type: acls",
        "type: port_mapping",
        "\"kafka:9092\"",
        "\"127.0.0.1\"",
        "\"19092-19094\"",
        "\"https://idp.example/jwks\"",
        "{resource_type: topic",
        "advertised_host: localhost",
    ] {
        let new = match old.split_once(": ") {
            Some((key, value)) if !old.starts_with('"') => {
                format!("{key}: {from}{}", if value.ends_with('}') { "}" } else { "" })
            }
            _ => from.to_owned(),
        };
        let (errors, warnings) = told(&changed(old, &new));
        for text in errors.iter().chain(&warnings) {
            assert!(!text.contains("hunter"), "{old}: {text}");
        }
        assert!(!errors.is_empty() || matches!(old, "prefix: my-" | "advertised_host: localhost"), "{old}");
    }
    let rules = "        config:\n          rules";
    let (errors, _) = told(&changed(rules, &format!("        condition: {from}\n{rules}")));
    assert_eq!(errors, ["17:20: what \"${env['HUNTER']}\" brings is no condition, from character 1 on"]);
    let debug = format!(
        "{:?}",
        read_right(&changed(
            "    bootstrap",
            "    authentication: {type: sasl_plain, username: u, password: hunter2}\n    bootstrap"
        ))
    );
    assert!(!debug.contains("hunter"), "{debug}");
    check(
        "    bootstrap",
        "    authentication: {type: sasl_plain, username: u, password: [hunter2]}\n    bootstrap",
        &["3:63: expected text, found a list"],
    );
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
fn tokens_that_are_not_checked_are_warned_of() {
    let validate = "        validate: {issuer: \"https://idp.example\", audiences: [{name: kafka}]}\n";
    let audience = "the audience of tokens is not checked, so a token for any other service opens this one; set validate.audiences";
    let issuer = "the issuer of tokens is not checked; set validate.issuer";
    warns(validate, "", &[&format!("8:9: {audience}"), &format!("8:9: {issuer}")]);
    warns(validate, "        validate: {audiences: [{name: kafka}]}\n", &[&format!("10:19: {issuer}")]);
    warns(validate, "        validate: {issuer: x}\n", &[&format!("10:19: {audience}")]);
    warns(
        "https://idp.example/jwks",
        "http://idp.example/jwks",
        &["9:26: the keys come over plain http, so anybody on the way can forge tokens; use https"],
    );
    for loopback in ["http://localhost:9080/jwks", "http://127.0.0.1/jwks", "http://[::1]:80/jwks"] {
        warns("https://idp.example/jwks", loopback, &[]);
    }
}

#[test]
fn what_others_could_read_is_warned_of() {
    warns(
        "[\"127.0.0.1\"]",
        "[\"127.0.0.1\", \"10.0.0.1\"]",
        &[
            "22:11: the listener \"front\" takes tokens without TLS at an address that others can reach, so anybody on the way can read and use them; set tls_server",
        ],
    );
    warns("[\"127.0.0.1\"]", "[\"::1\"]", &[]);
    warns(
        "    bootstrap",
        "    tls: {enabled: true, insecure_skip_verify: true}\n    bootstrap",
        &["3:48: any certificate is accepted, so anybody on the way can read and change everything"],
    );
    let login = "    authentication: {type: sasl_plain, username: u, password: hunter2}\n    bootstrap";
    warns(
        "    bootstrap",
        login,
        &[
            "3:21: the password goes to the brokers unencrypted; switch tls on, or use sasl_scram",
            "3:63: the password stands in this file; better ${env['NAME']} or ${file['path']}",
        ],
    );
    let login = "    authentication: {type: sasl_scram, algorithm: sha512, username: u, password: \"${file['hunter']}\"}\n    bootstrap";
    warns("    bootstrap", login, &[]);
}

#[test]
fn clusters_and_policies_that_nothing_uses_are_warned_of() {
    let (_, warnings) = told(&changed("listeners:", &second("other", "other-", "local")));
    assert_eq!(warnings, ["21:11: no listener leads to the virtual cluster \"other\""]);
    warns(
        "    namespace:",
        "    acl_mode: passthrough\n    namespace:",
        &["11:15: with acl_mode: passthrough the broker decides, and the policies below are not looked at"],
    );
    warns(
        "        name: all\n",
        "        name: all\n        enabled: false\n",
        &["5:11: the virtual cluster \"team\" has no policy that counts, so nobody may do anything in it"],
    );
    warns(
        "listeners:",
        "      - {type: acls, name: none, config: {rules: []}}\nlisteners:",
        &["21:50: a policy without rules has no effect"],
    );
}

/// The right file with these rules, and what is warned of.
fn rules_warn(mode: &str, policies: &[(&str, &[&str])], expected: &[&str]) {
    let start = RIGHT.find("      - type: acls").unwrap();
    let end = RIGHT.find("listeners:").unwrap();
    let mut text = String::new();
    for (number, (condition, rules)) in policies.iter().enumerate() {
        let condition =
            if condition.is_empty() { String::new() } else { format!("condition: \"{condition}\", ") };
        text.push_str(&format!("      - {{type: acls, name: p{number}, {condition}config: {{rules: [\n"));
        for rule in *rules {
            let words: Vec<&str> = rule.split(' ').collect();
            let [action, resource, operation, name] = words[..] else { panic!("{rule}") };
            text.push_str(&format!("        {{action: {action}, resource_type: {resource}, operations: [{{name: {operation}}}], resource_names: [{{match: \"{name}\"}}]}},\n"));
        }
        text.push_str("      ]}}\n");
    }
    let source = format!("{}{text}{}", &RIGHT[..start], &RIGHT[end..])
        .replace("mode: hide_prefix", &format!("mode: {mode}"));
    let (errors, warnings) = told(&source);
    assert_eq!(
        (errors, warnings),
        (vec![], expected.iter().map(|text| (*text).to_owned()).collect()),
        "{policies:?}"
    );
}

#[test]
fn reading_topics_without_a_group_is_warned_of() {
    let warning = "16:9: this lets clients read topics and no rule for the same clients lets them read a group, which consuming needs; add a rule with resource_type: group and the operation read";
    rules_warn("hide_prefix", &[("", &["allow topic read orders"])], &[warning]);
    rules_warn("hide_prefix", &[("", &["allow topic all orders"])], &[warning]);
    rules_warn("hide_prefix", &[("", &["allow topic read orders", "allow group describe *"])], &[warning]);
    rules_warn("hide_prefix", &[("", &["allow topic read orders", "deny group read *"])], &[warning]);
    rules_warn("hide_prefix", &[("", &["allow topic read orders", "allow group read *"])], &[]);
    rules_warn("hide_prefix", &[("", &["allow topic write orders"])], &[]);
    let (a, b) = ("context.client.id == 'a'", "context.client.id == 'b'");
    rules_warn("hide_prefix", &[(a, &["allow topic read orders"]), (b, &["allow group read *"])], &[warning]);
    rules_warn("hide_prefix", &[(a, &["allow topic read orders"]), (a, &["allow group read *"])], &[]);
    rules_warn("hide_prefix", &[(a, &["allow topic read orders"]), ("", &["allow group read *"])], &[]);
}

#[test]
fn rules_that_can_never_match_are_warned_of() {
    let denied = "16:9: this allows nothing: rules that deny cover it wholly";
    let hide = |rules: &[&str], expected: &[&str]| rules_warn("hide_prefix", &[("", rules)], expected);
    hide(&["allow topic write orders", "deny topic all o*"], &[denied]);
    hide(&["allow topic write o*", "deny topic all *"], &[denied]);
    hide(&["allow topic write o*", "deny topic all o?*"], &[]);
    hide(&["allow topic write orders", "deny topic write *"], &[]); // describe is left, which write implies
    hide(&["allow topic write orders", "deny topic write *", "deny topic describe *"], &[denied]);
    hide(&["allow topic write orders", "deny group all *"], &[]);
    let a = "context.client.id == 'a'";
    rules_warn("hide_prefix", &[("", &["allow topic write orders"]), (a, &["deny topic all *"])], &[]);
    rules_warn("hide_prefix", &[(a, &["allow topic write orders"]), ("", &["deny topic all *"])], &[denied]);
    hide(
        &["allow topic write my-test-topic"],
        &[
            "16:9: \"my-test-topic\" begins with the hidden prefix \"my-\", which clients do not write: they call it \"test-topic\"",
        ],
    );
    hide(
        &["allow group describe my-*"],
        &[
            "16:9: \"my-*\" begins with the hidden prefix \"my-\", which clients do not write: they call it \"*\"",
        ],
    );
    hide(
        &["allow topic write or/ders"],
        &[
            "16:9: no topic is ever called \"or/ders\": the name may hold only letters, digits, '.', '_' and '-'",
        ],
    );
    hide(&["allow group describe or/ders"], &[]);
    hide(
        &["allow topic write __consumer_offsets"],
        &["16:9: no topic is ever called \"__consumer_offsets\": the name belongs to Kafka itself"],
    );
    let full = |rules: &[&str], expected: &[&str]| rules_warn("enforce_prefix", &[("", rules)], expected);
    let outside = |name: &str| {
        format!(
            "16:9: no topic of this virtual cluster is called \"{name}\": its names begin with \"my-\", for clients too"
        )
    };
    full(&["allow topic write my-orders"], &[]);
    full(&["allow topic write *"], &[]);
    full(&["allow topic write orders"], &[&outside("orders")]);
    full(&["allow topic write o*"], &[&outside("o*")]);
    hide(&["allow group write g"], &["16:60: Kafka knows no write on a group, so this is without effect"]);
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
    assert_eq!(
        (rules.clock_skew, rules.session_lifetime_max),
        (Duration::from_secs(1), Some(Duration::from_secs(3600)))
    );
    assert_eq!((rules.principal_claim.as_str(), rules.scope_claim.as_str()), ("client_id", "scope"));
    assert_eq!(oauth.source, KeySource::File { path: "/etc/gw/keys.json".into() });
    let listener = &gateway.directory.listeners[0];
    assert_eq!(listener.book.ports(), [19092, 19093, 19094]);
    assert_eq!(listener.book.brokers_max(), 2);
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

#[test]
fn the_schema_accepts_the_example_and_refuses_an_unknown_key() {
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gateway.yaml")).unwrap();
    let schema = schema();
    for (source, fits) in [
        (example.clone(), true),
        (RIGHT.to_owned(), true),
        (example.replace("dns_label: vcluster", "dnslabel: vcluster"), false),
        (example.replace("mode: hide_prefix", "mode: hideprefix"), false),
        (example.replace("      type: anonymous", "      type: nothing"), false),
        (example.replace("connections: 10000", "connections: many"), false),
        (example.replace("connections: 10000", "connections: \"${env['CONNECTIONS']}\""), true),
        (example.replace("    namespace:", "    name_space:"), false),
    ] {
        let value: serde_json::Value = serde_saphyr::from_str(&source).unwrap();
        assert_eq!(accepts(&schema, &schema, &value), fits, "{source}");
    }
}

/// Whether a value fits a schema, as far as ours use JSON Schema.
fn accepts(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Bool, Number, Object, String as Text};
    if let Some(reference) = schema["$ref"].as_str() {
        return accepts(root, root.pointer(reference.trim_start_matches('#')).unwrap(), value);
    }
    let any = |key: &str| {
        schema[key].as_array().map(|all| all.iter().filter(|one| accepts(root, one, value)).count())
    };
    if any("anyOf") == Some(0)
        || any("oneOf").is_some_and(|fitting| fitting != 1)
        || schema.get("not").is_some()
    {
        return false;
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return false;
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return false;
    }
    if schema.get("pattern").is_some() && !value.as_str().is_some_and(|text| text.starts_with("${")) {
        return false;
    }
    let name = match value {
        Array(_) => "array",
        Bool(_) => "boolean",
        Number(_) => "integer",
        Object(_) => "object",
        Text(_) => "string",
        serde_json::Value::Null => "null",
    };
    let typed = match &schema["type"] {
        Array(types) => types.iter().any(|one| one == name),
        Text(one) => one == name,
        _ => true,
    };
    let fields = value.as_object().is_none_or(|fields| {
        let known = |key: &str| schema["properties"].get(key);
        let required = schema["required"]
            .as_array()
            .is_none_or(|keys| keys.iter().all(|key| fields.contains_key(key.as_str().unwrap())));
        let open = schema["additionalProperties"] != false;
        required
            && fields
                .iter()
                .all(|(key, field)| known(key).map_or(open, |schema| accepts(root, schema, field)))
    });
    let items = value.as_array().is_none_or(|items| {
        schema.get("items").is_none_or(|schema| items.iter().all(|item| accepts(root, schema, item)))
    });
    typed && fields && items
}
