//! Keycloak by HTTPS, with an authority that nobody else knows.

use crate::site::{REALM, keycloak, sees_orders, stage_with};
use crate::support::broker::Broker;
use crate::support::issuer::KeyServer;
use crate::support::keycloak::{AUDIENCE, Keycloak};
use crate::support::process::Gateway;
use crate::support::setup::Setup;
use crate::support::stage::Stage;
use crate::support::tls::Authority;

/// An item of `authentication`: tokens that the realm gives by HTTPS, with what stands in `jwks`.
fn authentication(keycloak: &Keycloak, jwks: &str) -> String {
    format!(
        "{{type: oauth_bearer, mediation: terminate, jwks: {{{jwks}}}, \
         validate: {{issuer: \"{}\", audiences: [{{name: \"{AUDIENCE}\"}}]}}, claims_mapping: {{sub: client_id}}}}",
        keycloak.https_issuer(REALM)
    )
}

#[test]
fn keys_come_by_https_from_a_realm_that_the_bundle_vouches_for() {
    let Some(keycloak) = keycloak() else { return };
    let bundle = keycloak.authority.trusted();
    let endpoint = format!("endpoint: \"{}/protocol/openid-connect/certs\"", keycloak.https_issuer(REALM));
    let token = keycloak.token_by_https(REALM, "reader-app", "reader-secret");
    // Named, or found by the issuer.
    for jwks in [format!("{endpoint}, {bundle}"), bundle] {
        let item = authentication(keycloak, &jwks);
        let stage = stage_with(vec![item], "context.auth.principal.name == 'reader-app'");
        assert_eq!(sees_orders(&mut stage.log_in_at(stage.setup.tenants[0].port, &token)), 0);
        // By plain HTTP the realm goes by another name.
        assert!(!stage.is_let_in(&keycloak.token(REALM, "reader-app", "reader-secret")));
    }
}

#[test]
fn a_realm_that_nobody_vouches_for_opens_nothing_and_the_log_says_why() {
    let Some(keycloak) = keycloak() else { return };
    let token = keycloak.token_by_https(REALM, "reader-app", "reader-secret");
    for jwks in [String::new(), Authority::new("a stranger").trusted()] {
        let brokers = Broker::cluster(1);
        let mut setup = Setup::new(&[brokers[0].address()], "{}");
        setup.tenant().authentication = vec![authentication(keycloak, &jwks)];
        let mut gateway = Gateway::launch(&setup.text(), setup.admin_port);
        gateway.process.wait_until("told of the certificate", |process| {
            let log = process.log();
            log.contains("the issuer's keys can not be fetched") && log.contains("invalid peer certificate")
        });
        let (code, missing) = gateway.admin("/readyz").expect("the admin port answers");
        assert_eq!(code, 503);
        assert!(missing.contains(&format!("the key set of {} is not there", keycloak.https_issuer(REALM))));
        let stage = Stage { gateway, brokers, keys: KeyServer::start(&[]), setup };
        assert!(!stage.is_let_in(&token));
    }
}
