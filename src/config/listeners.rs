//! The listeners: which ports are opened, and what is behind them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::backends::{Named, check_certificates, check_identity, tls_versions};
use super::clusters::ClusterEntry;
use super::file;
use super::measure::PortRange;
use super::problem::{Place, Report};
use super::server_names::{self, Reached, warn_uncovered};
use super::shape::{List, Placed, items};
use super::yaml::Text;
use crate::auth::{Method, Passthrough};
use crate::cluster::{
    AddressBook, Behind, BootstrapPort, Certificate, ClientAuthentication, Entrance, Listener, Pem, PortMap,
    ServerTls, revocation_list_end,
};

/// Reads the listeners: each virtual cluster at each of them, and the ports that are opened.
pub(super) fn listeners(
    sections: Option<&Placed<List<file::Listener>>>,
    clusters: &Named<ClusterEntry>,
    all: &[ClusterEntry],
    admin: Option<(Place, SocketAddr)>,
    report: &mut Report,
) -> (Vec<Arc<Listener>>, Vec<Entrance>) {
    let mut named = Named::new("listener");
    let mut doors = Doors::default();
    if let Some((at, address)) = admin {
        doors.open("the admin port", at, &[address.ip()], &[address.port()], report);
    }
    let (mut listeners, mut entrances) = (Vec::new(), Vec::new());
    for Placed { value: section, .. } in items(sections, report) {
        let addresses = section.addresses.as_ref().map(|addresses| self::addresses(addresses, report));
        let ports = section.ports.as_ref().map(|ports| self::ports(ports, report));
        if let (Some(name), Some(addresses), Some(ports), Some(written)) =
            (&section.name, &addresses, &ports, &section.ports)
        {
            doors.open(&format!("the listener {}", name.value.shown()), written.at, addresses, ports, report);
        }
        let tls = section.tls_server.as_ref().map(|tls| server_tls(&tls.value, report));
        let forwards = section.policies.as_ref().and_then(|policies| forwards(policies, report));
        let behind = forwards.and_then(|forwards| {
            let around = Around { clusters, all, first_place: listeners.len() };
            behind(&forwards, ports.as_ref(), section, &around, report)
        });
        named.add(section.name.as_ref(), Some(()), report);
        let (Some(name), Some(addresses), Some(ports), Some((reached, behind))) =
            (&section.name, addresses, ports, behind)
        else {
            continue;
        };
        if tls.is_none() && !addresses.iter().all(IpAddr::is_loopback) {
            tell_of_clear(name, &reached, report);
        }
        let asks = section.tls_server.as_ref().is_some_and(|tls| tls.value.client_authentication.is_some());
        if !asks && reached.iter().any(takes_certificates) {
            report.warn(name.at, format!("clients may log in by certificates here, and the listener {} asks for none; set tls_server.client_authentication", name.value.shown()));
        }
        let tls = match tls {
            None => None,
            Some(Some(tls)) => Some(tls),
            Some(None) => continue, // broken, and never served without
        };
        if let (Some(tls), Some(written)) = (&tls, &section.tls_server) {
            warn_uncovered(tls, &reached, written.at, report);
        }
        let name: Arc<str> = name.value.text.as_str().into();
        listeners.extend(reached.into_iter().map(|Reached { cluster, book }| {
            Arc::new(Listener { name: name.clone(), book: Arc::new(book), cluster: cluster.cluster })
        }));
        entrances.push(Entrance { name, addresses, ports, tls, behind });
    }
    (listeners, entrances)
}

/// Says what a listener takes in the clear from whoever can reach it; a virtual cluster may forbid it.
fn tell_of_clear(name: &Placed<Text>, reached: &[Reached], report: &mut Report) {
    let shown = name.value.shown();
    let takes = |secrets| {
        format!("the listener {shown} takes {secrets} without TLS at an address that others can reach")
    };
    let mut is_forbidden = false;
    for one in reached.iter().filter(|one| one.cluster.forbids_clear) {
        if let Some(secrets) = secrets_taken(std::slice::from_ref(one)) {
            is_forbidden = true;
            let forbids = one.cluster.name.value.shown();
            report.error(
                name.at,
                format!(
                    "{}, and the virtual cluster {forbids} forbids that (credentials_without_tls); set tls_server",
                    takes(secrets)
                ),
            );
        }
    }
    if let (Some(secrets), false) = (secrets_taken(reached), is_forbidden) {
        report.warn(
            name.at,
            format!("{}, so anybody on the way can read and use them; set tls_server", takes(secrets)),
        );
    }
}

/// What clients show that anybody could use who reads it.
fn secrets_taken(reached: &[Reached]) -> Option<&'static str> {
    let methods = || reached.iter().flat_map(|reached| &reached.cluster.cluster.authentication.methods);
    let tokens = methods().any(|method| {
        matches!(method, Method::OauthBearer(_) | Method::Passthrough(Passthrough::OauthBearer(_)))
    });
    let passwords = methods()
        .any(|method| matches!(method, Method::SaslPlain(_) | Method::Passthrough(Passthrough::SaslPlain)));
    match (tokens, passwords) {
        (true, true) => Some("tokens and passwords"),
        (true, false) => Some("tokens"),
        (false, true) => Some("passwords"),
        (false, false) => None,
    }
}

fn takes_certificates(reached: &Reached) -> bool {
    let methods = &reached.cluster.cluster.authentication.methods;
    methods.iter().any(|method| matches!(method, Method::ClientCertificate(_)))
}

fn addresses(written: &Placed<List<Text>>, report: &mut Report) -> Vec<IpAddr> {
    if written.value.written == 0 {
        report.error(written.at, "list at least one IP address; 0.0.0.0 is every one of this machine");
    }
    let mut addresses = Vec::new();
    for Placed { at, value: text } in &written.value.items {
        match text.text.parse::<IpAddr>() {
            Ok(address) if addresses.iter().any(|earlier| collide(address, *earlier)) => {
                report.error(*at, format!("the address {} is already among those before it", text.shown()));
            }
            Ok(address) => addresses.push(address),
            Err(_) => {
                report.error(*at, format!("{} is no IP address like 127.0.0.1, 0.0.0.0 or ::1", text.shown()))
            }
        }
    }
    addresses
}

fn ports(written: &Placed<List<PortRange>>, report: &mut Report) -> Vec<u16> {
    if written.value.written == 0 {
        report.error(written.at, "list at least one port");
    }
    let mut ports = Vec::new();
    let mut seen = vec![false; usize::from(u16::MAX) + 1];
    for Placed { at, value: PortRange { first, last } } in &written.value.items {
        for port in *first..=*last {
            if std::mem::replace(&mut seen[usize::from(port)], true) {
                report.error(*at, format!("the port {port} stands twice in this listener"));
                break;
            }
            ports.push(port);
        }
    }
    ports
}

fn server_tls(section: &file::TlsServer, report: &mut Report) -> Option<ServerTls> {
    let versions = tls_versions(section.tls_versions.as_ref(), report);
    let written = section.certificates.as_ref()?;
    if written.value.written == 0 {
        report.error(written.at, "list at least one certificate");
    }
    let mut certificates = Vec::new();
    for Placed { value: section, .. } in &written.value.items {
        let identity = check_identity(section.certificate.as_ref(), section.key.as_ref(), report);
        certificates.extend(identity.map(|(chain, key)| Certificate { chain: chain.pem(), key: key.pem() }));
    }
    let client_authentication = match &section.client_authentication {
        Some(section) => Some(client_authentication(&section.value, report)?),
        None => None,
    };
    let is_whole = !certificates.is_empty();
    is_whole.then_some(ServerTls { certificates, versions, client_authentication })
}

fn client_authentication(
    section: &file::ClientAuthenticationSection,
    report: &mut Report,
) -> Option<ClientAuthentication> {
    let bundle = section.trust_bundle.as_ref().filter(|bundle| check_certificates(bundle, report));
    let crl = match &section.crl {
        Some(crl) => Some(checked_crl(crl, report)?),
        None => None,
    };
    let mode = section.mode.as_ref()?.value;
    Some(ClientAuthentication {
        crl,
        is_required: mode == file::ClientAuthenticationMode::Required,
        trust_bundle: bundle?.value.pem(),
    })
}

/// Lists of revoked certificates that say when they end: one that does not would serve for ever.
fn checked_crl(crl: &Placed<Text>, report: &mut Report) -> Option<Pem> {
    let pem = crl.value.pem();
    let lists = pem.revocation_lists().unwrap_or_default();
    if lists.is_empty() || lists.iter().any(|list| revocation_list_end(list).is_none()) {
        report.error(
            crl.at,
            "this holds no list of revoked certificates in PEM form with a next update; write ${file['path']} to bring in a file",
        );
        return None;
    }
    Some(pem)
}

/// The policies of one listener that count.
enum Forwards<'s> {
    Ports(&'s file::PortMapping),
    Names(Vec<Placed<&'s file::ServerNamesSection>>),
}

/// What the policies of a listener say; `None` when that leads nowhere.
fn forwards<'s>(
    policies: &'s Placed<List<file::ListenerPolicy>>,
    report: &mut Report,
) -> Option<Forwards<'s>> {
    let (mut ports, mut names, mut is_any) = (None, Vec::new(), false);
    for Placed { at, value: file::ListenerPolicy::ForwardPolicy(policy) } in &policies.value.items {
        if policy.enabled.as_ref().is_some_and(|enabled| !enabled.value) {
            continue;
        }
        let config = policy.config.as_ref().map(|config| &config.value);
        let is_other = match config {
            Some(file::Forward::PortMapping(_)) => ports.is_some() || !names.is_empty(),
            Some(file::Forward::ServerNamesSection(_)) => ports.is_some(),
            None => false, // already told
        };
        if is_other {
            report.error(*at, "a listener leads to one virtual cluster where its ports tell brokers apart, and to any number where all its policies are of type sni; give this one a listener of its own");
        }
        is_any = true;
        match config {
            Some(file::Forward::PortMapping(mapping)) => ports = ports.or(Some(&**mapping)),
            Some(file::Forward::ServerNamesSection(section)) => {
                names.push(Placed { at: *at, value: &**section });
            }
            None => {}
        }
    }
    if !is_any && policies.value.written == 0 {
        report.error(
            policies.at,
            "a listener needs a policy of type forward_to_virtual_cluster to lead somewhere",
        );
    } else if !is_any && policies.value.written == policies.value.items.len() {
        report.error(policies.at, "every policy of this listener is off, so it leads nowhere");
    }
    match ports {
        Some(mapping) => Some(Forwards::Ports(mapping)),
        None if names.is_empty() => None,
        None => Some(Forwards::Names(names)),
    }
}

/// What a listener may lead to.
struct Around<'a> {
    clusters: &'a Named<ClusterEntry>,
    all: &'a [ClusterEntry],
    /// How many are at the listeners before it.
    first_place: usize,
}

fn behind(
    forwards: &Forwards<'_>,
    ports: Option<&Vec<u16>>,
    section: &file::Listener,
    around: &Around<'_>,
    report: &mut Report,
) -> Option<(Vec<Reached>, Behind)> {
    match forwards {
        Forwards::Ports(mapping) => {
            let (cluster, map) = port_map(mapping, ports, section.ports.as_ref(), around.clusters, report)?;
            let book = AddressBook::Ports(map.clone());
            let behind = Behind::Ports { place: around.first_place, map };
            Some((vec![Reached { cluster, book }], behind))
        }
        Forwards::Names(policies) => {
            if section.tls_server.is_none()
                && let Some(name) = &section.name
            {
                report.error(
                    name.at,
                    "server names are a part of TLS; set tls_server for a listener with policies of type sni",
                );
            }
            let first_port = ports?.first().copied()?;
            let (reached, names) = server_names::reached(
                policies,
                first_port,
                around.first_place,
                around.clusters,
                around.all,
                report,
            );
            Some((reached, Behind::Names(Arc::new(names))))
        }
    }
}

fn port_map(
    mapping: &file::PortMapping,
    ports: Option<&Vec<u16>>,
    written: Option<&Placed<List<PortRange>>>,
    clusters: &Named<ClusterEntry>,
    report: &mut Report,
) -> Option<(ClusterEntry, PortMap)> {
    let cluster = mapping.destination.as_ref().and_then(|to| clusters.find(&to.value, report));
    let host = mapping.advertised_host.as_ref().filter(|host| is_host(host, report));
    let bootstrap = match &mapping.bootstrap_port {
        Some(Placed { value: file::BootstrapPortWord::None, .. }) => BootstrapPort::None,
        _ => BootstrapPort::AtStart,
    };
    let first = mapping.min_broker_id.as_ref().and_then(|id| i32::try_from(id.value.0).ok()).unwrap_or(0);
    let (ports, host) = (ports?, host?);
    let map = PortMap::new(host.value.text.as_str(), ports.clone(), bootstrap, first);
    if map.brokers_max() == 0 && !ports.is_empty() {
        report.error(written?.at, "the one port is for bootstrap and no broker has one; add a port for each broker, as in \"19092-19192\"");
    }
    Some((cluster?, map))
}

fn is_host(host: &Placed<Text>, report: &mut Report) -> bool {
    let text = &host.value.text;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = !text.is_empty() && text.len() <= 253 && text.chars().all(good);
    if !is_name && text.parse::<IpAddr>().is_err() {
        report.error(
            host.at,
            format!("{} is no host: write its name or IP address, without a port", host.value.shown()),
        );
        return false;
    }
    true
}

/// Which addresses and ports are taken, and by whom.
#[derive(Default)]
struct Doors {
    by_port: HashMap<u16, Vec<(IpAddr, String)>>,
}

impl Doors {
    /// Takes addresses and ports; the first that is taken already is reported.
    fn open(&mut self, who: &str, at: Place, addresses: &[IpAddr], ports: &[u16], report: &mut Report) {
        let mut told = false;
        for port in ports {
            let taken = self.by_port.entry(*port).or_default();
            for address in addresses {
                let by = taken.iter().find(|(other, owner)| owner != who && collide(*address, *other));
                if let Some((_, owner)) = by.filter(|_| !told) {
                    report.error(at, format!("the port {port} at {address} is taken by {owner}"));
                    told = true;
                }
                taken.push((*address, who.to_owned()));
            }
        }
    }
}

/// Whether two addresses can not both have a port. `::` takes the ports of IPv4 too.
fn collide(one: IpAddr, other: IpAddr) -> bool {
    let takes = |wide: IpAddr, narrow: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
    one == other || takes(one, other) || takes(other, one)
}
