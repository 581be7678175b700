//! A storm of logins: many clients at once, each with a TLS handshake and a token of its own.
//!
//! `scripts/storm` starts a broker, an issuer and the gateway, and runs this against them. One thread makes
//! all clients, so that the gateway has the rest of the machine.

#![allow(clippy::disallowed_methods, reason = "a storm is measured by the real clock")]

mod client; // one client: TLS, login, one question to the broker
mod process; // what a process has spent

use std::cell::Cell;
use std::env::Args;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;

use client::{Door, Issuer, Token};
use process::Spent;

/// What is stormed, and with how many.
struct Storm {
    door: Door,
    issuer: Option<Issuer>,
    pid: u32,
    clients: usize,
}

fn main() {
    let Some(storm) = Storm::from_args(std::env::args()) else {
        println!("{USAGE}");
        return;
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    LocalSet::new().block_on(&runtime, storm.run());
}

impl Storm {
    fn from_args(mut args: Args) -> Option<Self> {
        let (mut port, mut pid, mut ca, mut issuer, mut clients) = (None, None, None, None, 5000);
        while let Some(word) = args.next() {
            match word.as_str() {
                "--port" => port = args.next()?.parse().ok(),
                "--process" => pid = args.next()?.parse().ok(),
                "--ca" => ca = args.next(),
                "--issuer" => issuer = args.next(),
                "--clients" => clients = args.next()?.parse().ok()?,
                _ => {}
            }
        }
        let door = Door::new(port?, &std::fs::read(ca?).expect("the certificate can be read"));
        Some(Self { door, issuer: issuer.map(Issuer::new), pid: pid?, clients })
    }

    async fn run(&self) {
        let Some(issuer) = &self.issuer else {
            return self.round("without a login", vec![None; self.clients]).await;
        };
        let tokens = issuer.tokens(self.clients).await;
        let all: Vec<_> = tokens.into_iter().map(Some).collect();
        self.round("first login", all.clone()).await;
        self.round("repeated login", all).await;
        self.rotation(issuer).await;
    }

    /// All clients at once; each stays until the last one is in.
    async fn round(&self, name: &str, tokens: Vec<Option<Token>>) {
        let (before, started) = (Spent::of(self.pid), Instant::now());
        let mut clients = JoinSet::new();
        for token in tokens {
            let door = self.door.clone();
            clients.spawn_local(async move { door.enter(token.as_ref()).await });
        }
        let (mut inside, mut failed) = (Vec::new(), Vec::new());
        while let Some(client) = clients.join_next().await {
            match client.expect("no client panics") {
                Ok(client) => inside.push(client),
                Err(why) => failed.push(why.to_string()),
            }
        }
        let (seconds, after) = (started.elapsed().as_secs_f64(), Spent::of(self.pid));
        let cpu = after.cpu_seconds - before.cpu_seconds;
        let each = cpu * 1e6 / inside.len().max(1) as f64;
        println!(
            "{name:<22} {:>7} in {:>5} failed {seconds:>8.2} s {cpu:>8.2} CPU s {each:>8.0} µs each {:>8.1} MiB",
            inside.len(),
            failed.len(),
            after.resident_mib,
        );
        if let Some(why) = failed.first() {
            println!("the first that failed: {why}");
        }
        drop(inside);
        // Its connections are to be gone before the next storm.
        sleep(BETWEEN_ROUNDS).await;
    }

    /// The issuer signs with another key every few seconds, while clients come with fresh tokens.
    async fn rotation(&self, issuer: &Issuer) {
        let counts = Rc::new((Cell::new(0), Cell::new(0)));
        let until = Instant::now() + ROTATION;
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS_OF_ROTATION {
            let (door, issuer, counts) = (self.door.clone(), issuer.clone(), counts.clone());
            clients.spawn_local(async move {
                while Instant::now() < until {
                    let token = issuer.token().await;
                    let count = match door.enter(Some(&token)).await {
                        Ok(_) => &counts.0,
                        Err(why) => {
                            if counts.1.get() == 0 {
                                println!("the first that failed: {why}");
                            }
                            &counts.1
                        }
                    };
                    count.set(count.get() + 1);
                }
            });
        }
        let rotations = rotate(issuer, until).await;
        while clients.join_next().await.is_some() {}
        println!(
            "{rotations} new keys in {ROTATION:?}: {} logins, {} failed",
            counts.0.get(),
            counts.1.get()
        );
    }
}

/// How many new keys the issuer had until then.
async fn rotate(issuer: &Issuer, until: Instant) -> usize {
    let mut rotations = 0;
    while Instant::now() < until {
        sleep(BETWEEN_KEYS).await;
        issuer.rotate().await;
        rotations += 1;
    }
    rotations
}

const USAGE: &str = "scripts/storm runs this with --port, --process, --ca, --issuer and --clients";
const BETWEEN_ROUNDS: Duration = Duration::from_secs(2);
const CLIENTS_OF_ROTATION: usize = 32;
const ROTATION: Duration = Duration::from_secs(20);
const BETWEEN_KEYS: Duration = Duration::from_secs(2);
