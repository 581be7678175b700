//! One broker with every listener there is, and as many gateways before it as the cases want.
//!
//! It forgets offsets after a minute, which is as short as Kafka goes.

use std::path::PathBuf;
use std::sync::LazyLock;

use crate::direct::Direct;
use crate::support::client::Client;
use crate::support::clients::{self, Conversation, Java, Login, Tool};
use crate::support::kafka::{self, Kafka};
use crate::support::process::{Gateway, Issuer};
use crate::support::setup::Setup;

/// The one client of these cases, who may do everything unless a case says otherwise.
pub const CLIENT: &str = "some-app";
pub const SECRET: &str = "some-secret";
pub const AUDIENCE: &str = "http://kafka.dev";

/// The properties that the broker has beyond those of the script.
const SETTINGS: &[&str] = &[
    "offsets.retention.minutes=1",
    "offsets.retention.check.interval.ms=500",
    // TLS with a client certificate, and whom the broker takes its owner for.
    "listener.name.ssl.ssl.client.auth=required",
    "super.users=User:ANONYMOUS;User:gateway;User:CN=localhost",
    // A login by SCRAM is good for so long.
    "listener.name.scram.connections.max.reauth.ms=4000",
    // One by a token too.
    "listener.name.oauth.connections.max.reauth.ms=4000",
    // PLAIN by TLS as well.
    "listener.name.scram_ssl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
    "listener.name.scram_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
     required user_gateway=\"gw-secret\" user_batch=\"batch-secret\";",
];

/// Broker and issuer, for as long as the test binary lives.
pub struct Site {
    pub kafka: Kafka,
    pub issuer: Issuer,
}

/// The site; `None` when Kafka is not here.
pub fn site() -> Option<&'static Site> {
    static SITE: LazyLock<Site> = LazyLock::new(|| {
        let settings: Vec<&str> = SETTINGS.iter().flat_map(|setting| ["--set", setting]).collect();
        let issuer = issuer("5m");
        let kafka = Kafka::start(1, &issuer, AUDIENCE, &settings);
        Site { kafka, issuer }
    });
    kafka::is_here().then(|| &*SITE)
}

/// An issuer that knows the client, the gateway, and the one whom the page about logins names, with tokens good for so long.
pub fn issuer(token_lifetime: &str) -> Issuer {
    Issuer::start(
        &[&format!("{CLIENT}:{SECRET}"), "gateway:gw-secret", "batch:batch-secret"],
        &["--token-lifetime", token_lifetime],
    )
}

impl Site {
    /// The file of a gateway before this broker, with one tenant of this prefix.
    pub fn setup(&self, prefix: &str) -> Setup {
        setup(&self.kafka, &self.issuer, prefix)
    }

    /// A gateway that runs with this file.
    pub fn front(&self, setup: Setup) -> Front<'_> {
        Front::start(setup, &self.issuer)
    }

    /// A conversation with the broker itself.
    pub fn direct(&self) -> Direct {
        Direct::connect(&self.kafka)
    }

    /// A file of the throw-away CA, as the gateway's file names it.
    pub fn pem(&self, name: &str) -> String {
        format!("\"${{file['{}']}}\"", self.kafka.certificate_file(name).display())
    }
}

/// The file of a gateway before any brokers, by any issuer.
pub fn setup(kafka: &Kafka, issuer: &Issuer, prefix: &str) -> Setup {
    let bootstrap: Vec<String> = kafka.bootstrap("PLAINTEXT").split(',').map(str::to_owned).collect();
    let mut setup = Setup::new(&bootstrap, "");
    setup.tenant().authentication = vec![authentication(issuer, "")];
    setup.tenant().namespace = format!("{{mode: hide_prefix, prefix: \"{prefix}\"}}");
    setup
}

/// An item of `authentication`: tokens of this issuer, with more keys behind it, each after a comma.
pub fn authentication(issuer: &Issuer, more: &str) -> String {
    format!(
        "{{type: oauth_bearer, mediation: terminate, jwks: {{endpoint: \"{}\", timeout: 5s}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}, \
         claims_mapping: {{sub: client_id}}{more}}}",
        issuer.jwks_url(),
        issuer.url()
    )
}

/// A gateway with the file it runs with.
pub struct Front<'i> {
    pub gateway: Gateway,
    pub setup: Setup,
    issuer: &'i Issuer,
    /// The CA by which the gateway's clients speak TLS, if they do.
    pub ca: Option<PathBuf>,
}

impl<'i> Front<'i> {
    pub fn start(setup: Setup, issuer: &'i Issuer) -> Self {
        let gateway = Gateway::start(&setup.text(), setup.admin_port);
        Self { gateway, setup, issuer, ca: None }
    }

    /// Where a tenant, counted from 0, has its bootstrap port.
    pub fn bootstrap(&self, tenant: usize) -> String {
        format!("127.0.0.1:{}", self.setup.tenants[tenant].port)
    }

    /// Says these lines with a tool to the first tenant, and compares the outcomes.
    pub fn check(&self, tool: Tool, dialogue: &str) {
        self.check_at(0, tool, dialogue);
    }

    /// Says these lines with a tool to a tenant, and returns what else the client was told.
    pub fn check_at(&self, tenant: usize, tool: Tool, dialogue: &str) -> String {
        let expected: Vec<&str> = dialogue.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let commands: Vec<&str> =
            expected.iter().map(|line| line.split_once(" -> ").expect("a line has an outcome").0).collect();
        let token_url = self.issuer.token_url();
        let said = clients::run(tool, &self.bootstrap(tenant), Some(self.login(&token_url)), &commands);
        assert_eq!(
            said.outcomes,
            expected,
            "{tool:?} (left: seen, right: expected); aside it said:\n{}\nand the gateway's log is:\n{}",
            said.aside,
            self.gateway.process.log()
        );
        said.aside
    }

    /// A client of the first tenant that stays between its lines.
    pub fn converse(&self, tool: Tool) -> Conversation {
        Conversation::start(tool, &self.bootstrap(0), self.login(&self.issuer.token_url()))
    }

    /// A raw connection to one of a tenant's ports, bootstrap or broker by broker, on which nothing was said yet.
    pub fn connect(&self, tenant: usize, door: u16) -> Client {
        Client::connect(self.setup.tenants[tenant].port + door)
    }

    /// A token of the client.
    pub fn token(&self) -> String {
        self.issuer.token(CLIENT, SECRET)
    }

    /// A raw connection to the first tenant, logged in.
    pub fn log_in(&self) -> Client {
        let mut connection = self.connect(0, 0);
        connection.log_in(&self.token());
        connection
    }

    fn login<'a>(&'a self, token_url: &'a str) -> Login<'a> {
        Login { client: CLIENT, secret: SECRET, token_url, ca: self.ca.as_deref(), java: Java::default() }
    }

    /// The settings file of Kafka's own tools for the first tenant.
    pub fn properties(&self) -> String {
        clients::properties(&self.bootstrap(0), Some(self.login(&self.issuer.token_url())))
    }

    /// How often something that the metrics count has happened, over all labels that the line has besides.
    pub fn count(&self, metric: &str, label: &str) -> f64 {
        let (_, text) = self.gateway.admin("/metrics").expect("the admin port answers");
        let lines = text.lines().filter(|line| line.starts_with(metric) && line.contains(label));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }
}
