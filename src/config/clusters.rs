//! The virtual clusters.

use std::sync::Arc;

use super::access::{self, Around};
use super::backends::{BackendEntry, Named, is_loopback};
use super::file;
use super::opt_ins;
use super::problem::{Place, Report};
use super::rules;
use super::shape::{Computable, List, Placed, items};
use super::stand_in::Elsewhere;
use super::yaml::Text;
use crate::auth::{Authentication, Method, Passthrough};
use crate::cluster::{ComputedPrefix, Limits, VirtualCluster};
use crate::names::{Additional, Glob, InvalidAlias, InvalidNamespace, Mode, Namespace, is_internal_topic};
use crate::policy::TextExpression;

/// A virtual cluster with the places of what stands between it and its neighbours.
#[derive(Clone)]
pub(super) struct ClusterEntry {
    pub cluster: Arc<VirtualCluster>,
    pub name: Placed<Text>,
    pub prefix: WrittenPrefix,
    pub additional: Vec<Placed<Glob>>,
    /// Whether its clients' tokens and passwords must have TLS around them.
    pub forbids_clear: bool,
    pub dns_label: Option<Placed<Text>>,
}

/// What the file says of a prefix, for problems that concern it.
#[derive(Clone)]
pub(super) struct WrittenPrefix {
    pub at: Place,
    pub shown: String,
    /// What every prefix begins with that a login may bring; the prefix itself where none does.
    pub start: String,
    /// What ends a computed one.
    pub end: Option<String>,
}

/// Reads the virtual clusters.
pub(super) fn clusters(
    sections: Option<&Placed<List<file::VirtualCluster>>>,
    backends: &Named<BackendEntry>,
    limits: &Limits,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> (Named<ClusterEntry>, Vec<ClusterEntry>) {
    let mut named = Named::of_list("virtual cluster", sections);
    let mut labels = Named::new("dns_label");
    let mut all = Vec::new();
    for Placed { value: section, .. } in items(sections, report) {
        if let Some(label) = &section.dns_label {
            check_dns_label(label, report);
            labels.add(Some(label), Some(()), report);
        }
        let entry = cluster(section, backends, limits, elsewhere, report);
        all.extend(entry.clone());
        named.add(section.name.as_ref(), entry, report);
    }
    (named, all)
}

fn cluster(
    section: &file::VirtualCluster,
    backends: &Named<BackendEntry>,
    limits: &Limits,
    elsewhere: &Elsewhere<'_>,
    report: &mut Report,
) -> Option<ClusterEntry> {
    let backend = section.destination.as_ref().and_then(|to| backends.find(&to.value, report));
    let forbids = backend.as_ref().filter(|backend| !backend.allows_anonymous);
    let forbids = forbids
        .and(section.destination.as_ref())
        .and_then(|to| to.value.name.as_ref())
        .map(|name| name.value.shown());
    let around = Around { elsewhere, token_bytes: limits.token_bytes, forbids_anonymous: forbids.as_deref() };
    let authentication = section.authentication.as_ref();
    let authentication = authentication.and_then(|ways| access::authentication(ways, &around, report));
    let forbids_clear = forbids_clear(section);
    if let (Some(to), Some(ways), Some(Placed { at, .. })) =
        (&backend, &authentication, &section.authentication)
        && sends_secrets_on(ways)
        && to.cluster.tls.is_none()
        && !to.cluster.bootstrap.iter().all(|server| is_loopback(&server.as_ref().host))
    {
        let problem = "the clients' own passwords or tokens go on to the brokers unencrypted";
        if forbids_clear {
            let why = "which credentials_without_tls forbids";
            report.error(*at, format!("{problem}, {why}; switch tls on at the backend cluster"));
        } else {
            report.warn(*at, format!("{problem}; switch tls on at the backend cluster"));
        }
    }
    let mut additional = Vec::new();
    let namespace = section.namespace.as_ref();
    let computed = namespace.and_then(|namespace| computed_prefix(&namespace.value, section, report));
    let namespace =
        namespace.and_then(|namespace| self::namespace(&namespace.value, &mut additional, report));
    let namespace = namespace.map(|namespace| match &computed {
        None => with_aliases(namespace, section, report),
        Some(_) => namespace,
    });
    // Of names behind a prefix that nobody knows yet there is nothing to be told.
    let known = namespace.as_ref().filter(|_| computed.is_none());
    let policy = rules::policy(section, known, report);
    let opt_ins = opt_ins::opt_ins(section, report);
    let cluster_id = section.cluster_id.as_ref().map(|id| checked_cluster_id(id, report));
    let (name, backend) = (section.name.as_ref()?, backend?);
    let cluster_id = cluster_id.unwrap_or_else(|| {
        VirtualCluster::derived_id(&format!("{}/{}", backend.cluster.name, name.value.text))
    });
    Some(ClusterEntry {
        cluster: Arc::new(VirtualCluster {
            name: name.value.text.as_str().into(),
            cluster_id: cluster_id.into(),
            backend: backend.cluster,
            authentication: authentication?,
            computed_prefix: computed,
            namespace: namespace?,
            warns_of_conflicts: warns_of_conflicts(section),
            policy: Arc::new(policy),
            opt_ins,
        }),
        name: name.clone(),
        prefix: written_prefix(section.namespace.as_ref()?.value.prefix.as_ref()?),
        additional,
        forbids_clear,
        dns_label: section.dns_label.clone(),
    })
}

fn forbids_clear(section: &file::VirtualCluster) -> bool {
    let written = section.credentials_without_tls.as_ref();
    written.is_some_and(|written| written.value == file::CredentialsWithoutTls::Forbid)
}

/// Whether what clients prove themselves by is what the brokers get to see; a proof by SCRAM gives nothing away.
fn sends_secrets_on(ways: &Authentication) -> bool {
    let goes_on = |method: &Method| {
        matches!(method, Method::Passthrough(Passthrough::SaslPlain | Passthrough::OauthBearer(_)))
    };
    ways.forwards_tokens || ways.methods.iter().any(goes_on)
}

/// Whether any list of additional topics wants its conflicts told; the default does.
fn warns_of_conflicts(section: &file::VirtualCluster) -> bool {
    let additional = section.namespace.as_ref().and_then(|namespace| namespace.value.additional.as_ref());
    let topics = additional.and_then(|additional| additional.value.topics.as_ref());
    let mut lists = topics.into_iter().flat_map(|topics| &topics.value.items);
    lists.any(|list| {
        let conflict = match &list.value {
            file::AdditionalNames::ExactList(list) => &list.conflict,
            file::AdditionalNames::GlobNames(list) => &list.conflict,
        };
        !matches!(conflict, Some(Placed { value: file::Conflict::Ignore, .. }))
    })
}

fn namespace(
    section: &file::NamespaceSection,
    reaches: &mut Vec<Placed<Glob>>,
    report: &mut Report,
) -> Option<Namespace> {
    let mut topics = Additional::default();
    let mut groups = Additional::default();
    if let Some(Placed { value: section, .. }) = &section.additional {
        if let Some(list) = &section.topics {
            topics = additional(&list.value.items, true, reaches, report);
        }
        if let Some(list) = &section.consumer_groups {
            groups = additional(&list.value.items, false, reaches, report);
        }
    }
    let mode = match section.mode.as_ref()?.value {
        file::NamespaceMode::HidePrefix => Mode::HidePrefix,
        file::NamespaceMode::EnforcePrefix => Mode::EnforcePrefix,
    };
    let prefix = section.prefix.as_ref()?;
    let text = match &prefix.value {
        Computable::Written(text) => text,
        Computable::Computed(_) => return Some(Namespace::unresolved(mode)),
    };
    match Namespace::new(mode, &text.text, topics, groups) {
        Ok(namespace) => Some(namespace),
        Err(_) if text.stands_for.is_some() => {
            report.error(
                prefix.at,
                format!(
                    "what {} brings is no prefix: letters, digits, '.', '_' and '-' are",
                    prefix.value.shown()
                ),
            );
            None
        }
        Err(error) => {
            let at = match &error {
                InvalidNamespace::AdditionalUnderPrefix(name) => reaches
                    .iter()
                    .find(|reach| reach.value.as_str() == name)
                    .map_or(prefix.at, |reach| reach.at),
                _ => prefix.at,
            };
            report.error(at, error.to_string());
            None
        }
    }
}

/// Reads a prefix of which each login brings a part.
fn computed_prefix(
    section: &file::NamespaceSection,
    cluster: &file::VirtualCluster,
    report: &mut Report,
) -> Option<Arc<ComputedPrefix>> {
    let Placed { at, value: Computable::Computed(template) } = section.prefix.as_ref()? else { return None };
    for (beside, what) in [
        (section.additional.as_ref().map(|section| section.at), "additional names"),
        (cluster.topic_aliases.as_ref().map(|section| section.at), "topic_aliases"),
    ] {
        if let Some(at) = beside {
            report.error(at, format!("{what} can not stand beside a prefix that each login brings, since they would be every tenant's; give them a virtual cluster of their own"));
        }
    }
    let [(expression, end)] = template.computed.as_slice() else {
        report.error(*at, "a prefix has one ${context…}; join several by one expression, as in \"${context.auth.token.claims.a + '-' + context.auth.token.claims.b}.\"");
        return None;
    };
    if end.is_empty() {
        report.error(*at, format!("{} needs text behind the closing brace, as in \"${{context.auth.token.claims.tenant}}.\": without it the prefix of one tenant begins with another's", template.shown()));
        return None;
    }
    // Whatever a login brings, the text around it must be fit for a prefix.
    if let Err(why) = Namespace::unresolved(Mode::HidePrefix).with_prefix(&format!("{}{end}", template.start))
    {
        report.error(*at, why.to_string());
        return None;
    }
    if CHOSEN_BY_CLIENTS.iter().any(|fact| expression.contains(fact)) {
        report.warn(*at, "clients choose their extensions and their client id themselves, so this lets each of them choose its tenant; take a claim");
    }
    match TextExpression::parse(expression) {
        Ok(tenant) => Some(Arc::new(ComputedPrefix::new(template.start.as_str(), tenant, end.as_str()))),
        Err(error) => {
            report.error(*at, format!("this prefix can not be computed: {error}"));
            None
        }
    }
}

/// Facts that nobody has signed.
const CHOSEN_BY_CLIENTS: [&str; 2] = ["extensions", "client."];

fn written_prefix(prefix: &Placed<Computable>) -> WrittenPrefix {
    let (start, end) = match &prefix.value {
        Computable::Written(text) => (text.text.clone(), None),
        Computable::Computed(template) => (
            template.start.clone(),
            Some(template.computed.last().map_or_else(String::new, |(_, end)| end.clone())),
        ),
    };
    WrittenPrefix { at: prefix.at, shown: prefix.value.shown(), start, end }
}

/// Gives topics their second names; what can not be one is left out.
fn with_aliases(mut namespace: Namespace, section: &file::VirtualCluster, report: &mut Report) -> Namespace {
    for Placed { value, .. } in section.topic_aliases.iter().flat_map(|list| &list.value.items) {
        let (Some(alias), Some(topic)) = (&value.alias, &value.topic) else { continue };
        if let Err(why) = namespace.add_alias(&alias.value.text, &topic.value.text) {
            let at = match &why {
                InvalidAlias::Topic(_) | InvalidAlias::OfAlias(_) => topic.at,
                _ => alias.at,
            };
            report.error(at, why.to_string());
            continue;
        }
        let prefix = namespace.prefix();
        for name in [alias, topic] {
            let short = name.value.text.strip_prefix(prefix);
            if let (Mode::HidePrefix, Some(short)) = (namespace.mode(), short) {
                report.warn(name.at, format!("{} begins with the hidden prefix {prefix:?}, which clients do not write; is {short:?} meant?", name.value.shown()));
            }
        }
    }
    namespace
}

fn additional(
    sections: &[Placed<file::AdditionalNames>],
    topics: bool,
    reaches: &mut Vec<Placed<Glob>>,
    report: &mut Report,
) -> Additional {
    let (mut exact, mut globs) = (Vec::new(), Vec::new());
    for Placed { value, .. } in sections {
        match value {
            file::AdditionalNames::ExactList(list) => {
                let names = list.exact_list.iter().flat_map(|list| &list.value.items);
                for name in names.filter_map(|name| name.value.backend.as_ref()) {
                    if name.value.text.is_empty() {
                        report.error(name.at, "the name is empty");
                    } else if topics && is_internal_topic(&name.value.text) {
                        report.error(
                            name.at,
                            format!("{} belongs to Kafka itself and is never shown", name.value.shown()),
                        );
                    } else if name.value.text.contains(['*', '?']) {
                        report.error(
                            name.at,
                            format!("{} is a pattern; write {{type: glob, glob: …}}", name.value.shown()),
                        );
                    } else {
                        exact.push(name.value.text.clone());
                        reaches.push(Placed { at: name.at, value: Glob::new(&name.value.text) });
                    }
                }
            }
            file::AdditionalNames::GlobNames(section) => {
                let Some(glob) = &section.glob else { continue };
                if glob.value.text.is_empty() {
                    report.error(glob.at, "the pattern is empty and matches nothing");
                    continue;
                }
                globs.push(Glob::new(&glob.value.text));
                reaches.push(Placed { at: glob.at, value: Glob::new(&glob.value.text) });
            }
        }
    }
    Additional::new(exact, globs)
}

fn check_dns_label(label: &Placed<Text>, report: &mut Report) {
    let text = &label.value.text;
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty()
        || text.len() > 63
        || !text.chars().all(good)
        || text.starts_with('-')
        || text.ends_with('-')
    {
        report.error(
            label.at,
            format!("{} is no dns_label: up to 63 of a-z, 0-9 and '-', not at its ends", label.value.shown()),
        );
    }
}

fn checked_cluster_id(id: &Placed<Text>, report: &mut Report) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.value.text.is_empty() || id.value.text.len() > 64 || !id.value.text.chars().all(good) {
        report.error(
            id.at,
            format!("{} is no cluster id: 1 to 64 letters, digits, '-' and '_'", id.value.shown()),
        );
    }
    id.value.text.clone()
}

/// Where a cluster begins, for problems that concern it as a whole.
impl ClusterEntry {
    pub fn at(&self) -> Place {
        self.name.at
    }
}
