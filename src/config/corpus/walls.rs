//! What would let one tenant into another's world, or a secret out, and settings out of range.

use super::*;

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
fn a_prefix_that_logins_bring_stands_where_no_tenant_meets_another() {
    let computed = "prefix: \"${context.auth.token.claims.tenant}.\"";
    check("prefix: my-", computed, &[]);
    check(
        "prefix: my-",
        "prefix: \"${context.auth.token.claims.tenant}\"",
        &[
            "13:15: \"${context.auth.token.claims.tenant}\" needs text behind the closing brace, as in \"${context.auth.token.claims.tenant}.\": without it the prefix of one tenant begins with another's",
        ],
    );
    check(
        "prefix: my-",
        "prefix: \"${context.auth.token.claims.a}-${context.auth.token.claims.b}.\"",
        &[
            "13:15: a prefix has one ${context…}; join several by one expression, as in \"${context.auth.token.claims.a + '-' + context.auth.token.claims.b}.\"",
        ],
    );
    check(
        "prefix: my-",
        "prefix: \"${context.auth.token.claims.tenant}/\"",
        &["13:15: the prefix contains '/'; a prefix may hold letters, digits, '.', '_' and '-'"],
    );
    check(
        "prefix: my-",
        "prefix: \"${context.auth.token.claim.tenant}.\"",
        &["13:15: this prefix can not be computed: context.auth.token has no claim; did you mean claims?"],
    );
    check(
        "prefix: my-",
        &format!("{computed}\n      additional: {{topics: [{{type: glob, glob: 'shared-*'}}]}}"),
        &[
            "14:19: additional names can not stand beside a prefix that each login brings, since they would be every tenant's; give them a virtual cluster of their own",
        ],
    );
    let beside = |prefix: &str| second("other", prefix, "local");
    check(
        "listeners:",
        &beside("\"my-${context.auth.token.claims.tenant}.\""),
        &[
            "30:15: the prefix \"my-${context.auth.token.claims.tenant}.\" can be, for some login, what meets the prefix of the virtual cluster \"team\" on the same Kafka (line 13): one would see the other's names; choose prefixes of which none begins with another",
        ],
    );
    check("listeners:", &beside("\"your-${context.auth.token.claims.tenant}.\""), &[]);
}

#[test]
fn names_that_can_not_be_computed_are_told() {
    let topic =
        "operations: [{name: all}], resource_names: [{match: \"*\"}]}\n            - {resource_type: group";
    let with = |names: &str| {
        format!(
            "operations: [{{name: all}}], resource_names: {names}}}\n            - {{resource_type: group"
        )
    };
    check(topic, &with("\"${context.auth.claims.topics}\""), &[]);
    check(topic, &with("[{match: \"${context.auth.claims.team}-*\"}, {match: x}]"), &[]);
    check(
        topic,
        &with("[{match: \"${context.auth.claims.team == 'x'}\"}]"),
        &[
            "19:96: these names can not be computed: the expression yields true or false; it must yield a list of names",
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
