//! Which host and port a client may see for which broker.

use std::fmt;
use std::sync::Arc;

use crate::names::Virtual;

/// A host and a port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    pub host: Arc<str>,
    pub port: u16,
}

impl Address {
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Reads `host:port` or `[v6]:port`.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress::NoPort)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(InvalidAddress::Port)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(InvalidAddress::Host);
        }
        Ok(Self::new(host, port))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    #[error("there is no port; write host:port")]
    NoPort,
    #[error("the port is not a number from 1 to 65535")]
    Port,
    #[error("the host is empty or contains a space")]
    Host,
}

/// Broker ids and the ports of one listener, each found from the other.
///
/// Shape: bootstrap on the first port, broker `n` on the port `1 + (n - min_broker_id)` places on;
/// without a bootstrap port the brokers start at the first.
#[derive(Clone, Debug)]
pub struct AddressBook {
    advertised_host: Arc<str>,
    ports: Vec<u16>,
    bootstrap: BootstrapPort,
    min_broker_id: i32,
}

/// Whether the first port of a listener is for clients that know no broker yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootstrapPort {
    AtStart,
    None,
}

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Any broker.
    Bootstrap,
    Broker(i32),
}

impl AddressBook {
    pub fn new(
        advertised_host: impl Into<Arc<str>>,
        ports: Vec<u16>,
        bootstrap: BootstrapPort,
        min_broker_id: i32,
    ) -> Self {
        Self { advertised_host: advertised_host.into(), ports, bootstrap, min_broker_id }
    }

    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    pub fn advertised_host(&self) -> &str {
        &self.advertised_host
    }

    /// How many brokers have a port.
    pub fn brokers_max(&self) -> usize {
        self.ports.len().saturating_sub(self.ports_before_brokers())
    }

    /// Where clients find a broker; `None` when it has no port here.
    pub fn broker(&self, node: i32) -> Option<Virtual<Address>> {
        let port = self.port(node)?;
        Some(Virtual::shown_to_client(Address { host: self.advertised_host.clone(), port }))
    }

    /// The port of a broker; `None` when it has none here.
    pub fn port(&self, node: i32) -> Option<u16> {
        let place = usize::try_from(node.checked_sub(self.min_broker_id)?).ok()?;
        self.ports.get(place.checked_add(self.ports_before_brokers())?).copied()
    }

    pub fn door(&self, port: u16) -> Option<Door> {
        let place = self.ports.iter().position(|candidate| *candidate == port)?;
        match place.checked_sub(self.ports_before_brokers()) {
            None => Some(Door::Bootstrap),
            Some(place) => Some(Door::Broker(self.min_broker_id.checked_add(i32::try_from(place).ok()?)?)),
        }
    }

    fn ports_before_brokers(&self) -> usize {
        match self.bootstrap {
            BootstrapPort::AtStart => 1,
            BootstrapPort::None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port_of(book: &AddressBook, node: i32) -> Option<u16> {
        book.broker(node).map(|address| address.into_inner().port)
    }

    #[test]
    fn brokers_stand_behind_the_bootstrap_port() {
        let book = AddressBook::new("localhost", (19092..=19095).collect(), BootstrapPort::AtStart, 1);
        assert_eq!(port_of(&book, 1), Some(19093));
        assert_eq!(port_of(&book, 3), Some(19095));
        assert_eq!(port_of(&book, 4), None);
        assert_eq!(port_of(&book, 0), None);
        assert_eq!(port_of(&book, i32::MIN), None);
        assert_eq!(port_of(&book, i32::MAX), None);
        assert_eq!(book.door(19092), Some(Door::Bootstrap));
        assert_eq!(book.door(19094), Some(Door::Broker(2)));
        assert_eq!(book.door(19096), None);
        assert_eq!(book.brokers_max(), 3);
    }

    #[test]
    fn without_a_bootstrap_port_brokers_start_at_the_first() {
        let book = AddressBook::new("localhost", vec![5000, 6000], BootstrapPort::None, 0);
        assert_eq!(port_of(&book, 0), Some(5000));
        assert_eq!(port_of(&book, 1), Some(6000));
        assert_eq!(book.door(6000), Some(Door::Broker(1)));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, expected) in [
            ("kafka1:9092", Ok(Address::new("kafka1", 9092))),
            ("[::1]:9092", Ok(Address::new("::1", 9092))),
            ("kafka1", Err(InvalidAddress::NoPort)),
            ("kafka1:0", Err(InvalidAddress::Port)),
            ("kafka1:99999", Err(InvalidAddress::Port)),
            (":9092", Err(InvalidAddress::Host)),
        ] {
            assert_eq!(Address::parse(text), expected, "{text}");
        }
    }
}
