//! Binding ports, accepting connections, and choosing who carries them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::certificates::Certificates;
use super::entrance::{Entry, ServerSide};
use super::tls::server_config;
use super::upstream::tune;
use super::worker::{Accepted, House, NO_CLUSTER, Workers};
use super::{ServerError, bind};
use crate::cluster::{Behind, Directory, Entrance};

/// Every bound port, and what is behind it.
pub struct Doors(Vec<BoundPort>);

struct BoundPort {
    socket: TcpListener,
    entry: Entry,
}

impl Doors {
    /// Binds all ports at once: a broker that joins later finds its own open.
    pub async fn open(directory: &Directory, certificates: &mut Certificates) -> Result<Self, ServerError> {
        let mut ports = Vec::new();
        for entrance in &directory.entrances {
            let what = format!("listener {}", entrance.name);
            let tls = entrance.tls.as_ref().map(server_config).transpose();
            let tls = tls.map_err(|why| ServerError::Tls { what: what.clone(), why })?;
            let tls: Option<ServerSide> = tls.map(|config| Arc::new(ArcSwap::new(config)));
            if let (Some(written), Some(serving)) = (&entrance.tls, &tls) {
                certificates.of_listener(&entrance.name, written.clone(), serving.clone());
            }
            for address in entrance.sockets() {
                let Some(entry) = entry(entrance, address.port(), tls.as_ref()) else { continue };
                ports.push(BoundPort { socket: bind(&what, address).await?, entry });
            }
            tell(entrance, directory);
        }
        Ok(Self(ports))
    }

    /// Accepts on every port until the tasks are aborted.
    pub fn accept(self, house: &Arc<House>, workers: &Arc<Workers>) -> Vec<JoinHandle<()>> {
        let accept = |port: BoundPort| tokio::spawn(port.accept(house.clone(), workers.clone()));
        self.0.into_iter().map(accept).collect()
    }
}

impl BoundPort {
    fn turned_away(&self, house: &House) {
        let listener = match &self.entry {
            Entry::Port { place, .. } => Some(house.tenants.listener(*place)),
            Entry::Names { .. } => None,
        };
        let cluster = listener.as_ref().map_or(NO_CLUSTER, |listener| &listener.cluster.name);
        house.metrics.connection_turned_away(cluster, "too_many_connections");
    }

    async fn accept(self, house: Arc<House>, workers: Arc<Workers>) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    let accepted_at = Instant::now();
                    if house.connections.load(Ordering::Relaxed) >= house.limits.connections {
                        self.turned_away(&house);
                        debug!(%address, limit = house.limits.connections, "turned away: too many connections");
                        continue;
                    }
                    let handed_over = tune(&stream).and_then(|()| stream.into_std());
                    match handed_over {
                        Ok(stream) => workers.carry(Accepted {
                            stream,
                            address,
                            entry: self.entry.clone(),
                            accepted_at,
                            held: house.hold_connection(),
                        }),
                        Err(why) => debug!(%address, %why, "gone before it was accepted"),
                    }
                }
                Err(why) if is_of_one_connection(&why) => {}
                Err(why) => {
                    // Above all, no file descriptors left: those in use come back.
                    warn!(%why, "can not accept; trying again");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }
}

fn entry(entrance: &Entrance, port: u16, tls: Option<&ServerSide>) -> Option<Entry> {
    match &entrance.behind {
        Behind::Ports { place, map } => {
            Some(Entry::Port { place: *place, door: map.door(port)?, tls: tls.cloned() })
        }
        // Names are a part of TLS, and without it the file is refused.
        Behind::Names(names) => Some(Entry::Names { names: names.clone(), tls: tls.cloned()? }),
    }
}

fn tell(entrance: &Entrance, directory: &Directory) {
    let (listener, addresses, tls) = (&*entrance.name, &entrance.addresses, entrance.tls.is_some());
    let ports = entrance.ports.len();
    match &entrance.behind {
        Behind::Ports { place, .. } => {
            let behind = &directory.listeners[*place];
            let (cluster, bootstrap) = (&*behind.cluster.name, behind.book.bootstrap());
            info!(listener, virtual_cluster = cluster, ?addresses, %bootstrap, ports, tls, "listening");
        }
        Behind::Names(names) => {
            let virtual_clusters = names.count();
            info!(listener, virtual_clusters, ?addresses, ?ports, tls, "listening");
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
