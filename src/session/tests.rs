//! What a session does at its deadlines, whatever its client and its broker do meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    ApiVersionsResponse, FetchRequest, MetadataRequest, MetadataResponse, SaslAuthenticateResponse,
    SaslHandshakeResponse, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use uuid::Uuid;

use super::deadlines::LOOKUP_TIMEOUT;
use super::*;
use crate::auth::{
    Authentication, BearerToken, BrokerLogin, KeyPlace, KeyRing, KeySource, Method, OauthBearer, OwnToken,
    Pace, Rules, TokenCell, TokenLogin, TokenSource, Verifier,
};
use crate::cluster::{AddressBook, BackendCluster, BootstrapPort, OptIns, PortMap, VirtualCluster};
use crate::names::{Additional, Backend, Mode, Namespace, Secret};
use crate::policy::Policy;
use crate::wire::{Direction, Gather, RequestHeader, encode_body, grammar, write_request, write_response};

/// A way to log in by tokens.
pub(super) fn bearer() -> Method {
    Method::OauthBearer(OauthBearer {
        name: "issuer".into(),
        verifier: Verifier::new(Rules::default(), Arc::new(KeyRing::empty())),
        source: Some(KeySource { place: KeyPlace::File { path: "jwks".into() }, pace: Pace::default() }),
        introspection: None,
    })
}

/// A session that has just begun, on a door where clients log in so.
pub(super) fn session(methods: Vec<Method>, now: Instant) -> Session {
    session_by(methods, BrokerLogin::Anonymous, now)
}

fn session_by(methods: Vec<Method>, login: BrokerLogin, now: Instant) -> Session {
    session_with(Authentication { methods, forwards_tokens: false }, login, now)
}

pub(super) fn session_with(authentication: Authentication, login: BrokerLogin, now: Instant) -> Session {
    let cluster = VirtualCluster {
        name: "team".into(),
        computed_prefix: None,
        cluster_id: "team-id".into(),
        backend: Arc::new(BackendCluster {
            name: "local".into(),
            bootstrap: Vec::new(),
            login,
            tls: None,
            metadata_interval: Duration::from_secs(60),
            topic_ids: Arc::default(),
        }),
        authentication: Arc::new(authentication),
        warns_of_conflicts: true,
        namespace: Namespace::new(Mode::HidePrefix, "my-", Additional::default(), Additional::default())
            .unwrap(),
        policy: Arc::new(Policy::enforce(Vec::new())),
        opt_ins: OptIns::default(),
    };
    let book = AddressBook::Ports(PortMap::new("gateway", vec![19092, 19093], BootstrapPort::AtStart, 1));
    let listener = Listener { name: "front".into(), book: Arc::new(book), cluster: Arc::new(cluster) };
    let client = Client {
        connection_id: 1,
        address: "127.0.0.1".to_owned(),
        certificate: None,
        certificate_ends_at: None,
        nonce: || [7; 24],
    };
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
        let next =
            session(vec![bearer()], now).on_client_bytes(&mut BytesMut::from(TOO_NEW), now + later, &mut out);
        match next {
            Next::Read => assert_eq!((None, out.to_client.len()), (expected, 1)),
            Next::Close(reason) => assert_eq!((Some(reason), out.to_client.len()), (expected, 0)),
            other => panic!("{other:?}"),
        }
    }
}

/// The id by which clients ask here.
const ID: Uuid = Uuid::from_u128(7);

pub(super) fn request<M: Encodable>(key: ApiKey, version: i16, body: &M) -> BytesMut {
    let head = RequestHead { key: key as i16, version, correlation_id: 7 };
    let mut out = Gather::around(None);
    let flexible = grammar().header_flexible(head.key, Direction::Request, version);
    write_request(&mut out, &RequestHeader { head, client_id: None }, flexible);
    encode_body(&mut out, body, version).unwrap();
    BytesMut::from(&out.finish().to_vec()[..])
}

/// A session between an anonymous client and a broker with a password; both are in the test's hand.
pub(super) struct Stage {
    pub session: Session,
    pub now: Instant,
    /// The ids of what the broker was sent and has not answered, oldest first.
    pub asked: VecDeque<i32>,
    /// The frames that the client was sent.
    pub told: Vec<Bytes>,
}

impl Stage {
    /// Both sides are logged in, ours for so long.
    fn start(now: Instant, lifetime: Duration) -> Self {
        let login = BrokerLogin::SaslPlain {
            username: "gateway".into(),
            password: Secret::new("password".to_owned()),
        };
        Self::start_by(login, now, lifetime)
    }

    fn start_by(login: BrokerLogin, now: Instant, lifetime: Duration) -> Self {
        let session = session_by(vec![Method::Anonymous], login, now);
        let mut stage = Self::before(session, now);
        assert!(matches!(stage.client_asks(), Next::Connect));
        stage.broker_is_reached();
        stage.broker_lets_in(lifetime);
        stage
    }

    /// Nobody has said anything yet.
    pub fn before(session: Session, now: Instant) -> Self {
        Self { session, now, asked: VecDeque::new(), told: Vec::new() }
    }

    /// The broker says what it speaks.
    pub fn broker_is_reached(&mut self) {
        let mut out = Outbox::default();
        self.session.on_connected(self.now, &mut out);
        self.keep(out);
        let served = [(ApiKey::Metadata, 12), (ApiKey::Fetch, 13), (ApiKey::SaslAuthenticate, 1)];
        let served = served
            .map(|(key, newest)| ApiVersion::default().with_api_key(key as i16).with_max_version(newest));
        let versions = ApiVersionsResponse::default().with_api_keys(served.into());
        self.broker_says(ApiKey::ApiVersions, 3, &versions);
    }

    pub fn broker_lets_in(&mut self, lifetime: Duration) {
        self.broker_says(ApiKey::SaslHandshake, 1, &SaslHandshakeResponse::default());
        let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap();
        let welcome = SaslAuthenticateResponse::default().with_session_lifetime_ms(lifetime_ms);
        self.broker_says(ApiKey::SaslAuthenticate, 1, &welcome);
    }

    /// A client's question, which the broker may leave unanswered as long as it likes.
    pub fn client_asks(&mut self) -> Next {
        self.client_says(request(ApiKey::Metadata, 4, &MetadataRequest::default().with_topics(None)))
    }

    /// A request that names a topic by an id of which nothing is known yet.
    fn client_asks_by_id(&mut self) -> Next {
        let topic = FetchTopic::default().with_topic_id(ID);
        self.client_says(request(ApiKey::Fetch, 13, &FetchRequest::default().with_topics(vec![topic])))
    }

    pub fn client_says(&mut self, mut bytes: BytesMut) -> Next {
        let mut out = Outbox::default();
        let next = self.session.on_client_bytes(&mut bytes, self.now, &mut out);
        self.keep(out);
        next
    }

    /// The broker's answer to the oldest of what it was sent.
    pub fn broker_says<M: Encodable>(&mut self, key: ApiKey, version: i16, body: &M) {
        let id = self.asked.pop_front().expect("the broker was asked");
        let mut frame = Gather::around(None);
        let flexible = grammar().header_flexible(key as i16, Direction::Response, version);
        write_response(&mut frame, id, flexible);
        encode_body(&mut frame, body, version).unwrap();
        let mut bytes = BytesMut::from(&frame.finish().to_vec()[..]);
        let mut out = Outbox::default();
        let next = self.session.on_broker_bytes(&mut bytes, self.now, &mut out);
        self.keep(out);
        assert!(matches!(next, Next::Read), "{key:?}: {next:?}");
    }

    /// Time goes by, and the shell's timer rings if it was set.
    pub fn passes(&mut self, time: Duration) -> Next {
        self.now += time;
        if self.session.deadline().is_none_or(|deadline| deadline > self.now) {
            return Next::Read;
        }
        let mut out = Outbox::default();
        let next = self.session.on_deadline(self.now, &mut out);
        self.keep(out);
        next
    }

    pub fn keep(&mut self, out: Outbox) {
        let told = out.to_client.into_iter().map(|answer| Bytes::from(answer.into_inner().to_vec()));
        self.told.extend(told);
        for request in out.to_broker {
            let bytes = Bytes::from(request.into_inner().to_vec());
            self.asked.push_back(RequestHead::peek(&bytes.slice(4..)).unwrap().correlation_id);
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn our_own_login_has_its_time_for_itself() {
    let timeout = Limits::default().login_timeout;
    let late = |next: &Next| matches!(next, Next::Close(Reason::BrokerLogin(LoginFailed::Timeout)));
    for waits in [false, true] {
        let hour = Duration::from_secs(3600);
        let mut stage = Stage::start(Instant::now(), hour);
        if waits {
            assert!(matches!(stage.client_asks(), Next::Read));
        }
        assert!(matches!(stage.passes(hour), Next::Read), "the login goes out");
        assert_eq!(stage.asked.len(), 1 + usize::from(waits));
        if waits {
            assert!(matches!(stage.passes(timeout * 3), Next::Read), "the broker waits, as the client wants");
            stage.broker_says(ApiKey::Metadata, 4, &MetadataResponse::default());
            assert_eq!(stage.told.len(), 1);
        }
        assert!(matches!(stage.passes(timeout - Duration::from_millis(1)), Next::Read));
        assert!(late(&stage.passes(Duration::from_millis(1))), "waits: {waits}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn a_client_goes_on_after_our_own_login() {
    let hour = Duration::from_secs(3600);
    let mut stage = Stage::start(Instant::now(), hour);
    stage.passes(hour);
    stage.broker_lets_in(hour);
    assert!(matches!(stage.passes(Limits::default().login_timeout), Next::Read));
    assert!(matches!(stage.client_asks(), Next::Read));
    stage.broker_says(ApiKey::Metadata, 4, &MetadataResponse::default());
    assert_eq!((stage.told.len(), stage.asked.len()), (1, 0));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn our_own_question_has_its_time_for_itself() {
    let day = Duration::from_secs(86_400);
    for waits in [false, true] {
        let mut stage = Stage::start(Instant::now(), day);
        if waits {
            stage.client_asks();
        }
        assert!(matches!(stage.client_asks_by_id(), Next::Read));
        assert_eq!(stage.asked.len(), 1 + usize::from(waits), "the request itself is held");
        if waits {
            assert!(matches!(stage.passes(LOOKUP_TIMEOUT * 3), Next::Read), "the broker waits");
            stage.broker_says(ApiKey::Metadata, 4, &MetadataResponse::default());
        }
        assert!(matches!(stage.passes(LOOKUP_TIMEOUT - Duration::from_millis(1)), Next::Read));
        let next = stage.passes(Duration::from_millis(1));
        assert!(matches!(next, Next::Close(Reason::LookupTimeout)), "waits: {waits}, {next:?}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn a_question_that_is_answered_has_no_deadline() {
    let mut stage = Stage::start(Instant::now(), Duration::from_secs(86_400));
    stage.client_asks_by_id();
    stage.broker_says(ApiKey::Metadata, 12, &MetadataResponse::default());
    assert_eq!(stage.told.len(), 1, "nobody has the id");
    assert!(matches!(stage.passes(LOOKUP_TIMEOUT), Next::Read));
    assert!(matches!(stage.client_asks(), Next::Read));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn a_request_outlives_its_client_for_a_moment() {
    let mut stage = Stage::start(Instant::now(), Duration::from_secs(86_400));
    stage.client_asks();
    stage.client_asks_by_id();
    assert!(stage.session.is_held());
    stage.session.on_client_left(stage.now);
    assert!(matches!(stage.passes(LEFT_FOR - Duration::from_millis(1)), Next::Read));
    assert!(matches!(stage.passes(Duration::from_millis(1)), Next::Close(Reason::ClientLeft)));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn the_id_of_another_tenant_is_asked_about_as_often_as_nobodys() {
    let theirs = Backend::said_by_broker(StrBytes::from_static_str("their-orders"));
    let told = MetadataResponseTopic::default()
        .with_topic_id(ID)
        .with_name(Some(TopicName(StrBytes::from_static_str("their-orders"))));
    for (is_known, is_there) in [(false, false), (false, true), (true, true)] {
        let mut stage = Stage::start(Instant::now(), Duration::from_secs(86_400));
        if is_known {
            stage.session.listener.cluster.backend.topic_ids.learn(ID, &theirs);
        }
        let topics = if is_there { vec![told.clone()] } else { Vec::new() };
        let answer = MetadataResponse::default().with_topics(topics);
        let mut questions = Vec::new();
        for pause in [Duration::ZERO, ABSENT_FOR / 2, ABSENT_FOR / 2, Duration::ZERO] {
            stage.passes(pause);
            stage.client_asks_by_id();
            questions.push(stage.asked.len());
            if !stage.asked.is_empty() {
                stage.broker_says(ApiKey::Metadata, 12, &answer);
            }
        }
        assert_eq!(questions, [1, 0, 1, 0], "known: {is_known}, there: {is_there}");
        assert_eq!(stage.told.len(), 4);
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can only be had from the clock; which one does not matter"
)]
fn a_session_that_the_token_would_not_lengthen_waits_for_a_newer_one() {
    let (now, hour) = (Instant::now(), Duration::from_secs(3600));
    for comes in [true, false] {
        let cell = Arc::new(TokenCell::empty());
        let hold_until = |ends_at| {
            cell.replace(OwnToken { token: BearerToken::new("t"), extensions: Vec::new(), ends_at });
        };
        hold_until(now + hour);
        let source = TokenSource::File { path: "token".into(), extensions: Vec::new() };
        let login = TokenLogin { source, ca_bundle: None, timeout: hour, cell: cell.clone() };
        let mut stage = Stage::start_by(BrokerLogin::OauthBearer(login.into()), now, hour);
        assert!(matches!(stage.passes(hour.mul_f64(0.9)), Next::Read));
        assert_eq!(stage.asked.len(), 0, "the same token ends when the session does");
        if comes {
            hold_until(now + hour * 2);
            assert!(matches!(stage.passes(hour.mul_f64(0.05)), Next::Read));
            assert_eq!(stage.asked.len(), 1, "the login goes out");
        } else {
            let next = stage.passes(hour.mul_f64(0.1));
            assert!(matches!(next, Next::Close(Reason::BrokerLogin(LoginFailed::NoToken))), "{next:?}");
        }
    }
}
