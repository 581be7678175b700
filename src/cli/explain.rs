//! `sluicegate explain`: may this client do that, and which rule says so?

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::Value;
use sluicegate::auth::{Method, OauthBearer, Unverified, Voucher};
use sluicegate::cluster::{Listener, VirtualCluster};
use sluicegate::config::Gateway;
use sluicegate::names::{Kind, Mode, Principal};
use sluicegate::policy::{Circumstances, Operation, Resource, Rights};

use super::token::{self, Presented};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("who").required(true)))]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(super) struct Args {
    #[command(flatten)]
    file: super::ConfigFile,
    /// The virtual cluster that is asked; may be left out where the file has one
    #[arg(long, value_name = "NAME")]
    virtual_cluster: Option<String>,
    /// The client's access token; it is verified as in a login, by asking its issuer where the file says so
    #[arg(long, value_name = "TOKEN", group = "who")]
    token: Option<String>,
    /// A file with the client's access token; - is the standard input
    #[arg(long, value_name = "FILE", group = "who")]
    token_file: Option<PathBuf>,
    /// Claims of a token that is not at hand, as JSON; nothing is verified
    #[arg(long, value_name = "JSON", group = "who")]
    claims: Option<String>,
    /// The name of a client that logs in without a token
    #[arg(long, value_name = "NAME", group = "who")]
    principal: Option<String>,
    /// What context.auth.type is for --principal
    #[arg(long, value_name = "TYPE", default_value = "sasl_plain", requires = "principal")]
    auth_type: String,
    /// A SASL extension that comes with the login; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    extension: Vec<(String, String)>,
    /// What the client calls itself
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Where the client connects from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_address: String,
    /// The listener it connects to; the first that leads to the virtual cluster by default
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// all, alter, alter_configs, create, delete, describe, describe_configs, idempotent_write, read or write
    #[arg(long, value_name = "OPERATION", value_parser = operation)]
    operation: Operation,
    /// The topic, as the client calls it
    #[arg(long, value_name = "NAME", group = "what")]
    topic: Option<String>,
    /// The group, as the client calls it
    #[arg(long, value_name = "NAME", group = "what")]
    group: Option<String>,
    /// The transactional id, as the client calls it
    #[arg(long, value_name = "ID", group = "what")]
    transactional_id: Option<String>,
    /// The cluster itself
    #[arg(long, group = "what")]
    cluster: bool,
}

/// Who asks.
struct Asker {
    auth_type: String,
    principal: Principal,
    claims: Value,
    /// What is known of its login, for people.
    known_by: String,
}

pub(super) fn explain(args: &Args) -> ExitCode {
    let Some((gateway, _)) = args.file.load() else { return ExitCode::FAILURE };
    match answer(args, &gateway) {
        Ok((allowed, text)) => {
            print!("{text}");
            if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(super::WRONG_USE)
        }
    }
}

/// Yes or no, and how it comes; `Err` where the question makes no sense.
fn answer(args: &Args, gateway: &Gateway) -> Result<(bool, String), String> {
    let cluster = cluster(gateway, args.virtual_cluster.as_deref())?;
    let listener = listener(gateway, &cluster, args.listener.as_deref())?;
    let asker = match asker(args, gateway, &cluster)? {
        Ok(asker) => asker,
        Err(refused) => return Ok((false, line("login", &format!("refused: {refused}")))),
    };
    let circumstances = Circumstances {
        auth_type: &asker.auth_type,
        principal: &asker.principal,
        claims: &asker.claims,
        extensions: &args.extension,
        client_id: args.client_id.as_deref(),
        client_address: &args.client_address,
        listener: &listener.name,
    };
    let mut text = line("virtual cluster", &cluster.name);
    text += &line("client", &format!("{} ({})", asker.principal, asker.known_by));
    let world = match cluster.for_login(&circumstances) {
        Ok(world) => world,
        Err(why) => return Ok((false, text + &line("login", &format!("refused: {why}")))),
    };
    let (resource, name) = asked(args);
    let rights = world.policy.rights(&circumstances);
    let (allowed, verdict) = verdict(&world, &rights, args.operation, resource, &name);
    text += &line("asks for", &what(&world, args.operation, resource, &name));
    text += &line("answer", &verdict);
    for standing in world.policy.standings(&circumstances) {
        let condition = standing.condition.map_or(String::new(), |condition| format!(": {condition}"));
        let counts = match standing.counts {
            Ok(true) => "counts",
            Ok(false) => "does not count",
            Err(_) => "counts with its deny rules alone, since its condition fails",
        };
        text += &line("policy", &format!("{} {counts}{condition}", standing.policy));
    }
    for failure in rights.failures() {
        text += &line("failed", &failure.to_string());
    }
    Ok((allowed, text))
}

fn line(label: &str, text: &str) -> String {
    format!("{label:<17}{text}\n")
}

fn verdict(
    world: &VirtualCluster,
    rights: &Rights,
    operation: Operation,
    resource: Resource,
    name: &str,
) -> (bool, String) {
    if world.policy.is_passthrough() {
        return (true, "yes, here: acl_mode is passthrough, and the broker decides".to_owned());
    }
    let is_outside = kind(resource).is_some_and(|kind| world.namespace.full_name(kind, name).is_none());
    if is_outside {
        return (false, "no: the name lies outside the virtual cluster".to_owned());
    }
    let decision = rights.decide(operation, resource, name);
    let text = match (decision.allowed, decision.by) {
        (true, Some(rule)) => format!("yes, by {rule}"),
        (true, None) => "yes".to_owned(),
        (false, Some(rule)) => format!("no, by {rule}"),
        (false, None) => "no: no rule allows it".to_owned(),
    };
    (decision.allowed, text)
}

fn what(world: &VirtualCluster, operation: Operation, resource: Resource, name: &str) -> String {
    let Some(kind) = kind(resource) else { return format!("{operation} on the cluster") };
    let mut text = format!("{operation} on the {resource} {name}");
    match world.namespace.full_name(kind, name) {
        Some(full) if full != name => text += &format!(", which the broker calls {full}"),
        None if world.namespace.mode() == Mode::EnforcePrefix => {
            text += &format!("; names here begin with {}", world.namespace.prefix());
        }
        _ => {}
    }
    text
}

fn kind(resource: Resource) -> Option<Kind> {
    match resource {
        Resource::Topic => Some(Kind::Topic),
        Resource::Group => Some(Kind::Group),
        Resource::TransactionalId => Some(Kind::TransactionalId),
        Resource::Cluster => None,
    }
}

fn asked(args: &Args) -> (Resource, String) {
    let named = [
        (Resource::Topic, &args.topic),
        (Resource::Group, &args.group),
        (Resource::TransactionalId, &args.transactional_id),
    ];
    let found = named.into_iter().find_map(|(resource, name)| Some((resource, name.clone()?)));
    found.unwrap_or((Resource::Cluster, Resource::CLUSTER_NAME.to_owned()))
}

/// The virtual cluster of that name, or the only one.
pub(super) fn cluster(gateway: &Gateway, name: Option<&str>) -> Result<Arc<VirtualCluster>, String> {
    let clusters = &gateway.directory.clusters;
    let names: Vec<&str> = clusters.iter().map(|cluster| &*cluster.name).collect();
    let found = match (name, clusters.as_slice()) {
        (None, [only]) => Some(only),
        (None, _) => return Err(format!("say which --virtual-cluster is asked: {}", names.join(", "))),
        (Some(name), _) => clusters.iter().find(|cluster| &*cluster.name == name),
    };
    found.cloned().ok_or_else(|| format!("the file has no such virtual cluster; it has {}", names.join(", ")))
}

fn listener(
    gateway: &Gateway,
    cluster: &VirtualCluster,
    name: Option<&str>,
) -> Result<Arc<Listener>, String> {
    let leads_there = |listener: &&Arc<Listener>| listener.cluster.name == cluster.name;
    let mut listeners = gateway.directory.listeners.iter().filter(leads_there);
    let found = listeners.find(|listener| name.is_none_or(|name| &*listener.name == name));
    found.cloned().ok_or_else(|| match name {
        Some(name) => format!("no listener {name} leads to the virtual cluster {}", cluster.name),
        None => format!("no listener leads to the virtual cluster {}", cluster.name),
    })
}

/// Who the arguments say asks; the inner error is a refused login.
fn asker(
    args: &Args,
    gateway: &Gateway,
    cluster: &Arc<VirtualCluster>,
) -> Result<Result<Asker, String>, String> {
    if let Some(name) = &args.principal {
        return Ok(Ok(Asker {
            auth_type: args.auth_type.clone(),
            principal: Principal::new(name.as_str()),
            claims: Value::Null,
            known_by: args.auth_type.clone(),
        }));
    }
    let auth_type = "oauth_bearer".to_owned();
    if let Some(claims) = &args.claims {
        let unverified = Unverified::written(claims)
            .ok_or("--claims is one JSON object without repeated members, as in '{\"sub\": \"alice\"}'")?;
        let bearer = bearer_for(cluster, &unverified).ok_or_else(|| {
            format!("no client of the virtual cluster {} logs in with a token", cluster.name)
        })?;
        let principal = match unverified.principal(&bearer.verifier.rules) {
            Ok(principal) => principal,
            Err(why) => return Ok(Err(why.to_string())),
        };
        let known_by = "its claims are taken on trust".to_owned();
        return Ok(Ok(Asker { auth_type, principal, claims: unverified.into_claims(), known_by }));
    }
    let token = Presented { token: args.token.clone(), file: args.token_file.clone() }.read()?;
    match token::verify(gateway, cluster, &token)? {
        Ok(identity) => {
            let left = token::good_for(&identity);
            let how = match identity.voucher {
                Voucher::Key(_) => "right",
                Voucher::Endpoint => "active, as the introspection endpoint says",
            };
            Ok(Ok(Asker {
                auth_type,
                claims: (*identity.claims).clone(),
                principal: identity.principal,
                known_by: format!("its token is {how}, and good for {left}"),
            }))
        }
        Err(rejected) => Ok(Err(rejected.to_string())),
    }
}

/// The tokens that claims are of: by their issuer, where there are several.
fn bearer_for<'c>(cluster: &'c VirtualCluster, claims: &Unverified) -> Option<&'c OauthBearer> {
    let bearers = cluster.authentication.methods.iter().filter_map(|method| match method {
        Method::OauthBearer(bearer) => Some(bearer),
        _ => None,
    });
    let all: Vec<&OauthBearer> = bearers.collect();
    let is_meant = |bearer: &&&OauthBearer| claims.is_of(&bearer.verifier.rules);
    all.iter().find(is_meant).or(all.first()).copied()
}

fn operation(word: &str) -> Result<Operation, String> {
    Operation::parse(word).map_err(|error| error.to_string())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sluicegate explain -c gateway.yaml --token-file token --operation write --topic orders
  sluicegate explain -c gateway.yaml --claims '{\"sub\": \"alice\"}' --operation read --group workers
  sluicegate explain -c gateway.yaml --principal alice --operation create --cluster

Exit codes: 0 allowed, 1 refused, 2 wrong use.";
