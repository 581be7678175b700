//! What a session does at its deadlines, whatever its client sends meanwhile.

use std::time::Duration;

use super::*;
use crate::auth::{Authentication, BrokerLogin, KeyRing, KeySource, Method, OauthBearer, Rules, Verifier};
use crate::cluster::{AddressBook, BackendCluster, BootstrapPort, OptIns, VirtualCluster};
use crate::names::{Additional, Mode, Namespace};
use crate::policy::Policy;

/// A session that has just begun, on a door where tokens are wanted.
fn session(now: Instant) -> Session {
    let bearer = OauthBearer {
        name: "issuer".into(),
        verifier: Verifier::new(Rules::default(), Arc::new(KeyRing::empty())),
        source: KeySource::File { path: "jwks".into() },
    };
    let cluster = VirtualCluster {
        name: "team".into(),
        cluster_id: "team-id".into(),
        backend: Arc::new(BackendCluster {
            name: "local".into(),
            bootstrap: Vec::new(),
            login: BrokerLogin::Anonymous,
            tls: None,
            metadata_interval: Duration::from_secs(60),
            topic_ids: Arc::default(),
        }),
        authentication: Arc::new(Authentication { methods: vec![Method::OauthBearer(bearer)] }),
        warns_of_conflicts: true,
        namespace: Namespace::new(Mode::HidePrefix, "my-", Additional::default(), Additional::default())
            .unwrap(),
        policy: Arc::new(Policy::enforce(Vec::new())),
        opt_ins: OptIns::default(),
    };
    let book = AddressBook::new("gateway", vec![19092, 19093], BootstrapPort::AtStart, 1);
    let listener = Listener {
        name: "front".into(),
        addresses: Vec::new(),
        tls: None,
        book: Arc::new(book),
        cluster: Arc::new(cluster),
    };
    let client =
        Client { connection_id: 1, address: "127.0.0.1".to_owned(), certificate: None, nonce: || [7; 24] };
    Session::new(Arc::new(listener), Arc::new(Limits::default()), None, client, now)
}

/// ApiVersions in a version that nobody knows yet, which may be asked as often as one likes.
const TOO_NEW: &[u8] = b"\0\0\0\x08\0\x12\0\x63\0\0\0\x01";

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn a_client_that_never_pauses_is_closed_in_time() {
    let now = Instant::now();
    let timeout = Limits::default().login_timeout;
    for (later, expected) in [
        (Duration::ZERO, None),
        (timeout - Duration::from_millis(1), None),
        (timeout, Some(Reason::LoginTimeout)),
        (timeout * 2, Some(Reason::LoginTimeout)),
    ] {
        let mut out = Outbox::default();
        let next = session(now).on_client_bytes(&mut BytesMut::from(TOO_NEW), now + later, &mut out);
        match next {
            Next::Read => assert_eq!((None, out.to_client.len()), (expected, 1)),
            Next::Close(reason) => assert_eq!((Some(reason), out.to_client.len()), (expected, 0)),
            other => panic!("{other:?}"),
        }
    }
}
