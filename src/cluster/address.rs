//! Which host and port a client may see for which broker.

use std::fmt;
use std::sync::Arc;

use super::BrokerNames;
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

/// Broker ids and where clients find them at one listener, each found from the other.
#[derive(Clone, Debug)]
pub enum AddressBook {
    /// Each broker has a port of its own.
    Ports(PortMap),
    /// Each broker has a server name of its own, at a port that it shares with all.
    Names { names: BrokerNames, port: u16 },
}

/// Broker ids and the ports of one listener.
///
/// Shape: bootstrap on the first port, broker `n` on the port `1 + (n - min_broker_id)` places on;
/// without a bootstrap port the brokers start at the first.
#[derive(Clone, Debug)]
pub struct PortMap {
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

/// What is behind a port or a server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Any broker.
    Bootstrap,
    Broker(i32),
}

impl AddressBook {
    /// Where clients find a broker; `None` when it has no place here.
    pub fn broker(&self, node: i32) -> Option<Virtual<Address>> {
        let address = match self {
            AddressBook::Ports(map) => Address { host: map.advertised_host.clone(), port: map.port(node)? },
            AddressBook::Names { names, port } if node >= 0 => Address::new(names.broker(node), *port),
            AddressBook::Names { .. } => return None,
        };
        Some(Virtual::shown_to_client(address))
    }

    /// Whether a broker has a place here.
    pub fn has(&self, node: i32) -> bool {
        match self {
            AddressBook::Ports(map) => map.port(node).is_some(),
            AddressBook::Names { .. } => node >= 0,
        }
    }

    /// Where clients begin; without a bootstrap port, at the first broker's.
    pub fn bootstrap(&self) -> Address {
        match self {
            AddressBook::Ports(map) => {
                Address { host: map.advertised_host.clone(), port: map.ports.first().copied().unwrap_or(0) }
            }
            AddressBook::Names { names, port } => Address::new(names.bootstrap(), *port),
        }
    }

    /// How many brokers have a place; `None` stands for any number.
    pub fn brokers_max(&self) -> Option<usize> {
        match self {
            AddressBook::Ports(map) => Some(map.brokers_max()),
            AddressBook::Names { .. } => None,
        }
    }
}

impl PortMap {
    pub fn new(
        advertised_host: impl Into<Arc<str>>,
        ports: Vec<u16>,
        bootstrap: BootstrapPort,
        min_broker_id: i32,
    ) -> Self {
        Self { advertised_host: advertised_host.into(), ports, bootstrap, min_broker_id }
    }

    /// How many brokers have a port.
    pub fn brokers_max(&self) -> usize {
        self.ports.len().saturating_sub(self.ports_before_brokers())
    }

    fn port(&self, node: i32) -> Option<u16> {
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
    use super::super::NameForm;
    use super::*;

    fn port_of(map: &PortMap, node: i32) -> Option<u16> {
        let book = AddressBook::Ports(map.clone());
        assert_eq!(book.has(node), book.broker(node).is_some(), "{node}");
        book.broker(node).map(|address| address.into_inner().port)
    }

    #[test]
    fn brokers_stand_behind_the_bootstrap_port() {
        let map = PortMap::new("localhost", (19092..=19095).collect(), BootstrapPort::AtStart, 1);
        assert_eq!(port_of(&map, 1), Some(19093));
        assert_eq!(port_of(&map, 3), Some(19095));
        assert_eq!(port_of(&map, 4), None);
        assert_eq!(port_of(&map, 0), None);
        assert_eq!(port_of(&map, i32::MIN), None);
        assert_eq!(port_of(&map, i32::MAX), None);
        assert_eq!(map.door(19092), Some(Door::Bootstrap));
        assert_eq!(map.door(19094), Some(Door::Broker(2)));
        assert_eq!(map.door(19096), None);
        assert_eq!(map.brokers_max(), 3);
    }

    #[test]
    fn without_a_bootstrap_port_brokers_start_at_the_first() {
        let map = PortMap::new("localhost", vec![5000, 6000], BootstrapPort::None, 0);
        assert_eq!(port_of(&map, 0), Some(5000));
        assert_eq!(port_of(&map, 1), Some(6000));
        assert_eq!(map.door(6000), Some(Door::Broker(1)));
    }

    #[test]
    fn brokers_with_names_share_a_port() {
        let names = BrokerNames::new(NameForm::SharedSuffix, "team", ".gw.example").unwrap();
        let book = AddressBook::Names { names, port: 9092 };
        let shown = |node| book.broker(node).map(|address| address.into_inner().to_string());
        assert_eq!(shown(3).as_deref(), Some("broker-3-team.gw.example:9092"));
        assert_eq!((shown(-1), book.has(-1), book.has(i32::MAX)), (None, false, true));
        assert_eq!(book.bootstrap().to_string(), "bootstrap-team.gw.example:9092");
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
