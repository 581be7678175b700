//! Clients of Keycloak: made, or found as they should be, and their secrets handed on.
//!
//! Behind `sluicegate keycloak register`: a confidential client with a service account, an audience
//! and roles, whose secret goes to standard output or into a Kubernetes secret. Whatever is there
//! already stays, so it may run as often as one likes. No secret is ever part of an error.
//!
//! Knows nothing of the house; a gateway reads what is handed on from where the operator put it.

mod failure; //    what goes wrong usually, and what to do about it
mod http; //       one client for each server, and bodies that are read with a limit
mod keys; //       what is handed on, and by which names
mod kubernetes; // into a secret of the cluster that this runs in
mod output; //     lines, properties, a manifest
mod realm; //      Keycloak's admin API
mod register; //   a client as it should be
mod settings; //   what the operator asks for, and the words of the command line

use zeroize::Zeroizing;

pub use failure::Failure;
pub use keys::{Preset, Value};
pub use output::SecurityProtocol;
pub use settings::{RegisterArgs, Secret, Settings, Target, WrongUse};

/// What was done, one sentence each, and what belongs on standard output.
pub struct Registered {
    pub steps: Vec<String>,
    pub output: Zeroizing<String>,
}

/// Sees to it that the client is there as asked for, proves that its secret is good, and hands it on.
///
/// Shape: `environment` says where the API server of the cluster is that this runs in.
pub async fn register(
    settings: &Settings,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Registered, Failure> {
    // Before anything is changed: is there a way to hand the secret on?
    let cluster = match &settings.target {
        Target::Cluster { namespace, name, service_account } => {
            let cluster = kubernetes::Cluster::from_inside(service_account, environment, settings.timeout)?;
            cluster.rehearse(namespace.as_deref(), name).await?;
            Some(cluster)
        }
        _ => None,
    };
    let (credentials, mut steps) = register::register(settings).await?;
    let entries = settings.keys.entries(&credentials);
    let output = match &settings.target {
        Target::Env => output::env(&entries),
        Target::Properties(protocol) => output::properties(&credentials, *protocol),
        Target::Manifest { namespace, name } => output::manifest(namespace.as_deref(), name, &entries),
        Target::Cluster { namespace, name, .. } => {
            let cluster = cluster.expect("it was opened above for this very target");
            steps.push(cluster.put(namespace.as_deref(), name, &entries).await?);
            Zeroizing::default()
        }
    };
    Ok(Registered { steps, output })
}
