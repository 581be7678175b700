//! The admin port: is it alive, is it ready, what has it counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::warn;

use super::issuers::Keys;
use super::tokens::Tokens;
use super::upstream::Upstream;
use crate::telemetry::{METRICS_CONTENT_TYPE, Metrics};

/// Whether every backend answers, and every key set and token of our own is there.
#[derive(Clone)]
pub struct Readiness(Arc<Needs>);

struct Needs {
    upstreams: Vec<Arc<Upstream>>,
    keys: Vec<Keys>,
    is_stopping: AtomicBool,
}

impl Readiness {
    pub fn new(upstreams: Vec<Arc<Upstream>>, keys: Vec<Keys>) -> Self {
        Self(Arc::new(Needs { upstreams, keys, is_stopping: AtomicBool::new(false) }))
    }

    /// From now on the gateway is not ready: whoever balances load is to look elsewhere.
    pub fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }

    /// What still works and should be looked at, a line each.
    pub fn degraded(&self) -> Vec<String> {
        let stale = self.0.keys.iter().filter(|keys| keys.is_stale());
        stale
            .map(|keys| {
                format!("degraded: the key set of {} can not be fetched; the last one serves on", keys.name())
            })
            .collect()
    }

    /// What is missing, a line each.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut missing = Vec::new();
        if self.0.is_stopping.load(Ordering::Relaxed) {
            missing.push("the gateway is stopping".to_owned());
        }
        for upstream in self.0.upstreams.iter().filter(|upstream| !upstream.brokers().is_up) {
            missing.push(format!("no broker of backend cluster {} answers", upstream.cluster.name));
        }
        for upstream in &self.0.upstreams {
            if let Some(why) = upstream.tokens.as_ref().and_then(Tokens::missing) {
                missing.push(format!(
                    "the token for backend cluster {} is not there: {why}",
                    upstream.cluster.name
                ));
            }
        }
        for keys in self.0.keys.iter().filter(|keys| !keys.is_there()) {
            missing.push(format!("the key set of {} is not there", keys.name()));
        }
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }
}

impl Needs {
    /// What is allowed and dangerous, a line each.
    fn dangers(&self) -> String {
        let unverified = self
            .upstreams
            .iter()
            .filter(|upstream| upstream.cluster.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify));
        unverified
            .map(|upstream| {
                format!("any certificate of backend cluster {} is accepted\n", upstream.cluster.name)
            })
            .collect()
    }
}

/// Serves the admin port until the process ends.
pub async fn serve(socket: TcpListener, readiness: Readiness, metrics: Metrics) {
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(render).with_state(metrics));
    if let Err(why) = axum::serve(socket, router).await {
        warn!(%why, "the admin port is no longer served");
    }
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    match readiness.check() {
        Ok(()) => {
            let degraded: String = readiness.degraded().into_iter().map(|line| line + "\n").collect();
            ("ready\n".to_owned() + &readiness.0.dangers() + &degraded).into_response()
        }
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response(),
    }
}

async fn render(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], metrics.render(Instant::now())).into_response()
}
