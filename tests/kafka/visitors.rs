//! Java and librdkafka by the lines that `docs/login.md` has for them: many clients in one process, each with a file of
//! its own, before listeners that speak TLS.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use std::{fs, panic, thread};

use serde_json::Value;

use crate::site::Site;
use crate::support::clients::Tool::{self, JavaFlow, Librdkafka};
use crate::support::clients::{properties, run_as};
use crate::support::process::Gateway;
use crate::support::setup::Setup;

const PAGE: &str = include_str!("../../docs/login.md");

/// The one whom the page names, and his password.
pub const BATCH: &str = "batch";
pub const BATCH_SECRET: &str = "batch-secret";
/// A wrong password that is nowhere else in a log.
pub const WRONG: &str = "open-sesame-8352";

/// The clients of one process, each by its name there, which the audit log has as its client id.
pub struct Visitors<'s> {
    site: &'s Site,
    tool: Tool,
    settings: Vec<(&'static str, String)>,
}

impl<'s> Visitors<'s> {
    pub fn new(site: &'s Site, tool: Tool) -> Self {
        Self { site, tool, settings: Vec::new() }
    }

    /// One more, who comes to a port as the page says for this `type`, with other words in the place of some.
    pub fn and(mut self, name: &'static str, port: u16, way: &str, instead: &[(&str, &str)]) -> Self {
        let lines = instead.iter().fold(lines_of(self.tool, way), |text, (word, other)| {
            assert!(text.contains(word), "{word:?} is not in:\n{text}");
            text.replace(word, other)
        });
        // Where things are in a test; what was replaced already stays.
        let ca = self.site.kafka.certificate_file("ca.crt").display().to_string();
        let token_url = self.site.issuer.token_url();
        let lines = lines.replace("/etc/kafka/ca.crt", &ca).replace("https://idp.example/token", &token_url);
        let bootstrap = format!("127.0.0.1:{port}");
        let common = match self.tool {
            Librdkafka => format!("bootstrap.servers={bootstrap}\n"),
            _ => properties(&bootstrap, None),
        };
        self.settings.push((name, format!("client.id={name}\n{common}{lines}")));
        self
    }

    /// Takes out of somebody's lines those that say this.
    pub fn leave_out(&mut self, name: &str, what: &str) {
        let settings = self.settings.iter_mut().filter(|(known, _)| *known == name);
        for (_, text) in settings {
            *text = text.split_inclusive('\n').filter(|line| !line.contains(what)).collect();
        }
    }

    /// Has them say these lines in turn, compares the outcomes, and returns what else they were told.
    pub fn check(&self, gateways: &[&Gateway], dialogue: &str) -> String {
        let expected: Vec<&str> = dialogue.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let commands: Vec<&str> =
            expected.iter().map(|line| line.split_once(" -> ").expect("a line has an outcome").0).collect();
        let said = run_as(self.tool, &self.settings, &commands);
        let logs = gateways.iter().map(|gateway| gateway.process.log()).collect::<String>();
        let tool = self.tool;
        assert_eq!(
            said.outcomes,
            expected,
            "{tool:?} (left: seen, right: expected); aside it said:\n{}\nand the gateways' logs end with:\n{}",
            end_of(&said.aside),
            end_of(&logs)
        );
        let audit: Vec<Vec<Value>> = gateways.iter().map(|gateway| gateway.audit()).collect();
        for told in [logs, format!("{audit:?}")] {
            assert!(!told.contains(WRONG) && !told.contains(BATCH_SECRET), "a password is shown:\n{told}");
        }
        said.aside
    }

    /// The same for lines that go on until the file `FILE` is there: it is as soon as there is enough, and however else
    /// this ends. For how long they go on without it is up to them.
    pub fn check_until(&self, gateways: &[&Gateway], dialogue: &str, is_enough: impl Fn() -> bool) -> String {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("enough");
        let dialogue = dialogue.replace("FILE", &file.display().to_string());
        thread::scope(|scope| {
            let enough = Enough(&file);
            let talking = scope.spawn(|| self.check(gateways, &dialogue));
            while !talking.is_finished() && !is_enough() {
                sleep(Duration::from_millis(50));
            }
            drop(enough);
            talking.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        })
    }
}

/// Writes its file when it is dropped.
struct Enough<'p>(&'p Path);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        fs::write(self.0, "").expect("the file can be written");
    }
}

/// What a client that tries on and on makes of it is long.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// The lines of the page for a library that logs in so.
fn lines_of(tool: Tool, way: &str) -> String {
    let library = match tool {
        Librdkafka => "librdkafka",
        JavaFlow => "java",
        _ => panic!("{tool:?} stays who it is"),
    };
    let fence = format!("```properties {library}={way}\n");
    let (_, rest) = PAGE.split_once(&fence).unwrap_or_else(|| panic!("the page has no {fence}"));
    rest.split_once("```").expect("a block ends").0.to_owned()
}

/// Has the first tenant's listener speak TLS by the throw-away CA, with more keys behind that, each after a comma.
pub fn by_tls(site: &Site, more: &str) -> String {
    let (certificate, key) = (site.pem("broker.crt"), site.pem("broker.key"));
    format!("tls_server: {{certificates: [{{certificate: {certificate}, key: {key}}}]{more}}}")
}

/// A gateway with this file, that finds the password in its environment.
pub fn start(setup: &Setup) -> Gateway {
    Gateway::start_in(&setup.text(), setup.admin_port, &[("BATCH_PASSWORD", BATCH_SECRET)])
}

/// Whether an audit line says that this client has logged in again.
pub fn is_renewal(line: &Value, client: &str) -> bool {
    let said = ["client_id", "principal", "outcome", "reason"].map(|key| line[key].as_str().unwrap_or(""));
    said == [client, BATCH, "success", "re-authentication"]
}

/// Waits until the audit log says that this client was let in so.
pub fn expect_login(gateway: &Gateway, client: &str, mechanism: &str, principal: &str) {
    gateway.expect_audit(&format!("{client}, let in"), |line| {
        is_login(line, client, mechanism, "success") && line["principal"] == principal
    });
}

/// Waits until the audit log says that this client was turned away for this reason, under an id that it was told.
pub fn expect_refusal(gateway: &Gateway, client: &str, mechanism: &str, reason: &str, told: &str) {
    gateway.expect_audit(
        &format!("{client}, turned away for {reason:?}, with an id in:\n{told}\n"),
        |line| {
            let (why, id) = (line["reason"].as_str().unwrap_or(""), line["id"].as_str().unwrap_or(""));
            is_login(line, client, mechanism, "failure")
                && why.contains(reason)
                && !id.is_empty()
                && told.contains(id)
        },
    );
}

fn is_login(line: &Value, client: &str, mechanism: &str, outcome: &str) -> bool {
    let said = ["event", "client_id", "mechanism", "outcome"].map(|key| line[key].as_str().unwrap_or(""));
    said == ["login", client, mechanism, outcome]
}
