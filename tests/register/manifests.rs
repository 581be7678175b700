//! The manifests that bring it into a cluster, and the page that tells of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::cluster::Pod;
use crate::keycloak::Keycloak;
use crate::support::process::SLUICEGATE;
use crate::{schema, told, written};

/// Every document of a file in `deploy/keycloak/`.
fn documents(name: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/keycloak").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents = text.split("\n---\n");
    let documents =
        documents.map(|text| serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}")));
    documents.inspect(schema::assert_taken).collect()
}

#[test]
fn the_account_may_write_one_secret_where_it_is_read_and_nothing_else() {
    let documents = documents("rbac.yaml");
    let [account, role, binding] = documents.as_slice() else { panic!("{documents:?}") };
    assert_eq!((&account["apiVersion"], &account["kind"]), (&json!("v1"), &json!("ServiceAccount")));
    for document in [role, binding] {
        assert_eq!(document["apiVersion"], "rbac.authorization.k8s.io/v1");
        assert_eq!(document["metadata"]["namespace"], "kafka", "the target's");
    }
    assert_eq!(role["kind"], "Role");
    let secret = json!(["sluicegate-kafka"]);
    assert_eq!(
        role["rules"],
        json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": secret, "verbs": ["get", "update", "patch"]},
        ])
    );
    assert_eq!(binding["kind"], "RoleBinding");
    let to =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]});
    assert_eq!(binding["roleRef"], to);
    let (name, namespace) = (&account["metadata"]["name"], &account["metadata"]["namespace"]);
    assert_eq!(namespace, "keycloak", "the account's own");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}])
    );
}

#[test]
fn both_jobs_say_what_the_command_line_takes() {
    for (name, url, bundle) in [
        ("job-internal-url.yaml", "http://keycloak.keycloak.svc:8080", None),
        ("job-ca-bundle.yaml", "https://idp.example", Some("/etc/keycloak/ca.pem")),
    ] {
        let job = documents(name).remove(0);
        assert_eq!((&job["apiVersion"], &job["kind"]), (&json!("batch/v1"), &json!("Job")));
        assert_eq!(job["metadata"]["namespace"], "keycloak");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], "sluicegate-register");
        assert_eq!(pod["restartPolicy"], "Never");
        let container = &pod["containers"][0];
        let variable = |name: &str| {
            let list = container["env"].as_array().expect("there are some");
            list.iter().find(|variable| variable["name"] == name).cloned()
        };
        let value = |name: &str| variable(name).and_then(|found| found["value"].as_str().map(str::to_owned));
        assert_eq!(value("KEYCLOAK_URL").as_deref(), Some(url));
        assert_eq!(value("KEYCLOAK_CA_BUNDLE").as_deref(), bundle);
        for name in ["KEYCLOAK_ADMIN", "KEYCLOAK_PASSWORD"] {
            let from = &variable(name).expect("it is there")["valueFrom"]["secretKeyRef"]["name"];
            assert_eq!(from, "keycloak-admin", "{name} comes from a secret");
        }
        if let Some(bundle) = bundle {
            let mount = &container["volumeMounts"][0];
            let folder = mount["mountPath"].as_str().expect("it is mounted somewhere");
            assert!(bundle.starts_with(folder), "{bundle} is in {folder}");
            assert_eq!(mount["name"], pod["volumes"][0]["name"]);
            assert!(pod["volumes"][0]["configMap"]["name"].is_string());
        }
        // The words of the Job, in a pod: the program takes them, and writes where the Role lets it.
        let arguments = container["args"].as_array().expect("there are some");
        let arguments: Vec<&str> = arguments.iter().map(|word| word.as_str().expect("a word")).collect();
        assert_eq!(arguments[..2], ["keycloak", "register"]);
        let (keycloak, pod) = (Keycloak::start(), Pod::start());
        let mut words = arguments[2..].to_vec();
        words.retain(|word| *word != "--to=cluster");
        let output = pod.register(&keycloak, &words);
        told(&output, "secret kafka/sluicegate-kafka made");
    }
}

/// The code spans in the first cells of the rows below the header that begins so.
fn first_cells(page: &'static str, header: &str) -> Vec<&'static str> {
    let start = page.find(header).unwrap_or_else(|| panic!("there is no table {header}"));
    let rows = page[start..].lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("it begins with code")).collect()
}

#[test]
fn the_page_says_what_the_program_says() {
    const PAGE: &str = include_str!("../../docs/keycloak.md");
    let source = include_str!("../../src/keycloak/failure.rs").replace("\\\n", "");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = words(&source);
    let told = first_cells(PAGE, "| it says |");
    assert!(told.len() > 10, "{told:?}");
    for sentence in told {
        assert!(said.contains(sentence.trim_end_matches(" …")), "no failure says {sentence}");
    }
    let help = Command::new(SLUICEGATE).args(["keycloak", "register", "--help"]).output();
    let help = words(&String::from_utf8(help.expect("sluicegate starts").stdout).expect("it is text"));
    for word in first_cells(PAGE, "| `--to` |").into_iter().chain(first_cells(PAGE, "| `--preset` |")) {
        assert!(help.contains(&format!("- {word}: ")), "{word} is no word of the command line");
    }
    for name in first_cells(PAGE, "| Job |") {
        documents(name);
    }
}

#[test]
fn the_secret_that_is_printed_is_one_that_an_api_server_takes() {
    let text = written(&Keycloak::start().register(&["--to", "manifest", "--namespace", "kafka"]));
    let secret: Json = serde_saphyr::from_str(&text).expect("it is YAML");
    schema::assert_taken(&secret);
    assert_eq!(secret["metadata"]["name"], "reader-app");
    assert_eq!(secret["stringData"]["method"], "oidc");
}
