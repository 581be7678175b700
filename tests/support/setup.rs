//! The file of a gateway for dialogues: one backend, one tenant or more, each on a listener of its own.
//!
//! `Setup::new` gives a file in which everything is allowed to everybody with a good token; a test changes what it is
//! about. Parts that are left as YAML are put in as they are, at the place that their names say.

use std::fmt::Write as _;

use sluicegate::cluster::OperatorApi;

use super::issuer::{AUDIENCE, ISSUER};
use super::ports;

/// What stands in the file.
pub struct Setup {
    /// `host:port` of the backend's brokers.
    pub bootstrap: Vec<String>,
    /// Lines of the backend cluster, each with its key, for example `authentication: {type: sasl_plain, …}`.
    pub backend: Vec<String>,
    /// Further backend clusters, each with the addresses of its brokers.
    pub more_backends: Vec<(String, Vec<String>)>,
    pub tenants: Vec<Tenant>,
    /// Listeners beside those of the tenants, each in one line.
    pub listeners: Vec<String>,
    /// Sections at the top of the file, for example `limits: {login_timeout: 1s}`.
    pub sections: Vec<String>,
    pub admin_port: u16,
}

/// One virtual cluster with its listener.
pub struct Tenant {
    pub name: String,
    /// The name of its backend cluster.
    pub destination: String,
    /// Each item of `authentication`, in one line.
    pub authentication: Vec<String>,
    /// `namespace`, in one line.
    pub namespace: String,
    /// Lines of the virtual cluster, each with its key.
    pub more: Vec<String>,
    /// Each item of `cluster_policies`.
    pub policies: Vec<Policy>,
    /// The bootstrap port; broker n is on the n-th after it.
    pub port: u16,
    pub ports: u16,
    /// What the port mapping says beside its type and its tenant, in one line.
    pub mapping: String,
    /// Lines of the listener, each with its key, for example `tls_server: {…}`.
    pub listener: Vec<String>,
}

/// An `acls` policy.
pub struct Policy {
    pub name: String,
    pub condition: Option<String>,
    /// Each rule, in one line; `rule` writes them.
    pub rules: Vec<String>,
}

impl Setup {
    /// A gateway before these brokers, with one tenant who takes keys from this `jwks` item.
    pub fn new(bootstrap: &[String], jwks: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_vec(),
            backend: Vec::new(),
            more_backends: Vec::new(),
            tenants: vec![Tenant::new("team", "my-", jwks)],
            listeners: Vec::new(),
            sections: Vec::new(),
            admin_port: ports::free(),
        }
    }

    /// The only tenant, or the first.
    pub fn tenant(&mut self) -> &mut Tenant {
        &mut self.tenants[0]
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let bootstrap: Vec<String> = self.bootstrap.iter().map(|address| format!("\"{address}\"")).collect();
        let mut text = format!(
            "backend_clusters:\n  - name: backend\n    bootstrap_servers: [{}]\n",
            bootstrap.join(", ")
        );
        lines(&mut text, 4, &self.backend);
        for (name, bootstrap) in &self.more_backends {
            let bootstrap: Vec<String> = bootstrap.iter().map(|address| format!("\"{address}\"")).collect();
            let bootstrap = bootstrap.join(", ");
            lines(&mut text, 2, &[format!("- {{name: {name}, bootstrap_servers: [{bootstrap}]}}")]);
        }
        text.push_str("virtual_clusters:\n");
        for tenant in &self.tenants {
            tenant.write_cluster(&mut text);
        }
        text.push_str("listeners:\n");
        for tenant in &self.tenants {
            tenant.write_listener(&mut text);
        }
        for listener in &self.listeners {
            lines(&mut text, 2, &[format!("- {{{listener}}}")]);
        }
        lines(&mut text, 0, &[format!("admin: {{listen: \"127.0.0.1:{}\"}}", self.admin_port)]);
        if !self.sections.iter().any(|section| section.starts_with("audit:")) {
            // Beside the file, where a test finds it.
            lines(&mut text, 0, &["audit: {file: audit.log}".to_owned()]);
        }
        lines(&mut text, 0, &self.sections);
        text
    }
}

impl Tenant {
    /// A tenant behind a hidden prefix, whose clients may do everything.
    pub fn new(name: &str, prefix: &str, jwks: &str) -> Self {
        const PORTS: u16 = 5;
        Self {
            name: name.to_owned(),
            destination: "backend".to_owned(),
            authentication: vec![oauth_bearer(jwks, "")],
            namespace: format!("{{mode: hide_prefix, prefix: \"{prefix}\"}}"),
            more: Vec::new(),
            policies: vec![Policy::everything()],
            port: ports::free_range(PORTS),
            ports: PORTS,
            // The first broker, with id 1, is on the second port.
            mapping: "advertised_host: 127.0.0.1, min_broker_id: 1".to_owned(),
            listener: Vec::new(),
        }
    }

    /// Has it offer every call there is: those about the whole Kafka cluster, and those about its ACLs.
    pub fn offer_everything(&mut self) {
        let apis: Vec<&str> = OperatorApi::EACH.iter().map(|api| api.as_str()).collect();
        self.more.push(format!("operator_apis: [{}]", apis.join(", ")));
        self.more.extend(["acl_mode: passthrough", "telemetry: forward"].map(str::to_owned));
    }

    /// The port at which a broker is reached.
    pub fn broker_port(&self, node_id: i32) -> u16 {
        self.port + u16::try_from(node_id).expect("a test's brokers have small ids")
    }

    fn write_cluster(&self, text: &mut String) {
        let Self { name, destination, namespace, authentication, .. } = self;
        let authentication = authentication.join(", ");
        put(
            text,
            format_args!(
                "  - name: {name}\n    destination: {{name: {destination}}}\n    authentication: [{authentication}]\n    \
                 namespace: {namespace}\n"
            ),
        );
        lines(text, 4, &self.more);
        if self.policies.is_empty() {
            return;
        }
        text.push_str("    cluster_policies:\n");
        for Policy { name, condition, rules } in &self.policies {
            put(text, format_args!("      - type: acls\n        name: {name}\n"));
            if let Some(condition) = condition {
                put(text, format_args!("        condition: \"{condition}\"\n"));
            }
            put(text, format_args!("        config: {{rules: [{}]}}\n", rules.join(", ")));
        }
    }

    fn write_listener(&self, text: &mut String) {
        let Self { name, port, ports, mapping, .. } = self;
        let last = port + ports - 1;
        put(
            text,
            format_args!(
                "  - name: {name}-listener\n    addresses: [\"127.0.0.1\"]\n    ports: [\"{port}-{last}\"]\n"
            ),
        );
        lines(text, 4, &self.listener);
        put(
            text,
            format_args!(
                "    policies:\n      - type: forward_to_virtual_cluster\n        config: {{type: port_mapping, \
                 {mapping}, destination: {{name: {name}}}}}\n"
            ),
        );
    }
}

impl Policy {
    pub fn new(name: &str, condition: Option<&str>, rules: &[String]) -> Self {
        Self { name: name.to_owned(), condition: condition.map(str::to_owned), rules: rules.to_vec() }
    }

    /// Everything to everybody.
    pub fn everything() -> Self {
        let kinds = ["topic", "group", "transactional_id", "cluster"];
        let rules: Vec<String> = kinds.iter().map(|kind| rule("allow", kind, "all", "*")).collect();
        Self::new("everything", None, &rules)
    }
}

/// One rule: `rule("allow", "topic", "read write", "orders-*")`.
pub fn rule(action: &str, kind: &str, operations: &str, names: &str) -> String {
    let operations: Vec<String> =
        operations.split(' ').map(|operation| format!("{{name: {operation}}}")).collect();
    let operations = operations.join(", ");
    let names =
        if kind == "cluster" { String::new() } else { format!(", resource_names: [{{match: \"{names}\"}}]") };
    format!("{{resource_type: {kind}, action: {action}, operations: [{operations}]{names}}}")
}

/// An item of `authentication`: tokens by a `jwks` item, with more keys behind it, each after a comma.
pub fn oauth_bearer(jwks: &str, more: &str) -> String {
    format!(
        "{{type: oauth_bearer, mediation: terminate, jwks: {jwks}, \
         validate: {{issuer: \"{ISSUER}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}{more}}}"
    )
}

fn lines(text: &mut String, indent: usize, lines: &[String]) {
    for line in lines {
        put(text, format_args!("{:indent$}{line}\n", ""));
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes all");
}
