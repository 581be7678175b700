//! Binding ports, accepting connections, and choosing who carries them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::tls::server_config;
use super::upstream::tune;
use super::worker::{Accepted, House, Workers};
use super::{ServerError, bind};
use crate::cluster::{Directory, Door};

/// Every bound port, and what is behind it.
pub struct Doors(Vec<BoundPort>);

struct BoundPort {
    socket: TcpListener,
    /// The listener's place in the directory.
    place: usize,
    door: Door,
    tls: Option<TlsAcceptor>,
}

impl Doors {
    /// Binds all ports at once: a broker that joins later finds its own open.
    pub async fn open(directory: &Directory) -> Result<Self, ServerError> {
        let mut ports = Vec::new();
        for (place, listener) in directory.listeners.iter().enumerate() {
            let what = format!("listener {}", listener.name);
            let tls = listener
                .tls
                .as_ref()
                .map(server_config)
                .transpose()
                .map_err(|why| ServerError::Tls { what: what.clone(), why })?
                .map(TlsAcceptor::from);
            for port in listener.book.ports() {
                let Some(door) = listener.book.door(*port) else { continue };
                for address in &listener.addresses {
                    let socket = bind(&what, SocketAddr::new(*address, *port)).await?;
                    ports.push(BoundPort { socket, place, door, tls: tls.clone() });
                }
            }
            info!(
                listener = &*listener.name,
                virtual_cluster = &*listener.cluster.name,
                addresses = ?listener.addresses,
                bootstrap = %format_args!("{}:{}", listener.book.advertised_host(), listener.book.ports()[0]),
                ports = listener.book.ports().len(),
                tls = listener.tls.is_some(),
                "listening"
            );
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
    async fn accept(self, house: Arc<House>, workers: Arc<Workers>) {
        loop {
            match self.socket.accept().await {
                Ok((stream, address)) => {
                    let accepted_at = Instant::now();
                    if house.connections.load(Ordering::Relaxed) >= house.limits.connections {
                        let listener = house.tenants.listener(self.place);
                        house.metrics.connection_turned_away(&listener.cluster.name, "too_many_connections");
                        debug!(%address, limit = house.limits.connections, "turned away: too many connections");
                        continue;
                    }
                    let handed_over = tune(&stream).and_then(|()| stream.into_std());
                    match handed_over {
                        Ok(stream) => workers.carry(Accepted {
                            stream,
                            address,
                            place: self.place,
                            door: self.door,
                            tls: self.tls.clone(),
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

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
