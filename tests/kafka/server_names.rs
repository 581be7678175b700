//! One port before three brokers: Java's clients by server names and certificates of their own, and what OpenSSL is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::site;
use crate::support::clients::{self, Java, Login, Tool};
use crate::support::ports;
use crate::support::process::Gateway;
use crate::support::tls::{Authority, written};
use crate::world::{self, secret};

/// A gateway whose one port is reached by server names, for clients with certificates.
struct Front {
    gateway: Gateway,
    port: u16,
    dir: TempDir,
}

impl Front {
    fn start(world: &world::World) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
        let certificate = servers.pair(&["*.gw.example"]).write(dir.path(), "server");
        let bundle = written(dir.path(), "clients.crt", &clients.pem());
        written(dir.path(), "servers.crt", &servers.pem());
        let client = clients.pair(&["reader"]);
        client.write(dir.path(), "client");
        written(dir.path(), "client.pem", &(client.key + &client.certificate));
        let names = ["bootstrap", "broker-1", "broker-2", "broker-3"];
        let hosts = names.map(|name| format!("127.0.0.1 {name}-team.gw.example\n"));
        written(dir.path(), "hosts", &(hosts.concat() + "127.0.0.1 localhost\n"));

        let port = ports::free();
        let mut setup = site::setup(&world.kafka, &world.issuer, "named-");
        setup.tenant().more.push("dns_label: team".to_owned());
        setup.listeners.push(format!(
            "name: names, addresses: [\"127.0.0.1\"], ports: [\"{port}\"], tls_server: {{certificates: \
             [{certificate}], client_authentication: {{mode: required, trust_bundle: {bundle}}}}}, policies: \
             [{{type: forward_to_virtual_cluster, config: {{type: sni, sni_suffix: .gw.example, \
             broker_host_format: {{type: shared_suffix}}}}}}]"
        ));
        let gateway = Gateway::start(&setup.text(), setup.admin_port);
        Self { gateway, port, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn check(&self, world: &world::World, tool: Tool, dialogue: &str) {
        let expected: Vec<&str> = dialogue.lines().map(str::trim).collect();
        let commands: Vec<&str> = expected.iter().filter_map(|line| line.split(" -> ").next()).collect();
        let (token_url, secret) = (world.issuer.token_url(), secret("admin-app"));
        let (ca, keystore, hosts) = (self.file("servers.crt"), self.file("client.pem"), self.file("hosts"));
        let java = Java { keystore: Some(&keystore), hosts: Some(&hosts) };
        let login =
            Login { client: "admin-app", secret: &secret, token_url: &token_url, ca: Some(&ca), java };
        let bootstrap = format!("bootstrap-team.gw.example:{}", self.port);
        let said = clients::run(tool, &bootstrap, Some(login), &commands);
        let log = self.gateway.process.log();
        assert_eq!(
            said.outcomes, expected,
            "aside it said:\n{}\nand the gateway's log is:\n{log}",
            said.aside
        );
    }

    /// Whether OpenSSL agrees on TLS with these arguments, and all that it says.
    fn openssl(&self, arguments: &str) -> (bool, String) {
        let path = |name: &str| -> String { Path::display(&self.file(name)).to_string() };
        let output = Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &format!("127.0.0.1:{}", self.port),
                "-CAfile",
                &path("servers.crt"),
            ])
            .args(["-cert", &path("client.crt"), "-key", &path("client.key"), "-verify_return_error"])
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .output()
            .expect("openssl starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

#[test]
fn java_reaches_three_brokers_through_one_port_and_openssl_is_told_what_is_not_served() {
    let Some(world) = world::three_brokers() else { return };
    let front = Front::start(world);
    front.check(
        world,
        Tool::JavaAdmin,
        "cluster -> ok brokers=3
         create spread 3 1 -> ok",
    );
    front.check(
        world,
        Tool::JavaFlow,
        "spread one spread:0 spread:1 spread:2 -> ok
         assign - spread:0 spread:1 spread:2 -> ok
         count 3 -> ok 3",
    );
    rule_a15(&front);
}

fn rule_a15(front: &Front) {
    // What OpenSSL itself would not offer any more, it offers here.
    let old = "-servername bootstrap-team.gw.example -cipher DEFAULT@SECLEVEL=0";
    for (arguments, agreed, said) in [
        ("-servername bootstrap-team.gw.example -tls1_3", true, "TLSv1.3"),
        ("-servername broker-2-team.gw.example -tls1_2", true, "TLSv1.2"),
        (&*format!("{old} -tls1_1"), false, "alert"),
        (&*format!("{old} -tls1"), false, "alert"),
        ("-servername bootstrap-other.gw.example", false, "SSL alert number 112"),
        ("-noservername", false, "SSL alert number 109"),
    ] {
        let (has_agreed, all) = front.openssl(arguments);
        assert!(has_agreed == agreed && all.contains(said), "{arguments}: {all}");
    }
}
