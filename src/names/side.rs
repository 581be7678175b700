//! The two sides of the gateway as types.

use std::fmt;

/// As the client knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Virtual<T>(T);

/// As the Kafka cluster knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backend<T>(T);

impl<T> Virtual<T> {
    pub fn said_by_client(value: T) -> Self {
        Self(value)
    }

    /// A value that this gateway shows to clients: an address of its own, an answer it made.
    pub fn shown_to_client(value: T) -> Self {
        Self(value)
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Backend<T> {
    pub fn said_by_broker(value: T) -> Self {
        Self(value)
    }

    /// A value meant for the broker: a request of the gateway's own, an address from the file.
    pub fn meant_for_broker(value: T) -> Self {
        Self(value)
    }

    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> AsRef<T> for Virtual<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl<T> AsRef<T> for Backend<T> {
    fn as_ref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Virtual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "virtual {:?}", self.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Backend<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backend {:?}", self.0)
    }
}
