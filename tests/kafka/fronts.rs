//! TLS toward real clients.

use crate::site::site;
use crate::support::clients::Tool::{JavaFlow, Librdkafka};

#[test]
fn java_and_librdkafka_write_and_read_by_tls() {
    let Some(site) = site() else { return };
    let mut setup = site.setup("tls-front-");
    let (certificate, key) = (site.pem("broker.crt"), site.pem("broker.key"));
    setup.tenant().listener =
        vec![format!("tls_server: {{certificates: [{{certificate: {certificate}, key: {key}}}]}}")];
    let mut front = site.front(setup);
    front.ca = Some(site.kafka.certificate_file("ca.crt"));
    site.direct().create("tls-front-orders");
    front.check(
        JavaFlow,
        "produce orders one -> ok
         consume orders java-readers 1 -> ok one",
    );
    front.check(
        Librdkafka,
        "produce orders two -> ok
         consume orders other-readers 2 -> ok one two",
    );
}
