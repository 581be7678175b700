//! Asking OAuth servers over HTTP, each in the way that the file says.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, RequestBuilder};
use tokio::time::timeout;
use url::Url;

use super::http;
use crate::auth::HttpSettings;

/// The ways of one gateway; what is asked in the same way shares its connections.
#[derive(Default)]
pub struct Ways(HashMap<HttpSettings, Way>);

impl Ways {
    /// The way that these settings describe, new if nothing is asked so yet.
    pub fn by(&mut self, settings: &HttpSettings) -> Result<Way, reqwest::Error> {
        if let Some(way) = self.0.get(settings) {
            return Ok(way.clone());
        }
        let bundle = settings.ca_bundle.as_deref();
        let client = match &settings.proxy {
            Some(proxy) => http::client_through(proxy, bundle)?,
            None => http::client(bundle)?,
        };
        let way = Way { client, timeout: settings.timeout };
        self.0.insert(settings.clone(), way.clone());
        Ok(way)
    }
}

/// One way to ask.
#[derive(Clone)]
pub struct Way {
    pub client: Client,
    /// For one answer as a whole.
    pub timeout: Duration,
}

impl Way {
    /// What stands at an address.
    ///
    /// Errors: what went wrong, for the log; never with anything of an answer's body.
    pub async fn get(&self, url: Url, bytes_max: usize) -> Result<Vec<u8>, String> {
        self.ask(self.client.get(url), bytes_max).await
    }

    /// The time-out is for connecting, the answer and its last byte together.
    async fn ask(&self, request: RequestBuilder, bytes_max: usize) -> Result<Vec<u8>, String> {
        let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = async {
            let response = request.send().await.map_err(http::told)?;
            let status = response.status();
            if status.is_redirection() {
                return Err(format!(
                    "the issuer answers {status}; redirects are not followed, so write the last address"
                ));
            }
            if !status.is_success() {
                return Err(format!("the issuer answers {status}"));
            }
            http::body(response, bytes_max).await
        };
        let patience = humantime::format_duration(self.timeout);
        timeout(self.timeout, answer).await.map_err(|_| format!("no whole answer within {patience}"))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_in_the_same_way_shares_its_connections() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut ways = Ways::default();
        let default = HttpSettings::default();
        let longer = HttpSettings { timeout: default.timeout * 2, ..default.clone() };
        for (settings, expected) in [(&default, 1), (&longer, 2), (&default, 2), (&longer, 2)] {
            let way = ways.by(settings).unwrap();
            assert_eq!((way.timeout, ways.0.len()), (settings.timeout, expected));
        }
    }
}
