//! Virtual clusters behind server names: what must be changed, and what is probably not meant.

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use super::*;

const CONFIG: &str =
    "        config: {type: port_mapping, advertised_host: localhost, destination: {name: team}}\n";
const POLICY: &str = "      - type: forward_to_virtual_cluster\n";
const TLS: &str =
    "    tls_server: {certificates: [{certificate: \"${file['crt']}\", key: \"${file['key']}\"}]}\n";

/// The right file with the label `team` and these configurations of policies, one line each from line 29 on.
fn source(configs: &[&str]) -> String {
    let policies: Vec<String> =
        configs.iter().map(|config| format!("        config: {{{config}}}\n")).collect();
    changed(CONFIG, &policies.join(POLICY))
        .replace("    namespace:", "    dns_label: team\n    namespace:")
        .replace("    policies:\n", &format!("{TLS}    policies:\n"))
}

/// What the file becomes with a certificate for these hosts, or every error; and every warning.
fn judged(source: &str, hosts: &[&str]) -> Result<(Gateway, Vec<String>), Vec<String>> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let CertifiedKey::<KeyPair> { cert, signing_key } = generate_simple_self_signed(hosts).unwrap();
    let files = |name: &str| match name {
        "crt" => Ok(cert.pem()),
        "key" => Ok(signing_key.serialize_pem()),
        _ => Err("no such file".to_owned()),
    };
    let elsewhere = Elsewhere { directory: Path::new("/etc/gw"), environment: &|_| None, files: &files };
    let without_file = |problem: &Problem| problem.to_string().trim_start_matches("f:").to_owned();
    match read(source, "f", &elsewhere) {
        Ok((gateway, warnings)) => {
            Ok((gateway, warnings.iter().map(|warning| without_file(&warning.0)).collect()))
        }
        Err(errors) => Err(errors.problems().iter().map(without_file).collect()),
    }
}

fn refuses(source: &str, expected: &[&str]) {
    match judged(source, &["*.team.gw.example"]) {
        Ok(_) => panic!("nothing is said of {source}"),
        Err(errors) => assert_eq!(errors, expected, "{source}"),
    }
}

/// Where the first virtual cluster's clients are told that broker 3 is.
fn broker(config: &str) -> String {
    let (gateway, _) = judged(&source(&[config]), &["x"]).unwrap_or_else(|errors| panic!("{errors:?}"));
    let listener = &gateway.directory.listeners[0];
    listener.book.broker(3).unwrap().into_inner().to_string()
}

#[test]
fn brokers_are_told_apart_by_names_in_both_forms() {
    assert_eq!(broker("type: sni, sni_suffix: .gw.example"), "broker-3.team.gw.example:19092");
    assert_eq!(
        broker(
            "type: sni, sni_suffix: .gw.example, advertised_port: 443, destination: {name: team}, broker_host_format: {type: shared_suffix}"
        ),
        "broker-3-team.gw.example:443"
    );
    assert_eq!(
        broker("type: sni, sni_suffix: -gw.example, broker_host_format: {type: per_cluster_suffix}"),
        "broker-3.team-gw.example:19092"
    );
    assert_eq!(broker("type: sni"), "broker-3.team:19092");
}

#[test]
fn every_cluster_with_a_label_is_behind_a_policy_without_a_destination() {
    let source = source(&["type: sni, sni_suffix: .gw.example"]).replace(
        "listeners:",
        &second("other", "their-", "local").replace("    acl_mode", "    dns_label: other\n    acl_mode"),
    );
    let (gateway, warnings) = judged(&source, &["*.team.gw.example", "*.other.gw.example"]).unwrap();
    let Behind::Names(names) = &gateway.directory.entrances[0].behind else { panic!("not by names") };
    let cluster = |name: &str| {
        let (place, door) = names.find(name)?;
        Some((gateway.directory.listeners[place].cluster.name.to_string(), door))
    };
    assert_eq!(cluster("bootstrap.team.gw.example"), Some(("team".to_owned(), Door::Bootstrap)));
    assert_eq!(cluster("broker-1.other.gw.example"), Some(("other".to_owned(), Door::Broker(1))));
    assert_eq!(cluster("broker-1.third.gw.example"), None);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn names_that_lead_nowhere_or_twice_are_told() {
    let twice = "the server name \"bootstrap.team.gw.example\" leads to a virtual cluster already; choose another sni_suffix or dns_label";
    let sni = "type: sni, sni_suffix: .gw.example";
    refuses(&source(&[sni, sni]), &[&format!("30:9: {twice}")]);
    refuses(&source(&[sni, &format!("{sni}, destination: {{name: team}}")]), &[&format!("31:67: {twice}")]);
    judged(&source(&[sni, "type: sni, sni_suffix: .other.example"]), &["x"]).unwrap();
    judged(&source(&[sni, &format!("{sni}, broker_host_format: {{type: shared_suffix}}")]), &["x"]).unwrap();
    refuses(
        &source(&[sni]).replace("    dns_label: team\n", ""),
        &["27:9: no virtual cluster has a dns_label, so no server name leads anywhere"],
    );
    refuses(
        &source(&[&format!("{sni}, destination: {{name: team}}")]).replace("    dns_label: team\n", ""),
        &["28:67: the virtual cluster \"team\" needs a dns_label to be found by server names"],
    );
    refuses(
        &source(&[&format!("{sni}, destination: {{name: tean}}")]),
        &["29:74: there is no virtual cluster \"tean\"; did you mean \"team\"?"],
    );
}

#[test]
fn a_suffix_that_is_none_is_told() {
    for wrong in
        ["gw.example", ".", ".-gw", ".gw-.example", ".gw..example", ".GW", ".gw.example.", ". x", "--x"]
    {
        let told = format!(
            "29:41: {wrong:?} is no suffix of server names: it begins with '.' or '-', as in \".gw.example\", and holds a-z, 0-9, '-' and '.'"
        );
        refuses(&source(&[&format!("type: sni, sni_suffix: '{wrong}'")]), &[&told]);
    }
    let label = "t".repeat(46);
    let long = source(&["type: sni, sni_suffix: .gw, broker_host_format: {type: shared_suffix}"])
        .replace("dns_label: team", &format!("dns_label: {label}"));
    let told = format!(
        "28:9: the server names of brokers with the dns_label {label:?} would be too long: a name has at most 253 characters, and each part between dots at most 63"
    );
    refuses(&long, &[&told]);
}

#[test]
fn names_are_a_part_of_tls_and_do_not_mix_with_ports() {
    let sni = "type: sni, sni_suffix: .gw.example";
    refuses(
        &source(&[sni]).replace(TLS, ""),
        &["23:11: server names are a part of TLS; set tls_server for a listener with policies of type sni"],
    );
    let ports = "type: port_mapping, advertised_host: localhost, destination: {name: team}";
    let mixed = "a listener leads to one virtual cluster where its ports tell brokers apart, and to any number where all its policies are of type sni; give this one a listener of its own";
    refuses(&source(&[sni, ports]), &[&format!("30:9: {mixed}")]);
    refuses(&source(&[ports, sni]), &[&format!("30:9: {mixed}")]);
}

#[test]
fn a_certificate_that_is_not_for_the_advertised_hosts_is_warned_of() {
    let check = |config: &str, hosts: &[&str], uncovered: Option<&str>| {
        let (_, warnings) = judged(&source(&[config]), hosts).unwrap();
        let told = uncovered.map(|host| {
            format!("26:17: no certificate here is good for \"{host}\", where clients of the virtual cluster \"team\" are sent; they will refuse to connect")
        });
        assert_eq!(warnings, Vec::from_iter(told), "{config} {hosts:?}");
    };
    let sni = "type: sni, sni_suffix: .gw.example";
    check(sni, &["*.team.gw.example"], None);
    check(sni, &["*.gw.example"], Some("bootstrap.team.gw.example"));
    check(sni, &["bootstrap.team.gw.example"], Some("broker-0.team.gw.example"));
    check(&format!("{sni}, broker_host_format: {{type: shared_suffix}}"), &["*.gw.example"], None);
    let ports = "type: port_mapping, advertised_host: kafka.example, destination: {name: team}";
    check(ports, &["kafka.example"], None);
    check(ports, &["localhost"], Some("kafka.example"));
    check(&ports.replace("kafka.example", "10.0.0.1"), &["10.0.0.1"], None);
}

#[test]
fn what_a_listener_asks_of_clients_is_checked() {
    let with = |wanted: &str| {
        let pair = "key: \"${file['key']}\"}]";
        source(&["type: sni, sni_suffix: .gw.example"])
            .replace(pair, &format!("{pair}, client_authentication: {{{wanted}}}"))
    };
    let wanted = |mode: &str| {
        let source = with(&format!("mode: {mode}, trust_bundle: \"${{file['crt']}}\""));
        let (gateway, _) = judged(&source, &["x"]).unwrap();
        gateway.directory.entrances[0].tls.clone().unwrap().client_authentication.unwrap()
    };
    assert!(wanted("required").is_required && !wanted("requested").is_required);
    let files: Vec<_> = wanted("required").trust_bundle.files().map(Path::to_owned).collect();
    assert_eq!(files, [Path::new("/etc/gw/crt")]);
    assert!(wanted("required").crl.is_none());
    let no_list = "this holds no list of revoked certificates in PEM form with a next update; write ${file['path']} to bring in a file";
    for crl in ["x", "\"${file['crt']}\""] {
        let source = with(&format!("mode: required, trust_bundle: \"${{file['crt']}}\", crl: {crl}"));
        refuses(&source, &[&format!("26:167: {no_list}")]);
    }
    refuses(
        &with("mode: optional, trust_bundle: x"),
        &[
            "26:120: unknown value \"optional\"; expected one of required, requested",
            "26:144: this holds no certificate in PEM form; write ${file['path']} to bring in a file",
        ],
    );
}

#[test]
fn a_name_for_brokers_certificates_is_one() {
    const TLS: &str = "    tls: {enabled: true, server_name: kafka.example}\n    bootstrap";
    let named = read_right(&changed("    bootstrap", TLS));
    let tls_of = |gateway: &Gateway| gateway.directory.backends[0].tls.clone().unwrap();
    assert_eq!(tls_of(&named).server_name.as_deref(), Some("kafka.example"));
    check(
        "    bootstrap",
        &TLS.replace("kafka.example", "\"kafka example\""),
        &["3:39: \"kafka example\" is no name that a certificate could bear"],
    );
}
