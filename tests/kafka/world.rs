//! One Kafka with two ways in: the gateway, and the reference listener where Kafka checks tokens and ACLs itself.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::direct::Direct;
use crate::support::client::Client;
use crate::support::clients::{self, Conversation, Java, Login, Tool};
use crate::support::kafka::{self, Kafka};
use crate::support::ports;
use crate::support::process::{Gateway, Issuer};

/// What one client may do to the resources of one kind that a name stands for. Both ways in are set up from these.
struct Grant {
    client: &'static str,
    kind: &'static str,
    /// `*`, or a beginning and a `*`.
    names: &'static str,
    operations: &'static [&'static str],
}

const fn grant(
    client: &'static str,
    kind: &'static str,
    names: &'static str,
    operations: &'static [&'static str],
) -> Grant {
    Grant { client, kind, names, operations }
}

const GRANTS: &[Grant] = &[
    grant("admin-app", "topic", "*", &["all"]),
    grant("admin-app", "group", "*", &["all"]),
    grant("admin-app", "cluster", "*", &["all"]),
    grant("producer-app", "topic", "*", &["describe", "read", "write", "create"]),
    grant("producer-app", "group", "*", &["describe", "read"]),
    grant("reader-app", "topic", "readable-*", &["describe", "read"]),
    grant("reader-app", "topic", "visible-*", &["describe"]),
    grant("reader-app", "group", "reader-*", &["describe", "read"]),
    grant("cleaner-app", "topic", "readable-*", &["read", "delete", "alter_configs"]),
    grant("cleaner-app", "group", "reader-*", &["delete"]),
    grant("cleaner-app", "cluster", "*", &["describe"]),
    grant("admin-app", "transactional_id", "*", &["all"]),
    grant("reader-app", "transactional_id", "mover-*", &["describe"]),
    grant("mover-app", "topic", "writable-*", &["describe", "read", "write"]),
    grant("mover-app", "topic", "readable-*", &["describe", "read"]),
    grant("mover-app", "group", "mover-*", &["describe", "read"]),
    grant("mover-app", "transactional_id", "mover-*", &["describe", "write"]),
];

/// Clients and secrets. `stranger-app` has a good token and no grant, `elsewhere-app` a token for somebody else.
const CLIENTS: &[&str] =
    &["admin-app", "producer-app", "reader-app", "cleaner-app", "mover-app", "stranger-app", "elsewhere-app"];

const AUDIENCE: &str = "http://kafka.dev";

/// What the gateway puts before names at the backend: nothing that a client is told may contain it.
const PREFIX: &str = "qzx-";

/// The cluster resource as Kafka's ACLs name it.
const CLUSTER: &str = "kafka-cluster";

/// The last line of Kafka before 4.
pub const OLD_VERSION: &str = "3.9";

/// A gateway listens on its bootstrap port and one for each broker.
const LISTENER_PORTS: u16 = 8;

/// The parts of a test: brokers, issuer, gateway, for as long as the test binary lives.
pub struct World {
    brokers: u16,
    /// What the Java admin client makes of a group that is not there: brokers before 4 take it for a dead one.
    no_group: &'static str,
    pub kafka: Kafka,
    pub issuer: Issuer,
    gateway: Gateway,
    gateway_bootstrap: String,
}

/// The world with one broker; `None` when Kafka is not here.
pub fn one_broker() -> Option<&'static World> {
    static ONE: LazyLock<World> = LazyLock::new(|| World::start(1, &[]));
    kafka::is_here().then(|| &*ONE)
}

/// The world with three brokers; `None` when Kafka is not here.
pub fn three_brokers() -> Option<&'static World> {
    static THREE: LazyLock<World> = LazyLock::new(|| World::start(3, &[]));
    kafka::is_here().then(|| &*THREE)
}

/// One broker with transactions as they were before KIP-890; `None` when Kafka is not here.
pub fn older_transactions() -> Option<&'static World> {
    static OLDER: LazyLock<World> =
        LazyLock::new(|| World::start(1, &["--feature", "transaction.version=1"]));
    kafka::is_here().then(|| &*OLDER)
}

/// The world with one broker of an older Kafka; `None` when Kafka is not here.
pub fn old_broker() -> Option<&'static World> {
    static OLD: LazyLock<World> = LazyLock::new(|| World {
        no_group: "ok state=Dead members=0",
        ..World::start(1, &["--version", OLD_VERSION])
    });
    kafka::is_here().then(|| &*OLD)
}

impl World {
    fn start(brokers: u16, more: &[&str]) -> Self {
        let secrets: Vec<String> =
            CLIENTS.iter().map(|client| format!("{client}:{}", secret(client))).collect();
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let elsewhere = ["--audience", AUDIENCE, "--claim", "elsewhere-app:aud=http://elsewhere.dev"];
        let issuer = Issuer::start(&secrets, &elsewhere);
        let kafka = Kafka::start(brokers, &issuer, AUDIENCE, more);
        allow(&kafka);

        let admin_port = ports::free();
        let first_port = ports::free_range(LISTENER_PORTS);
        let config = config(&kafka, &issuer, first_port, admin_port);
        let gateway = Gateway::start(&config, admin_port);
        let gateway_bootstrap = format!("127.0.0.1:{first_port}");
        Self { brokers, no_group: "GROUP_ID_NOT_FOUND", kafka, issuer, gateway, gateway_bootstrap }
    }

    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Has a dialogue on the reference listener, where it says what is right, and then through the gateway.
    pub fn compare(&self, dialogue: fn(&Way<'_>)) {
        dialogue(&Way {
            name: "on the reference listener",
            bootstrap: self.kafka.bootstrap("OAUTH"),
            world: self,
        });
        dialogue(&Way { name: "through the gateway", bootstrap: &self.gateway_bootstrap, world: self });
    }
}

/// One of the two ways in.
pub struct Way<'w> {
    name: &'static str,
    bootstrap: &'w str,
    world: &'w World,
}

impl Way<'_> {
    /// Says these lines with a tool as a client and compares the outcomes. `{brokers}` stands for their count,
    /// `{no-group}` for what such brokers say of a group that is not there.
    pub fn check(&self, tool: Tool, client: &str, dialogue: &str) {
        self.check_with_secret(tool, client, &secret(client), dialogue);
    }

    pub fn check_with_secret(&self, tool: Tool, client: &str, secret: &str, dialogue: &str) {
        let dialogue = dialogue.replace("{brokers}", &self.world.brokers.to_string());
        let dialogue = dialogue.replace("{no-group}", self.world.no_group);
        let expected: Vec<&str> = dialogue.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let commands: Vec<&str> =
            expected.iter().map(|line| line.split_once(" -> ").expect("a line has an outcome").0).collect();
        let token_url = self.world.issuer.token_url();
        let login = Login { client, secret, token_url: &token_url, ca: None, java: Java::default() };
        let said = clients::run(tool, self.bootstrap, Some(login), &commands);
        let way = self.name;
        assert_eq!(
            said.outcomes,
            expected,
            "{tool:?} as {client} {way} (left: seen, right: expected); aside it said:\n{}{}",
            said.aside,
            self.gateway_log()
        );
        assert!(!said.aside.contains(PREFIX), "{client} was told a backend name {way}:\n{}", said.aside);
    }

    /// Begins a conversation with a tool as a client.
    pub fn converse(&self, tool: Tool, client: &str) -> Conversation {
        let (secret, token_url) = (secret(client), self.world.issuer.token_url());
        let login = Login { client, secret: &secret, token_url: &token_url, ca: None, java: Java::default() };
        Conversation::start(tool, self.bootstrap, login)
    }

    /// What stands before a name on the backend that a client says here.
    pub fn prefix(&self) -> &'static str {
        if self.is_gateway() { PREFIX } else { "" }
    }

    /// A raw connection, logged in as this client.
    pub fn log_in(&self, client: &str) -> Client {
        let first = self.bootstrap.split(',').next().expect("a list has a first item");
        let (_, port) = first.rsplit_once(':').expect("an address has a port");
        self.log_in_at(client, port.parse().expect("a port is a number"))
    }

    /// The same at another of the ports that clients are told of here.
    pub fn log_in_at(&self, client: &str, port: u16) -> Client {
        let mut connection = Client::connect(port);
        connection.log_in(&self.world.issuer.token(client, &secret(client)));
        connection
    }

    /// A conversation with the backend itself.
    pub fn direct(&self) -> Direct {
        Direct::connect(&self.world.kafka)
    }

    /// How many requests of an API went through the gateway so far.
    pub fn requests(&self, api: &str) -> f64 {
        let (_, text) = self.world.gateway.admin("/metrics").expect("the admin port answers");
        let label = format!("api=\"{api}\"");
        let lines = text.lines().filter(|line| line.starts_with("sluicegate_requests_total"));
        let counts = lines.filter(|line| line.contains(&label));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub fn is_gateway(&self) -> bool {
        self.bootstrap == self.world.gateway_bootstrap
    }

    fn gateway_log(&self) -> String {
        if !self.is_gateway() {
            return String::new();
        }
        let log = self.world.gateway.process.log();
        let last: Vec<&str> = log.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("\nand the gateway's log ends with:\n{}", last.join("\n"))
    }
}

pub fn secret(client: &str) -> String {
    format!("{}-secret", client.trim_end_matches("-app"))
}

/// The grants as Kafka's own ACLs, for the reference listener.
fn allow(kafka: &Kafka) {
    let lines: Vec<String> = GRANTS
        .iter()
        .map(|Grant { client, kind, names, operations }| {
            let (name, pattern) = match (*kind, names.strip_suffix('*')) {
                ("cluster", _) => (CLUSTER, "LITERAL"),
                (_, Some("")) => ("*", "LITERAL"),
                (_, Some(beginning)) => (beginning, "PREFIXED"),
                (_, None) => (*names, "LITERAL"),
            };
            format!("allow {client} {kind} {name} {pattern} {}", operations.join(","))
        })
        .collect();
    let commands: Vec<&str> = lines.iter().map(String::as_str).collect();
    let said = clients::run(Tool::JavaAdmin, kafka.bootstrap("PLAINTEXT"), None, &commands);
    let right: Vec<String> = lines.iter().map(|line| format!("{line} -> ok")).collect();
    assert_eq!(said.outcomes, right, "Kafka's ACLs could not be set: {}", said.aside);
}

/// The same grants as the gateway's policies, over a hidden prefix.
fn config(kafka: &Kafka, issuer: &Issuer, first_port: u16, admin_port: u16) -> String {
    let bootstrap: Vec<String> =
        kafka.bootstrap("PLAINTEXT").split(',').map(|address| format!("\"{address}\"")).collect();
    let last_port = first_port + LISTENER_PORTS - 1;
    let mut policies = String::new();
    for client in CLIENTS {
        let rules: String = GRANTS.iter().filter(|grant| grant.client == *client).map(rule).collect();
        if !rules.is_empty() {
            let condition = format!("context.auth.token.claims.client_id == '{client}'");
            write!(
                policies,
                "      - type: acls\n        name: {client}\n        condition: \"{condition}\"\n        \
                 config:\n          rules:\n{rules}"
            )
            .expect("a String takes all");
        }
    }
    format!(
        r#"backend_clusters:
  - name: backend
    bootstrap_servers: [{bootstrap}]
    authentication: {{type: anonymous}}
    tls: {{enabled: false}}
    metadata_update_interval_seconds: 5
virtual_clusters:
  - name: team
    destination: {{name: backend}}
    dns_label: team
    acl_mode: enforce_on_gateway
    authentication:
      - type: oauth_bearer
        mediation: terminate
        jwks: {{endpoint: "{jwks}", timeout: 5s}}
        validate: {{issuer: "{issuer}", audiences: [{{name: "{AUDIENCE}"}}]}}
        claims_mapping: {{sub: client_id}}
    namespace: {{mode: hide_prefix, prefix: "{PREFIX}"}}
    cluster_policies:
{policies}listeners:
  - name: front
    addresses: ["127.0.0.1"]
    ports: ["{first_port}-{last_port}"]
    policies:
      - type: forward_to_virtual_cluster
        config:
          type: port_mapping
          advertised_host: 127.0.0.1
          bootstrap_port: at_start
          min_broker_id: 1
          destination: {{name: team}}
admin: {{listen: "127.0.0.1:{admin_port}"}}
"#,
        bootstrap = bootstrap.join(", "),
        jwks = issuer.jwks_url(),
        issuer = issuer.url(),
    )
}

fn rule(Grant { kind, names, operations, .. }: &Grant) -> String {
    let operations: Vec<String> =
        operations.iter().map(|operation| format!("{{name: {operation}}}")).collect();
    format!(
        "            - resource_type: {kind}\n              action: allow\n              operations: [{}]\n              \
         resource_names: [{{match: \"{names}\"}}]\n",
        operations.join(", ")
    )
}
