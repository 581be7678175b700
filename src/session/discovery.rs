//! The gateway's own question to a cluster: which brokers are there, and what do they speak?
//!
//! Asked when a backend comes up and again in its interval; the session's own login to the broker goes
//! first, so a broker that answers here lets clients' connections in as well.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::login::{Login, LoginFailed, Progress};
use crate::api::versions::BrokerVersions;
use crate::auth::BrokerLogin;
use crate::cluster::{Address, Limits};
use crate::names::Backend;
use crate::wire::{
    ApiKey, Broken, Direction, Gather, RequestHead, RequestHeader, Segments, decode, encode_body, grammar,
    read_response, write_request,
};

/// One conversation with one broker.
pub struct Discovery {
    step: Step,
    limits: Arc<Limits>,
    /// Topics whose existence matters to a namespace; `None` where any may.
    topics: Option<Vec<String>>,
}

enum Step {
    Login(Box<Login>),
    Metadata(Arc<BrokerVersions>),
}

/// What the conversation wants next.
pub enum Discovered {
    Send(Backend<Segments>),
    Done(Found),
}

/// What a broker said.
#[derive(Debug, Clone)]
pub struct Found {
    pub versions: Arc<BrokerVersions>,
    pub brokers: Vec<(i32, Backend<Address>)>,
    /// Those of the topics asked about that exist.
    pub topics: Vec<String>,
}

impl Discovery {
    pub fn start(
        login: BrokerLogin,
        nonce: [u8; 24],
        topics: Option<Vec<String>>,
        limits: Arc<Limits>,
    ) -> Result<(Self, Backend<Segments>), LoginFailed> {
        let (login, first) = Login::start(login, nonce)?;
        Ok((Self { step: Step::Login(Box::new(login)), limits, topics }, first))
    }

    pub fn on_frame(&mut self, frame: &Bytes) -> Result<Discovered, LoginFailed> {
        match &mut self.step {
            Step::Login(login) => match login.on_frame(frame)? {
                Progress::Send(message) => Ok(Discovered::Send(message)),
                // Said of a client's own login, which this is not.
                Progress::Said(_) => Err(LoginFailed::Credentials),
                Progress::Done { versions, .. } => {
                    self.step = Step::Metadata(versions);
                    Ok(Discovered::Send(self.ask()?))
                }
            },
            Step::Metadata(versions) => {
                let versions = versions.clone();
                Ok(Discovered::Done(self.found(versions, frame)?))
            }
        }
    }

    fn ask(&self) -> Result<Backend<Segments>, Broken> {
        let topic = |topic: &String| {
            let name = TopicName(StrBytes::from_string(topic.clone()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let topics = self.topics.as_ref().map(|topics| topics.iter().map(topic).collect());
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let head = RequestHead { key: KEY, version: VERSION, correlation_id: 0 };
        let header = RequestHeader { head, client_id: Some(StrBytes::from_static_str("sluicegate")) };
        let mut out = Gather::around(None);
        write_request(&mut out, &header, grammar().header_flexible(KEY, Direction::Request, VERSION));
        encode_body(&mut out, &request, VERSION)?;
        Ok(Backend::meant_for_broker(out.finish()))
    }

    fn found(&self, versions: Arc<BrokerVersions>, frame: &Bytes) -> Result<Found, Broken> {
        let flexible = grammar().header_flexible(KEY, Direction::Response, VERSION);
        let (_, body) = read_response(frame, flexible).map_err(Broken::from)?;
        grammar().walk(KEY, Direction::Response, VERSION, &body, self.limits.elements_per_response)?;
        let response: MetadataResponse = decode(&body, VERSION)?;
        let brokers = response.brokers.iter().take(BROKERS_MAX).filter_map(|broker| {
            let port = u16::try_from(broker.port).ok().filter(|port| *port != 0)?;
            let address = Address::new(broker.host.as_str(), port);
            Some((broker.node_id.0, Backend::said_by_broker(address)))
        });
        let topics = response.topics.iter().filter(|topic| topic.error_code == 0);
        Ok(Found {
            versions,
            brokers: brokers.collect(),
            topics: topics.filter_map(|topic| Some(topic.name.as_ref()?.0.to_string())).collect(),
        })
    }
}

const KEY: i16 = ApiKey::Metadata as i16;
/// The first version with a flag against creating topics; every broker since 0.11 has it.
const VERSION: i16 = 4;
/// More brokers than any cluster has, and few enough to dial.
const BROKERS_MAX: usize = 1000;
