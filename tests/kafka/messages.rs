//! The messages of a login, one by one: what Kafka answers on its reference listener, and what the gateway answers.
//!
//! Where the two differ a line says both, and `docs/security.md` says why: what is refused only here, and what is
//! taken only here, is so by a rule of that page.

use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use sluicegate::wire::{decode, read_response};

use crate::site::{CLIENT, SECRET, site};
use crate::support::client::{Client, authenticate, response_of, separated};

/// What a client says.
enum Say {
    /// ApiVersions in a version, by somebody of this name.
    Versions(i16, &'static str),
    Handshake(i16, &'static str),
    /// A message of the mechanism, with a bar for each separator and `TOKEN` for a good token.
    Message(&'static str),
    /// The same in a bare frame.
    Bare(&'static str),
    /// A request of which nothing but key and version is right.
    Head(i16, i16),
    Metadata,
}
use Say::{Bare, Handshake, Head, Message, Metadata, Versions};

/// What is said, and what is heard: of both, or of Kafka and of the gateway.
type Dialogue = (&'static [Say], &'static [&'static str]);

const AGREED: Say = Handshake(1, "OAUTHBEARER");
const GOOD: &str = "n,,|auth=Bearer TOKEN||";
const REFUSED: &str = "n,,|auth=Bearer an-opaque-token||";

const DIALOGUES: &[Dialogue] = &[
    // A stranger's questions.
    (&[Versions(3, "raw"), Versions(3, "raw")], &["0, closed"]),
    (&[Versions(99, "raw"), Versions(98, "raw"), Versions(3, "raw")], &["35, 35, 0"]),
    (&[Versions(3, "r aw"), Versions(3, "raw")], &["42, 0", "42, closed"]),
    (&[Metadata], &["closed"]),
    (&[Head(-1, 0)], &["closed"]),
    (&[Head(7, 3)], &["closed"]),
    (&[Message(GOOD)], &["closed", "34, closed"]),
    (&[Head(36, 3)], &["closed"]),
    (&[Head(17, 2)], &["closed"]),
    // Mechanisms.
    (&[Handshake(1, "PLAIN")], &["33 OAUTHBEARER, closed"]),
    (&[Handshake(1, "oauthbearer")], &["33 OAUTHBEARER, closed"]),
    (&[Handshake(0, "PLAIN")], &["33 OAUTHBEARER, closed"]),
    // Out of turn.
    (&[AGREED, AGREED], &["0, 34, closed"]),
    (&[AGREED, Versions(3, "raw")], &["0, 34, closed"]),
    (&[AGREED, Metadata], &["0, answered, closed", "0, closed"]),
    (&[AGREED, Head(36, 3)], &["0, closed"]),
    // Good and refused tokens.
    (&[AGREED, Message(GOOD), Metadata], &["0, 0, answered"]),
    (&[AGREED, Message("n,a=some-app,|auth=Bearer TOKEN||")], &["0, 0"]),
    (&[AGREED, Message("n,a=other,|auth=Bearer TOKEN||")], &["0, 58, closed", "0, document"]),
    (&[AGREED, Message(REFUSED), Message("|")], &["0, document, 58, closed"]),
    (&[AGREED, Message(REFUSED), Message("||")], &["0, document, 58, closed"]),
    (&[AGREED, Message(REFUSED), Message(GOOD)], &["0, document, 0", "0, document, 58, closed"]),
    (&[AGREED, Message(REFUSED), AGREED], &["0, document, 34, closed"]),
    (&[AGREED, Message(REFUSED), Metadata], &["0, document, answered, closed", "0, document, closed"]),
    // First messages of other forms.
    (&[AGREED, Message("|")], &["0, 58, closed"]),
    (&[AGREED, Message("")], &["0, 58, closed"]),
    (&[AGREED, Message("y,,|auth=Bearer TOKEN||")], &["0, 58, closed", "0, 0"]),
    (&[AGREED, Message("p=tls-unique,,|auth=Bearer TOKEN||")], &["0, 58, closed"]),
    (&[AGREED, Message("n,,|auth=Basic dTpw||")], &["0, closed", "0, 58, closed"]),
    (&[AGREED, Message("n,,|host=here||")], &["0, 58, closed"]),
    (&[AGREED, Message("n,,|auth=Bearer TOKEN|auth=Bearer x||")], &["0, document", "0, 58, closed"]),
    (&[AGREED, Message("n,,|auth=Bearer x|auth=Bearer TOKEN||")], &["0, 0", "0, 58, closed"]),
    (&[AGREED, Message("n,,|auth=Bearer TOKEN|a1=x||")], &["0, 58, closed"]),
    (&[AGREED, Message("n,,|auth=Bearer TOKEN|a=x|a=y||")], &["0, 0", "0, 58, closed"]),
    (&[AGREED, Message("n,,|auth=Bearer TOKEN|a=x||")], &["0, 0"]),
    (&[AGREED, Message("n,,|auth=bearer TOKEN||")], &["0, 0"]),
    // After a login.
    (&[AGREED, Message(GOOD), Message(GOOD), Metadata], &["0, 0, 34, answered"]),
    (&[AGREED, Message(GOOD), Head(36, 3)], &["0, 0, closed"]),
    // Bare frames.
    (&[Handshake(0, "OAUTHBEARER"), Bare(GOOD), Metadata], &["0, empty, answered"]),
    (&[Handshake(0, "OAUTHBEARER"), Bare(REFUSED)], &["0, document", "0, closed"]),
    (&[Handshake(0, "OAUTHBEARER"), Bare("nonsense")], &["0, closed"]),
];

/// Says it all, and tells what is heard to the end, as far as that is to be heard.
fn heard(port: u16, token: &str, said: &[Say], to_its_end: bool) -> String {
    let mut client = Client::connect(port);
    let mut heard = Vec::new();
    for say in said {
        let answer = answer_to(&mut client, say, token);
        let is_over = answer.is_none();
        heard.push(answer.unwrap_or_else(|| "closed".to_owned()));
        if is_over {
            return heard.join(", ");
        }
    }
    if to_its_end {
        client.expect_close();
        heard.push("closed".to_owned());
    } else {
        assert!(client.is_silent(), "more comes after {heard:?}");
    }
    heard.join(", ")
}

/// What comes back; `None` when the connection ends instead.
fn answer_to(client: &mut Client, say: &Say, token: &str) -> Option<String> {
    let message = |text: &str| separated(&text.replace("TOKEN", token));
    match say {
        Versions(version, name) => {
            let request = ApiVersionsRequest::default()
                .with_client_software_name(StrBytes::from_static_str(name))
                .with_client_software_version(StrBytes::from_static_str("1"));
            if *version > 4 {
                let [high, low] = version.to_be_bytes();
                client.send_frame(&[0, 18, high, low, 0, 0, 0, 7, 0xff, 0xff, 0, 1, 1, 0]);
            } else {
                client.send(*version, &request);
            }
            let (_, body) =
                read_response(&client.read_frame_or_close()?, false).expect("an answer has a header");
            let read_in = if *version > 4 { 0 } else { *version };
            let answer: ApiVersionsResponse =
                decode(&body, read_in).expect("an answer has the body of its version");
            Some(answer.error_code.to_string())
        }
        Handshake(version, mechanism) => {
            let request =
                SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
            client.send(*version, &request);
            let (_, answer) = response_of::<SaslHandshakeRequest>(*version, &client.read_frame_or_close()?);
            let offered: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            let offered =
                if answer.error_code == 33 { format!(" {}", offered.join(" ")) } else { String::new() };
            Some(format!("{}{offered}", answer.error_code))
        }
        Message(text) => {
            client.send(2, &authenticate(&message(text)));
            let (_, answer) = response_of::<SaslAuthenticateRequest>(2, &client.read_frame_or_close()?);
            Some(match &answer.auth_bytes[..] {
                [] => answer.error_code.to_string(),
                document => known(document),
            })
        }
        Bare(text) => {
            client.send_frame(&message(text));
            client.read_frame_or_close().map(|answer| known(&answer))
        }
        Head(key, version) => {
            let head = [key.to_be_bytes(), version.to_be_bytes()].concat();
            client.send_frame(&[&head[..], &[0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0]].concat());
            client.read_frame_or_close().map(|answer| format!("{answer:02x?}"))
        }
        Metadata => {
            client.send(9, &MetadataRequest::default().with_topics(Some(Vec::new())));
            client.read_frame_or_close().map(|_| "answered".to_owned())
        }
    }
}

/// What a mechanism's message is, if it is one that is expected.
fn known(message: &[u8]) -> String {
    match message {
        b"" => "empty".to_owned(),
        br#"{"status":"invalid_token"}"# => "document".to_owned(),
        other => String::from_utf8_lossy(other).into_owned(),
    }
}

#[test]
fn s_02_s_05_s_08_s_13_a_login_is_answered_as_kafka_answers_it() {
    let Some(site) = site() else { return };
    let front = site.front(site.setup("messages-"));
    let token = site.issuer.token(CLIENT, SECRET);
    let mut seen = Vec::new();
    let mut told = Vec::new();
    for (at, (said, expected)) in DIALOGUES.iter().enumerate() {
        let expected = [expected[0], expected[expected.len() - 1]];
        let ports = [site.kafka.port("OAUTH"), front.setup.tenants[0].port];
        let heard = [0, 1].map(|way| heard(ports[way], &token, said, expected[way].ends_with("closed")));
        seen.push((at, heard));
        told.push((at, expected.map(str::to_owned)));
    }
    assert_eq!(seen, told, "left: Kafka and the gateway as they are; right: as they are told");
}
