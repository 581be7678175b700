//! What the gateway asks of OAuth servers by HTTP: one client, and bodies that are read with a limit.

use std::time::Duration;

/// A client for OAuth servers: no redirects, no compression, and no proxy that the environment may name.
///
/// Shape: trusts the certificates in `ca_bundle`, as PEM, and no others; without it, the system's own.
pub fn client(ca_bundle: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    builder(ca_bundle)?.build()
}

/// As [`client`], through a proxy that the file names.
pub fn client_through(proxy: &url::Url, ca_bundle: Option<&str>) -> Result<reqwest::Client, reqwest::Error> {
    builder(ca_bundle)?.proxy(reqwest::Proxy::all(proxy.clone())?).build()
}

fn builder(ca_bundle: Option<&str>) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")));
    if let Some(bundle) = ca_bundle {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(bundle.as_bytes())?);
    }
    Ok(builder)
}

/// The body of an answer, if it is not too long; no more of it is ever held.
pub async fn body(mut response: reqwest::Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let encoding = response.headers().get(reqwest::header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err("the answer is compressed, which was not asked for".to_owned());
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        if text.len() + chunk.len() > bytes_max {
            return Err(format!("the answer is longer than {bytes_max} bytes"));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

/// The whole chain of causes, without the address: the first alone says only that it did not work.
pub fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(why) = cause {
        text.push_str(": ");
        text.push_str(&why.to_string());
        cause = why.source();
    }
    text
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Servers close idle connections sooner or later, Node's after 5 s; one that is closed by us does not fail a
/// request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// What logins need between two waves of them.
const IDLE_CONNECTIONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that says the same to everybody.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    async fn ask(answer: &'static str) -> reqwest::Response {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let address = server(answer).await;
        client(None).unwrap().get(format!("http://{address}/")).send().await.unwrap()
    }

    #[tokio::test]
    async fn i_04_a_body_is_read_to_its_limit_and_not_beyond_and_never_unpacked() {
        let check = async |answer, expected: Result<&str, &str>| {
            let read = body(ask(answer).await, 5).await;
            assert_eq!(read.as_deref().map_err(String::as_str), expected.map(str::as_bytes), "{answer}");
        };
        check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Ok("hello")).await;
        check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok("")).await;
        let too_long = Err("the answer is longer than 5 bytes");
        check("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello!", too_long).await;
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n3\r\nlo!\r\n";
        check(chunked, too_long).await;
        let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx";
        check(packed, Err("the answer is compressed, which was not asked for")).await;
    }

    #[tokio::test]
    async fn i_02_a_redirect_is_not_followed() {
        let elsewhere =
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(ask(elsewhere).await.status(), 302);
    }

    #[tokio::test]
    async fn of_a_failure_the_cause_is_told_and_not_the_address() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let failed = client(None).unwrap().get("http://127.0.0.1:1/secret").send().await.unwrap_err();
        let text = told(failed);
        assert!(text.contains("onnection refused") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn only_certificates_are_trusted() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let certificate = rcgen::generate_simple_self_signed(vec!["issuer".to_owned()]).unwrap().cert.pem();
        assert!(client(Some(&certificate)).is_ok());
        assert!(client(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).is_err());
    }
}
