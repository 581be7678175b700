//! A scripted broker at which one logs in with a token, and what was said to it.

use bytes::Bytes;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::broker::Broker;
use super::codes::UNSUPPORTED_SASL_MECHANISM;

/// A broker that takes every token, for so long.
pub fn broker(lifetime_ms: i64) -> Broker {
    let broker = Broker::start();
    broker.on::<SaslHandshakeRequest>(|request| {
        let offered = StrBytes::from_static_str("OAUTHBEARER");
        let is_offered = request.mechanism == offered;
        SaslHandshakeResponse::default()
            .with_error_code(if is_offered { 0 } else { UNSUPPORTED_SASL_MECHANISM })
            .with_mechanisms(vec![offered])
    });
    broker.on::<SaslAuthenticateRequest>(move |_| {
        SaslAuthenticateResponse::default().with_session_lifetime_ms(lifetime_ms)
    });
    broker
}

/// What was said to a broker by SaslAuthenticate so far, with the place of each connection.
pub fn said(broker: &Broker) -> Vec<(usize, Bytes)> {
    let asked = broker.asked_by_anybody().into_iter().filter(|asked| asked.key() == 36);
    asked.map(|asked| (asked.connection, asked.request::<SaslAuthenticateRequest>().auth_bytes)).collect()
}

/// The token of the last login at a broker.
pub fn last_token(broker: &Broker) -> String {
    let (_, message) = said(broker).pop().expect("somebody logged in");
    let message = String::from_utf8(message.to_vec()).expect("a token is text");
    let token = message.split('\u{1}').find_map(|pair| pair.strip_prefix("auth=Bearer "));
    token.unwrap_or_else(|| panic!("no token in {message:?}")).to_owned()
}
