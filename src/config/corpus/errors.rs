//! What must be changed.

use super::*;

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
fn a_call_that_no_virtual_cluster_offers_is_told() {
    let with = |apis: &str| format!("    operator_apis: [{apis}]\n    cluster_policies:");
    check(
        "    cluster_policies:",
        &with("ElectLeader"),
        &["14:21: unknown value \"ElectLeader\"; did you mean \"ElectLeaders\"?"],
    );
    check(
        "    cluster_policies:",
        &with("ElectLeaders, ElectLeaders"),
        &["14:35: the call ElectLeaders stands twice in this list; keep one"],
    );
    let (errors, _) = told(&changed("    cluster_policies:", &with("Vote")));
    assert!(errors[0].starts_with("14:21: unknown value \"Vote\"; expected one of "), "{errors:?}");
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
        "destination: {name: local}",
        "destination: {name: \"${context.auth.token.claims.tenant}\"}",
        &["6:25: expected text, found a text that is computed for each login"],
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
            "27:9: a listener leads to one virtual cluster where its ports tell brokers apart, and to any number where all its policies are of type sni; give this one a listener of its own",
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
fn i_18_a_key_set_that_can_not_be_fetched_is_told() {
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
        &["9:26: a URL with a user or a password is not supported"],
    );
    check(url, "me:hunter2@idp.example/jwks\"", &["9:26: this is no URL like https://idp.example/jwks"]);
    check(url, "https://idp.example/jwks#x\"", &["9:26: the URL must have no part behind #"]);
    check(
        url,
        "https://idp.example/jwks\", file: x",
        &["9:60: the keys come from an endpoint or from a file; keep one of the two"],
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
        &["10:31: \"\" is no path of a claim: a claim has a name"],
    );
    check("issuer: \"https://idp.example\"", "issuer: \"\"", &["10:28: the issuer is empty"]);
    check(
        "audiences: [{name: kafka}]",
        "audiences: []",
        &["10:62: list at least one audience, or leave the key out"],
    );
}

#[test]
fn what_a_token_must_say_is_checked() {
    let validate = "audiences: [{name: kafka}]";
    let more = |more: &str| format!("{validate}, {more}");
    check(
        validate,
        &more(
            "types: [at+jwt, application/at+jwt, JWT, absent], authorized_parties: [app], required_claims: [{name: \"realm_access['roles']\", values: [a, 5, true]}, {name: tenant}]",
        ),
        &[],
    );
    check(validate, &more("types: []"), &["10:86: list at least one type, or leave the key out"]);
    check(
        validate,
        &more("types: [dpop+jwt]"),
        &["10:87: unknown value \"dpop+jwt\"; expected one of absent, JWT, at+jwt, application/at+jwt"],
    );
    check(
        validate,
        &more("authorized_parties: []"),
        &["10:99: list at least one client, or leave the key out"],
    );
    check(validate, &more("authorized_parties: ['']"), &["10:100: the client's id is empty"]);
    check(validate, &more("required_claims: []"), &["10:96: list at least one claim, or leave the key out"]);
    check(
        validate,
        &more("required_claims: [{name: a, values: []}]"),
        &["10:115: list at least one value, or leave the key out"],
    );
    check(
        validate,
        &more("required_claims: [{name: 'http://x/y'}]"),
        &[
            "10:104: \"http://x/y\" is no path of a claim: a name with other characters than letters, digits and _-:@$+ stands in brackets and quotes: [\"http://x/y\"]",
        ],
    );
    check(
        validate,
        &more("required_claims: [{name: a, values: [1.5]}]"),
        &["10:116: expected text, a whole number, true or false, found a number"],
    );
}

#[test]
fn i_01_plain_http_to_another_machine_is_an_error_unless_the_file_says_otherwise() {
    let url = "https://idp.example/jwks\"";
    let plain = "this is plain http to another machine, so anybody on the way could forge tokens; use https, or insecure_allow_http: true";
    check(url, "http://idp.example/jwks\"", &[&format!("9:26: {plain}")]);
    check(url, "http://169.254.169.254/jwks\"", &[&format!("9:26: {plain}")]);
}

#[test]
fn keys_are_found_by_the_issuer_where_nothing_else_is_said() {
    let jwks = "        jwks: {endpoint: \"https://idp.example/jwks\"}\n";
    check(jwks, "", &[]);
    check(jwks, "        jwks: {timeout: 3s}\n", &[]);
    let jwks_and_issuer = format!("{jwks}        validate: {{issuer: \"https://idp.example\",");
    let advice = "or set jwks.endpoint or jwks.file";
    for (issuer, why) in [
        (
            "http://idp.example",
            "it is plain http to another machine, so anybody on the way could forge tokens; use https",
        ),
        ("idp", "it is no URL like https://idp.example"),
        ("https://idp.example?x", "an issuer has neither a query nor a fragment"),
    ] {
        check(
            &jwks_and_issuer,
            &format!("        validate: {{issuer: \"{issuer}\","),
            &[&format!("9:28: the keys can not be found by this issuer: {why}; {advice}")],
        );
    }
    check(
        &jwks_and_issuer,
        "        jwks: {}\n        validate: {",
        &[
            "9:15: set endpoint, the URL of the issuer's key set, or file, or validate.issuer, whose metadata says where the keys are",
        ],
    );
}

#[test]
fn how_an_issuer_is_asked_is_checked_before_it_is() {
    let url = "https://idp.example/jwks\"";
    let more = |more: &str| format!("{url}, {more}");
    check(url, &more("proxy: \"http://proxy.example:3128\""), &[]);
    check(
        url,
        &more("proxy: \"socks5://proxy\""),
        &["9:61: \"socks5://proxy\" is no URL of a proxy like http://proxy.example:3128"],
    );
    check(
        url,
        &more("proxy: \"http://me:hunter2@proxy:3128\""),
        &["9:61: a proxy with a user or a password is not supported"],
    );
    check(
        url,
        &more("tls: {ca_bundle: none}"),
        &["9:71: this holds no certificate in PEM form; write ${file['path']} to bring in a file"],
    );
    check(
        "{endpoint: \"https://idp.example/jwks\"}",
        "{file: keys.json, timeout: 1s}",
        &["9:15: a file is not asked over HTTP; take out timeout, tls, proxy and insecure_allow_http"],
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
fn principals_have_a_name_each_and_a_password_that_can_be_compared() {
    let plain = |principals: &str, expected: &[&str]| {
        let new = format!("      - {{type: sasl_plain, principals: {principals}}}\n    namespace:");
        let (errors, _) = told(&changed("    namespace:", &new));
        assert_eq!(errors, expected, "{principals}");
    };
    let alice = "{username: alice, password: \"${env['HUNTER']}\"}";
    plain(&format!("[{alice}]"), &[]);
    plain("[]", &["11:40: list at least one username with its password"]);
    plain(&format!("[{alice}, {alice}]"), &["11:101: the username \"alice\" stands twice"]);
    plain(
        "[{username: \"\", password: x}]",
        &["11:52: a username has 1 to 256 bytes and no control characters"],
    );
    plain("[{username: alice}]", &["11:41: \"password\" is missing here"]);
    plain("[{username: alice, password: \"\"}]", &["11:69: this is empty"]);
    plain(
        "[{username: alice, password: \"$2b$12$x\"}]",
        &[
            "11:69: this begins as a hash of a kind that is not read; write the password itself, or $pbkdf2-sha256$i=600000$SALT$HASH",
        ],
    );
    plain(
        &format!("[{alice}], mediation: validate_forward"),
        &[
            "11:102: \"validate_forward\" is not supported: only a token can be verified here and go on; supported: terminate, passthrough",
        ],
    );
    let twice = format!("      - {{type: sasl_plain, principals: [{alice}]}}\n");
    let (errors, _) = told(&changed("    namespace:", &format!("{twice}{twice}    namespace:")));
    assert_eq!(errors, ["12:9: PLAIN is offered twice in this virtual cluster; list all principals in one"]);
}

#[test]
fn principals_of_scram_have_a_password_or_what_is_derived_from_it() {
    let scram = |principals: &str, expected: &[&str]| {
        let new = format!(
            "      - {{type: sasl_scram, algorithm: sha256, principals: {principals}}}\n    namespace:"
        );
        let (errors, _) = told(&changed("    namespace:", &new));
        assert_eq!(errors, expected, "{principals}");
    };
    let alice = "{username: alice, password: \"${env['HUNTER']}\"}";
    scram(&format!("[{alice}]"), &[]);
    scram("[]", &["11:59: list at least one username with its password or its credential"]);
    scram(&format!("[{alice}, {alice}]"), &["11:120: this username stands twice"]);
    scram(
        "[{username: alice}]",
        &["11:60: a principal needs its password, or its credential as Kafka writes it"],
    );
    scram(
        "[{username: alice, password: x, credential: y}]",
        &["11:103: a principal has a password or a credential; keep one of the two"],
    );
    scram(
        "[{username: alice, credential: hunter2}]",
        &[
            "11:90: this is no credential of this algorithm; expected salt=…,stored_key=…,server_key=…,iterations=…, in base64, as Kafka writes it",
        ],
    );
    let way = |algorithm: &str| {
        format!("      - {{type: sasl_scram, algorithm: {algorithm}, principals: [{alice}]}}\n")
    };
    for (other, expected) in [
        ("sha512", vec![]),
        (
            "sha256",
            vec!["12:9: SCRAM-SHA-256 is offered twice in this virtual cluster; list all principals in one"],
        ),
    ] {
        let both = format!("{}{}    namespace:", way("sha256"), way(other));
        assert_eq!(told(&changed("    namespace:", &both)).0, expected);
    }
}

#[test]
fn a_rule_that_maps_certificates_is_one() {
    let mapped = |rules: &str, expected: &[&str]| {
        let new = format!("      - {{type: client_certificate, principal_mapping: {rules}}}\n    namespace:");
        let (errors, _) = told(&changed("    namespace:", &new));
        assert_eq!(errors, expected, "{rules}");
    };
    mapped("[\"RULE:^CN=(.*?),.*$/$1/L\", DEFAULT]", &[]);
    mapped("[]", &["11:55: list at least one rule, or leave the key out: DEFAULT is the whole subject"]);
    mapped(
        "[DEFAULT, CN=x]",
        &["11:65: expected DEFAULT, or RULE:pattern/replacement/ with nothing, L or U behind it"],
    );
}

#[test]
fn what_the_broker_decides_is_not_said_here_too() {
    let way = |way: &str, expected: &[&str]| {
        let (errors, _) = told(&changed("    namespace:", &format!("      - {{{way}}}\n    namespace:")));
        assert_eq!(errors, expected, "{way}");
    };
    way("type: sasl_plain, mediation: passthrough", &[]);
    way("type: sasl_scram, algorithm: sha512, mediation: passthrough", &[]);
    way(
        "type: sasl_plain",
        &["11:9: set principals, a list of usernames with their passwords, or token_endpoint"],
    );
    way("type: sasl_scram, algorithm: sha512", &["11:9: \"principals\" is missing here"]);
    way(
        "type: sasl_plain, mediation: passthrough, session_lifetime_max: 1h",
        &[
            "11:74: session_lifetime_max has no effect with passthrough, where the broker decides; leave it out",
        ],
    );
    way(
        "type: oauth_bearer, mediation: passthrough",
        &[
            "11:9: what becomes of tokens is the same for all issuers of a virtual cluster; give each oauth_bearer the same mediation",
        ],
    );
    let keys = r#"        jwks: {endpoint: "https://idp.example/jwks"}"#;
    let validate = r#"        validate: {issuer: "https://idp.example", audiences: [{name: kafka}]}"#;
    check(keys, "        mediation: validate_forward", &[]);
    let passed = RIGHT.replace(keys, "        mediation: passthrough");
    let no_effect = "10:19: validate has no effect with passthrough, where the broker decides; leave it out";
    assert_eq!(told(&passed).0, [no_effect]);
    let warned = "8:7: the clients' own passwords or tokens go on to the brokers unencrypted; switch tls on at the backend cluster";
    assert_eq!(
        told(&passed.replace(validate, "        claims_mapping: {sub: client_id}")),
        (vec![], vec![warned.to_owned()])
    );
}

#[test]
fn what_this_program_does_not_serve_is_said_plainly() {
    check(
        "    namespace:",
        "    topic_aliases: [{alias: a, topic: b}, {alias: a, topic: c}]\n    namespace:",
        &["11:51: the alias stands here twice; give each topic an alias of its own"],
    );
    check("    namespace:", "    topic_aliases: []\n    namespace:", &[]);
    for (pair, expected) in [
        ("{alias: orders, topic: orders}", "11:29: the alias is its topic's own name; leave it out"),
        (
            "{alias: a/b, topic: orders}",
            "11:29: no topic can be called so: the name may hold only letters, digits, '.', '_' and '-'; choose another alias",
        ),
        (
            "{alias: a, topic: __consumer_offsets}",
            "11:39: no topic of this virtual cluster can be called \"__consumer_offsets\"; name the topic as clients do",
        ),
        (
            "{alias: extra, topic: orders}",
            "11:29: the alias is the name of an additional topic; choose another",
        ),
    ] {
        let extra = "    namespace:\n      additional: {topics: [{type: exact_list, exact_list: [{backend: extra}]}]}";
        check("    namespace:", &format!("    topic_aliases: [{pair}]\n{extra}"), &[expected]);
    }
    check(
        "    policies:\n",
        "    tls_server: {certificates: [], client_authentication: {mode: required}}\n    policies:\n",
        &["25:32: list at least one certificate", "25:59: \"trust_bundle\" is missing here"],
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
fn whatever_is_cut_out_of_a_file_it_is_right_or_something_is_told() {
    let lines: Vec<&str> = RIGHT.lines().collect();
    let without = |skipped: usize| {
        let kept = lines.iter().enumerate().filter(|(number, _)| *number != skipped);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let mut files: Vec<String> = (0..lines.len()).map(without).collect();
    files.extend((0..RIGHT.len()).map(|end| RIGHT[..end].to_owned()));
    let letters = RIGHT.char_indices().filter(|(_, letter)| !letter.is_whitespace());
    files.extend(letters.map(|(at, _)| format!("{}{}", &RIGHT[..at], &RIGHT[at + 1..])));
    for file in files {
        let (errors, _) = told(&file);
        assert!(errors.iter().all(|error| !error.contains("was not noted")), "{file}");
    }
}
