//! What is allowed and probably not meant.

use super::*;

#[test]
fn an_alias_is_said_without_the_hidden_prefix() {
    warns(
        "    namespace:",
        "    topic_aliases: [{alias: orders, topic: my-orders-v2}]\n    namespace:",
        &[
            "11:44: \"my-orders-v2\" begins with the hidden prefix \"my-\", which clients do not write; is \"orders-v2\" meant?",
        ],
    );
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
        "https://idp.example/jwks\"",
        "http://idp.example/jwks\", insecure_allow_http: true",
        &["9:74: what comes over plain http can be forged by anybody on the way, keys and tokens with it"],
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
fn s_01_what_others_could_read_is_an_error_where_that_is_forbidden() {
    let forbids = |word: &str, addresses: &str| {
        let word = format!("    credentials_without_tls: {word}\n    namespace:");
        told(&changed("    namespace:", &word).replace("[\"127.0.0.1\"]", addresses))
    };
    let open = "23:11: the listener \"front\" takes tokens without TLS at an address that others can reach";
    let warning = format!("{open}, so anybody on the way can read and use them; set tls_server");
    let error = format!(
        "{open}, and the virtual cluster \"team\" forbids that (credentials_without_tls); set tls_server"
    );
    assert_eq!(forbids("warn", "[\"127.0.0.1\"]"), (vec![], vec![]));
    assert_eq!(forbids("warn", "[\"0.0.0.0\"]"), (vec![], vec![warning]));
    assert_eq!(forbids("forbid", "[\"0.0.0.0\"]"), (vec![error.clone()], vec![]));
    assert_eq!(forbids("forbid", "[\"127.0.0.1\", \"10.0.0.1\"]"), (vec![error], vec![]));
    assert_eq!(forbids("forbid", "[\"127.0.0.1\", \"::1\"]"), (vec![], vec![]));
    // A proof gives nothing away.
    let scram =
        "{type: sasl_scram, algorithm: sha256, principals: [{username: u, password: \"${env['HUNTER']}\"}]}";
    let file = changed("    namespace:", "    credentials_without_tls: forbid\n    namespace:")
        .replace("[\"127.0.0.1\"]", "[\"10.0.0.1\"]");
    let start = file.find("      - type: oauth_bearer").unwrap();
    let end = file.find("    credentials_without_tls").unwrap();
    let proofs = format!("{}      - {scram}\n{}", &file[..start], &file[end..]);
    assert_eq!(told(&proofs), (vec![], vec![]));
}

#[test]
fn s_01_what_goes_on_to_brokers_in_the_clear_is_an_error_where_that_is_forbidden() {
    let problem = "the clients' own passwords or tokens go on to the brokers unencrypted";
    let passed_on = |word: &str| {
        let file = changed("    namespace:", &format!("    credentials_without_tls: {word}\n    namespace:"));
        told(&file.replace(
            "      - type: oauth_bearer\n",
            "      - type: oauth_bearer\n        mediation: validate_forward\n",
        ))
    };
    let mend = "switch tls on at the backend cluster";
    assert_eq!(passed_on("warn"), (vec![], vec![format!("8:7: {problem}; {mend}")]));
    let error = format!("8:7: {problem}, which credentials_without_tls forbids; {mend}");
    assert_eq!(passed_on("forbid"), (vec![error], vec![]));
}

#[test]
fn passwords_that_others_could_read_are_warned_of() {
    const HASH: &str =
        "$pbkdf2-sha256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ$xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0";
    let plain = |password: &str| {
        format!(
            "      - {{type: sasl_plain, principals: [{{username: u, password: \"{password}\"}}]}}\n    namespace:"
        )
    };
    warns(
        "    namespace:",
        &plain("hunter2"),
        &["11:65: the password stands in this file; better ${env['NAME']} or ${file['path']}"],
    );
    warns("    namespace:", &plain("${env['HUNTER']}"), &[]);
    warns("    namespace:", &plain(HASH), &[]);
    let open = |secrets: &str| {
        format!(
            "23:11: the listener \"front\" takes {secrets} without TLS at an address that others can reach, so anybody on the way can read and use them; set tls_server"
        )
    };
    let source = changed("    namespace:", &plain(HASH)).replace("127.0.0.1", "10.0.0.1");
    assert_eq!(told(&source), (vec![], vec![open("tokens and passwords")]));
}

#[test]
fn certificates_that_no_listener_asks_for_are_warned_of() {
    warns(
        "    namespace:",
        "      - type: client_certificate\n    namespace:",
        &[
            "23:11: clients may log in by certificates here, and the listener \"front\" asks for none; set tls_server.client_authentication",
        ],
    );
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
fn calls_that_nobody_may_send_are_warned_of() {
    let asked = "    operator_apis: [ElectLeaders, DescribeClientQuotas]\n    cluster_policies:";
    let nobody = |place: &str, api: &str, need: &str| {
        format!(
            "{place}: nobody may send {api}: it needs {need} on the cluster, which no rule allows; add a rule with resource_type: cluster"
        )
    };
    let (elect, quotas) = (
        nobody("14:21", "ElectLeaders", "alter"),
        nobody("14:35", "DescribeClientQuotas", "describe_configs"),
    );
    warns("    cluster_policies:", asked, &[&elect, &quotas]);
    for (operation, expected) in [("alter_configs", vec![elect.as_str()]), ("all", vec![])] {
        let rule = format!(
            "          rules:\n            - {{resource_type: cluster, action: allow, operations: [{{name: {operation}}}]}}"
        );
        let source = changed("          rules:", &rule).replace("    cluster_policies:", asked);
        assert_eq!(told(&source), (vec![], expected.iter().map(|text| (*text).to_owned()).collect()));
    }
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
