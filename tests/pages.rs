//! The pages that everyone reads, held against the code they speak of.
#![allow(clippy::disallowed_methods, reason = "these hand down the time, as the shell does")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sluicegate::api::{rows, versions};
use sluicegate::cluster::Limits;
use sluicegate::config;
use sluicegate::policy::{Condition, Operation, Resource};
use sluicegate::telemetry::{CertificateOwner, Metrics};
use sluicegate::wire::ApiKey;

const README: &str = include_str!("../README.md");
const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");
const CLIENTS: &str = include_str!("../docs/clients.md");
const SECURITY: &str = include_str!("../docs/security.md");
const LOGIN: &str = include_str!("../docs/login.md");
const BACKENDS: &str = include_str!("../docs/backends.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of code of one language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0)).collect()
}

/// The cells of the rows below the header that begins so.
fn table<'p>(page: &'p str, header: &str) -> Vec<Vec<&'p str>> {
    let start = page.find(header).unwrap_or_else(|| panic!("there is no table {header}"));
    let rows = page[start..].lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn bare(cell: &str) -> &str {
    cell.trim_matches('`')
}

fn the_file() -> &'static str {
    // Of parts of a file, where others explain more, there are several.
    let mut found = blocks(README, "yaml").into_iter().filter(|block| block.contains("backend_clusters:"));
    let file = found.next().expect("README has a file by example");
    assert_eq!(found.next(), None, "README has one file by example");
    file
}

/// What a file says, written down where a file belongs.
fn load(text: &str) -> (config::Gateway, Vec<config::Warning>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    std::fs::write(&path, text).unwrap();
    config::load(&path, &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_file_by_example_is_right_and_says_the_defaults() {
    let (gateway, warnings) = load(the_file());
    assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(gateway.limits, Limits::default());
    let end = the_file().find("\nadmin:").unwrap();
    let (left_out, _) = load(&the_file()[..end]);
    assert_eq!(gateway.admin, left_out.admin);
    assert_eq!(gateway.logging, left_out.logging);
    assert_eq!(gateway.audit, left_out.audit);
    assert_eq!(gateway.drain_timeout, left_out.drain_timeout);
    assert_eq!(gateway.drain_timeout, Duration::from_secs(30));
}

/// Each backend of the page about them, in a file of its own with what such a file needs beside it.
#[test]
fn the_backends_by_example_are_right() {
    let folder = tempfile::tempdir().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["gateway".to_owned()]).unwrap();
    for (name, text) in
        [("ca.pem", cert.pem()), ("gateway.crt", cert.pem()), ("gateway.key", signing_key.serialize_pem())]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("gateway.yaml");
    let rest = &the_file()[the_file().find("virtual_clusters:").unwrap()..];
    let examples = blocks(BACKENDS, "yaml");
    assert!(examples.len() > 5);
    for example in examples {
        let name = example.split("name: ").nth(1).unwrap().lines().next().unwrap();
        let rest = rest.replace("{name: local}", &format!("{{name: {name}}}"));
        std::fs::write(&path, format!("{example}\n{rest}")).unwrap();
        let environment = |_: &str| Some("secret".to_owned());
        let (_, warnings) = config::load(&path, &environment).unwrap_or_else(|errors| panic!("{errors}"));
        let is_expected = |warning: &config::Warning| warning.0.message.contains("yet:");
        assert!(warnings.iter().all(is_expected), "{warnings:?} of {example}");
    }
}

#[test]
fn the_file_for_containers_is_right() {
    config::load(&root().join("config/keycloak/gateway.yaml"), &|_| None)
        .unwrap_or_else(|errors| panic!("{errors}"));
}

/// What the page about logins shows of Keycloak and of opaque tokens, each in the place that it has in the file for
/// containers.
#[test]
fn the_logins_by_token_by_example_are_right() {
    let file = std::fs::read_to_string(root().join("config/keycloak/gateway.yaml")).unwrap();
    let (start, end) =
        (file.find("    authentication:\n      - ").unwrap(), file.find("    namespace:").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    for part in ["jwks: {endpoint: https://idp.example/realms/", "introspection:"] {
        let example = blocks(LOGIN, "yaml").into_iter().find(|block| block.contains(part)).unwrap();
        let example: String = example.lines().map(|line| format!("    {line}\n")).collect();
        std::fs::write(&path, [&file[..start], &example, &file[end..]].concat()).unwrap();
        let environment = |_: &str| Some("secret".to_owned());
        let (_, warnings) = config::load(&path, &environment).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(warnings.iter().all(|warning| warning.0.message.contains("without TLS")), "{warnings:?}");
    }
}

/// Takes fields out whose values README calls their defaults; what is read stays the same.
#[test]
fn what_the_file_by_example_calls_a_default_is_one() {
    let (whole, _) = load(the_file());
    for field in [
        "    authentication: {type: anonymous}",
        "      tls_versions: [tls12, tls13]",
        "      insecure_skip_verify: false",
        "    insecure_allow_anonymous_virtual_cluster_auth: false",
        "    metadata_update_interval_seconds: 60",
        "    dns_label: team",
        "    acl_mode: enforce_on_gateway",
        "    credentials_without_tls: warn",
        "        mediation: terminate",
        "          timeout: 10s",
        "          cache_expiration: 1h",
        "          refresh_interval_min: 30s",
        "          stale_max: 24h",
        "        claims_mapping: {sub: sub, scope: scope}",
        "        clock_skew: 10s",
        "    operator_apis: []",
        "    telemetry: withheld",
        "        enabled: true\n        condition",
        "        name: to-team",
        "        enabled: true\n        config:\n          type: port_mapping",
        "          bootstrap_port: at_start",
        "          min_broker_id: 0",
    ] {
        let start = the_file().find(field).unwrap_or_else(|| panic!("the file does not say {field}"));
        let end = start + the_file()[start..].find('\n').unwrap() + 1;
        let (without, _) = load(&[&the_file()[..start], &the_file()[end..]].concat());
        assert_eq!(format!("{:?}", without.directory), format!("{:?}", whole.directory), "{field}");
    }
}

#[test]
fn the_commented_example_says_every_limit_as_it_is() {
    let path = root().join("config/gateway.yaml");
    let (gateway, _) = config::load(&path, &|_| None).unwrap();
    assert_eq!(gateway.limits, Limits::default());
    let example = std::fs::read_to_string(path).unwrap();
    for row in table(README, "| `limits.` |") {
        let line = format!("\n  {}: {}", bare(row[0]), row[1]);
        assert!(example.contains(&line), "config/gateway.yaml does not say{line}");
    }
}

#[test]
fn every_limit_stands_in_its_table_with_its_default() {
    let table = table(README, "| `limits.` |");
    let told: BTreeSet<&str> = table.iter().map(|row| bare(row[0])).collect();
    let schema = config::schema();
    let keys = schema["$defs"]["LimitsSection"]["properties"].as_object().unwrap();
    assert_eq!(told, keys.keys().map(String::as_str).collect());
    for row in &table {
        let (key, default) = (bare(row[0]), row[1]);
        let help = keys[key]["description"].as_str().unwrap();
        assert!(help.ends_with(&format!("; {default} by default.")), "{key}: README says {default}, {help}");
    }
    let mut text = the_file().to_owned();
    let all: Vec<String> = table.iter().map(|row| format!("{}: {}", bare(row[0]), row[1])).collect();
    text = text.replace("limits: {}", &format!("limits: {{{}}}", all.join(", ")));
    assert_eq!(load(&text).0.limits, Limits::default());
}

#[test]
fn every_key_of_the_file_is_told() {
    let schema = config::schema();
    let mut keys = BTreeSet::new();
    for section in schema["$defs"].as_object().unwrap().values().chain([&schema]) {
        keys_of(section, &mut keys);
    }
    assert!(keys.len() > 80, "{keys:?}");
    for key in keys {
        let mut words = README.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        assert!(words.any(|word| word == key), "{key}");
    }
}

/// The keys of a section, also of one that is a choice between sections.
fn keys_of(section: &serde_json::Value, keys: &mut BTreeSet<String>) {
    if let Some(properties) = section.get("properties").and_then(|found| found.as_object()) {
        keys.extend(properties.keys().cloned());
    }
    for choice in section.get("oneOf").and_then(|found| found.as_array()).into_iter().flatten() {
        keys_of(choice, keys);
    }
}

#[test]
fn every_served_api_stands_in_its_table_with_its_versions() {
    let own = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];
    let own = own.map(|key| (key as i16, format!("{key:?}"), versions::own_range(key).unwrap()));
    let mut served: Vec<_> = rows()
        .iter()
        .map(|row| (row.key as i16, row.name.to_owned(), row.versions.clone()))
        .chain(own)
        .map(|(key, name, versions)| (key, name, format!("{}-{}", versions.start(), versions.end())))
        .collect();
    served.sort();
    let served: Vec<_> = served.iter().map(|(_, name, versions)| [name.as_str(), versions]).collect();
    let told = table(README, "| API | versions |");
    assert_eq!(told.iter().map(|row| [row[0], row[1]]).collect::<Vec<_>>(), served);
}

#[test]
fn every_metric_stands_in_its_table() {
    let rendered = every_metric().render(Instant::now());
    let metrics = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let metrics: BTreeSet<String> = metrics
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    let told = table(README, "| metric |");
    assert_eq!(told.iter().map(|row| bare(row[0]).to_owned()).collect::<BTreeSet<_>>(), metrics);
    let source = include_str!("../src/telemetry/metrics.rs");
    assert_eq!(source.matches("r.register").count(), metrics.len(), "every_metric() leaves one out");
    for label in told.iter().flat_map(|row| row[1].split(", ")).filter(|label| *label != "–") {
        assert!(source.contains(&format!("    {label}: ")), "no metric has the label {label}");
    }
}

/// Metrics of which each has counted something: one that has not is not shown.
fn every_metric() -> Metrics {
    let metrics = Metrics::new();
    metrics.connection_opened("c");
    metrics.connection_closed("c", "r");
    metrics.login("c", "m", "r", "r");
    metrics.upstream_connect("r");
    metrics.keys_fetched("s", "r");
    metrics.keys_stale("s", true);
    metrics.token_looked_up("s", "known");
    metrics.keys_renewed("s", Instant::now());
    metrics.introspected("e", "active");
    metrics.token_fetched("b", "r");
    metrics.login_token_fetched("team", "success");
    metrics.token_held("b", Instant::now());
    metrics.namespace_conflicts("c", 1);
    metrics.condition_failed("p");
    metrics.backend_up("b", true);
    metrics.backend_unverified("b", false);
    metrics.certificate_ends(CertificateOwner::Listener, "l", "c", 1);
    metrics.certificates_read(CertificateOwner::Listener, "l", "ok");
    let cluster = metrics.for_cluster("c");
    cluster.request(0, "a", 1);
    cluster.response(0, "a", 1);
    cluster.gateway_time(0, "a", Duration::ZERO);
    cluster.in_flight_more(1);
    cluster.refused("a", "r");
    metrics
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let all = text_below(&root().join("src")) + &text_below(&root().join("tests"));
    let shown =
        SECURITY.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.rsplit(" | ").next());
    let named: Vec<&str> = shown.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 60, "{named:?}");
    for name in named {
        assert!(all.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}

/// A row is of one rule, and a test of it is found by the rule's id: `a_11_…` is one of A-11.
#[test]
fn every_rule_of_the_security_page_has_a_test_that_bears_its_id() {
    let is_id = |cell: &str| {
        let (letter, number) = cell.split_once('-').unwrap_or_default();
        letter.len() == 1 && number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let rows = SECURITY.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let mut told = BTreeSet::new();
    for (id, rest) in rows.filter(|(id, _)| !matches!(*id, "rule" | "---")) {
        assert!(is_id(id), "{id} is not one rule");
        assert!(told.insert(id), "{id} stands twice");
        let shown_by = rest.rsplit(" | ").next().unwrap();
        let mark = format!("_{}_", id.to_lowercase().replace('-', "_"));
        let bears = |name: &str| format!("_{name}").contains(&mark);
        let is_shown = shown_by.split('`').skip(1).step_by(2).any(bears);
        let says_why_not = shown_by.strip_prefix("none: ").is_some_and(|why| why.len() > "why |".len());
        assert!(is_shown || says_why_not, "{id}: no test bears it, and nothing says why: {shown_by}");
    }
    let all = [("A", 1..=19), ("J", 1..=22), ("I", 1..=18), ("S", 1..=14), ("S", 20..=33), ("P", 1..=17)];
    let all =
        all.into_iter().flat_map(|(letter, numbers)| numbers.map(move |at| format!("{letter}-{at:02}")));
    assert_eq!(told, all.collect::<Vec<_>>().iter().map(String::as_str).collect());
}

#[test]
fn every_operation_and_resource_is_told() {
    for word in Operation::WORDS.iter().chain(&Resource::WORDS) {
        assert!(README.contains(&format!("`{word}`")) || the_file().contains(word), "{word}");
    }
}

#[test]
fn the_conditions_are_conditions() {
    let conditions: Vec<&str> =
        [blocks(README, "js"), blocks(LOGIN, "js")].concat().iter().flat_map(|block| block.lines()).collect();
    assert!(conditions.len() > 2, "{conditions:?}");
    for condition in conditions {
        Condition::parse(condition).unwrap_or_else(|error| panic!("{condition}: {error}"));
    }
}

/// Each section has one client: its name, then its version.
#[test]
fn every_client_stands_in_its_table_with_what_is_run() {
    let anchor = |heading: &str| heading.to_lowercase().replace(' ', "-").replace('.', "");
    let mut sections = Vec::new();
    for section in CLIENTS.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap();
        let (name, version) = heading.rsplit_once(' ').unwrap();
        let run = section.lines().find_map(|line| line.split_once(" run=")?.1.into());
        let run: &str = run.unwrap_or_else(|| panic!("{heading}: nothing is run"));
        let client = run.split(' ').next().unwrap();
        let fetch = section.split_once(&format!("```sh fetch={client}\n"));
        let fetched = fetch.map(|(_, rest)| rest.split_once("\n```").unwrap().0);
        assert!(fetched.is_none_or(|lines| lines.contains(version)), "{heading}: another one is fetched");
        let renews = if run.split(' ').any(|word| word == "renews=yes") { "yes" } else { "no" };
        sections.push((format!("[{name}](#{})", anchor(heading)), renews));
    }
    let table = table(CLIENTS, "| client | renews |");
    let told: Vec<_> =
        table.iter().map(|row| (row[0].split(", ").next().unwrap().to_owned(), row[1])).collect();
    assert_eq!(told, sections);
    assert!(told.len() > 5, "{told:?}");
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for page in [README, ARCHITECTURE] {
        for link in page.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            count += 1;
            match link.strip_prefix('#') {
                Some(heading) => {
                    let anchor =
                        |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
                    let mut headings = page.lines().filter(|line| line.starts_with('#'));
                    assert!(headings.any(|line| anchor(line) == heading), "{link}");
                }
                None => assert!(root().join(link).exists(), "{link}"),
            }
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn the_tree_is_that_of_the_source() {
    let tree = blocks(ARCHITECTURE, "text").into_iter().find(|block| block.starts_with("src/")).unwrap();
    let mut folders: Vec<&str> = Vec::new();
    let mut told = BTreeSet::new();
    for line in tree.lines().skip(1) {
        let name_at = line.find(|c: char| c.is_ascii_alphanumeric()).unwrap();
        folders.truncate(line[..name_at].chars().count() / 4 - 1);
        let name = line[name_at..].split(' ').next().unwrap();
        match name.strip_suffix('/') {
            Some(folder) => folders.push(folder),
            None => {
                let path: PathBuf = folders.iter().copied().chain([name]).collect();
                assert!(told.insert(path.clone()), "{} stands twice", path.display());
            }
        }
    }
    let mut there = BTreeSet::new();
    sources(&root().join("src"), &mut there);
    // One message has a file as another has; the folder is told of.
    there.retain(|path| told.contains(path) || !is_generated(path));
    assert_eq!(told, there);
}

fn is_generated(path: &Path) -> bool {
    let text = std::fs::read_to_string(root().join("src").join(path)).unwrap();
    text.lines().any(|line| line.starts_with("// generated by scripts/"))
}

/// Every source below a folder, one after the other.
fn text_below(folder: &Path) -> String {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.map(|path| match path.extension() {
        _ if path.is_dir() => text_below(&path),
        Some(extension) if extension == "rs" => std::fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    texts.collect()
}

fn sources(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.insert(path.strip_prefix(root().join("src")).unwrap().to_owned());
        }
    }
}

#[test]
fn the_rooms_know_what_the_test_of_the_plan_allows() {
    let plan = include_str!("architecture.rs");
    let arrows = plan.split_once("const ARROWS: ").unwrap().1.split_once("\n];").unwrap().0;
    let words =
        |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let arrows = arrows.lines().filter(|line| line.trim_start().starts_with("(\""));
    let mut planned: Vec<Vec<String>> = arrows.map(words).collect();
    let rooms = table(ARCHITECTURE, "| room |");
    let mut told: Vec<Vec<String>> = rooms
        .iter()
        .map(|row| {
            let knows = row[2].split(", ").filter(|room| *room != "–");
            [bare(row[0])].into_iter().chain(knows).map(str::to_owned).collect()
        })
        .collect();
    planned.sort();
    told.sort();
    assert_eq!(told, planned);
}
