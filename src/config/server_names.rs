//! Virtual clusters behind server names: which names lead where.

use std::sync::Arc;

use super::backends::Named;
use super::clusters::ClusterEntry;
use super::file;
use super::problem::{Place, Report};
use super::shape::Placed;
use super::yaml::Text;
use crate::cluster::{AddressBook, BrokerNames, CertificateFacts, NameForm, ServerNames, ServerTls};

/// A virtual cluster with its names in one listener.
pub(super) struct Reached {
    pub cluster: ClusterEntry,
    pub book: AddressBook,
}

/// Reads the `sni` policies of one listener, whose first port is this.
///
/// Shape: a virtual cluster's place is `first_place` and its index in what is returned.
pub(super) fn reached(
    policies: &[Placed<&file::ServerNamesSection>],
    first_port: u16,
    first_place: usize,
    clusters: &Named<ClusterEntry>,
    all: &[ClusterEntry],
    report: &mut Report,
) -> (Vec<Reached>, ServerNames) {
    let (mut found, mut led) = (Vec::<Reached>::new(), ServerNames::default());
    for Placed { at, value: section } in policies {
        let Some(suffix) = suffix(section.sni_suffix.as_ref(), report) else { continue };
        let form = match section.broker_host_format.as_ref().map(|format| &format.value) {
            Some(file::BrokerHostFormat::SharedSuffix(_)) => NameForm::SharedSuffix,
            Some(file::BrokerHostFormat::PerClusterSuffix(_)) | None => NameForm::PerClusterSuffix,
        };
        let advertised = section.advertised_port.as_ref();
        let port = advertised.and_then(|port| u16::try_from(port.value.0).ok()).unwrap_or(first_port);
        for (at, cluster) in chosen(section, *at, clusters, all, report) {
            let Some(label) = &cluster.dns_label else { continue };
            let names = match BrokerNames::new(form, &label.value.text, suffix) {
                Ok(names) => names,
                Err(why) => {
                    let shown = label.value.shown();
                    report.error(
                        at,
                        format!(
                            "the server names of brokers with the dns_label {shown} would be too long: {why}"
                        ),
                    );
                    continue;
                }
            };
            if !led.lead(&names, first_place + found.len()) {
                let bootstrap = names.bootstrap();
                report.error(at, format!("the server name {bootstrap:?} leads to a virtual cluster already; choose another sni_suffix or dns_label"));
                continue;
            }
            found.push(Reached { cluster, book: AddressBook::Names { names, port } });
        }
    }
    (found, led)
}

/// The virtual clusters that a policy means, each with the place to complain at.
fn chosen(
    section: &file::ServerNamesSection,
    at: Place,
    clusters: &Named<ClusterEntry>,
    all: &[ClusterEntry],
    report: &mut Report,
) -> Vec<(Place, ClusterEntry)> {
    let Some(destination) = &section.destination else {
        let labelled: Vec<_> = all.iter().filter(|cluster| cluster.dns_label.is_some()).cloned().collect();
        if labelled.is_empty() && clusters.is_whole() {
            report.error(at, "no virtual cluster has a dns_label, so no server name leads anywhere");
        }
        return labelled.into_iter().map(|cluster| (at, cluster)).collect();
    };
    let Some(cluster) = clusters.find(&destination.value, report) else { return Vec::new() };
    if cluster.dns_label.is_none() {
        let message = format!(
            "the virtual cluster {} needs a dns_label to be found by server names",
            cluster.name.value.shown()
        );
        report.error(destination.at, message);
    }
    vec![(destination.at, cluster)]
}

/// What stands behind labels; `None` when it is none.
fn suffix<'s>(written: Option<&'s Placed<Text>>, report: &mut Report) -> Option<&'s str> {
    let Some(written) = written else { return Some("") };
    let text = written.value.text.as_str();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && label.chars().all(good);
    let behind = text.strip_prefix(['.', '-']);
    if !behind.is_some_and(|rest| rest.split('.').all(|label| is_label(label) && !label.ends_with('-'))) {
        let message = format!(
            "{} is no suffix of server names: it begins with '.' or '-', as in \".gw.example\", and holds a-z, 0-9, '-' and '.'",
            written.value.shown()
        );
        report.error(written.at, message);
        return None;
    }
    Some(text)
}

/// Warns of hosts that clients are told and would not believe.
pub(super) fn warn_uncovered(tls: &ServerTls, reached: &[Reached], at: Place, report: &mut Report) {
    let leaves = tls.certificates.iter().filter_map(|pair| {
        let leaf = pair.chain.certificates().ok()?.into_iter().next()?;
        CertificateFacts::from_der(&leaf)
    });
    let leaves: Vec<CertificateFacts> = leaves.collect();
    for Reached { cluster, book } in reached {
        let some_broker = book.broker(0).map(|address| address.into_inner().host);
        let hosts: [Option<Arc<str>>; 2] = [Some(book.bootstrap().host), some_broker];
        let is_bare = |host: &Arc<str>| !leaves.iter().any(|leaf| leaf.covers(host));
        if let Some(host) = hosts.into_iter().flatten().find(is_bare) {
            let message = format!(
                "no certificate here is good for \"{host}\", where clients of the virtual cluster {} are sent; they will refuse to connect",
                cluster.name.value.shown()
            );
            report.warn(at, message);
        }
    }
}
