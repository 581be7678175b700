//! Clients that log in all the time while an issuer changes its keys.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::issuer::key_id;
use super::stage::{Stage, wait_until};

const CLIENTS: usize = 3;

/// How often the keys change.
const ROTATIONS: u32 = 2;

/// Counts logins by new tokens while the keys change, each time as soon as tokens of the last change were seen and the
/// file, with a `refresh_interval_min` of a second, allows another fetch; none may fail.
///
/// Shape: `change` is told which change it is to make, from 1 on.
pub fn expect_no_failure(stage: &Stage, token: impl Fn() -> String + Sync, mut change: impl FnMut(u32)) {
    let (is_over, keys) = (AtomicBool::new(false), Mutex::new(BTreeSet::new()));
    let (tried, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let keys_seen = || keys.lock().expect("nobody panics with it").len();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let token = token();
                    let is_in = stage.is_let_in(&token);
                    tried.fetch_add(1, Ordering::Relaxed);
                    failed.fetch_add(usize::from(!is_in), Ordering::Relaxed);
                    keys.lock().expect("nobody panics with it").insert(key_id(&token));
                }
            });
        }
        // However this ends, the clients do too.
        let _over = Over(&is_over);
        wait_until("at work", || keys_seen() == 1);
        for rotation in 1..=ROTATIONS {
            wait_until("free to fetch again", || age_of_keys(stage) > 1.5);
            change(rotation);
            wait_until("seen with the new key", || keys_seen() > rotation as usize);
        }
        let enough = tried.load(Ordering::Relaxed) + 10 * CLIENTS;
        wait_until("at work after it", || tried.load(Ordering::Relaxed) >= enough);
    });
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {} logins", tried.load(Ordering::Relaxed));
}

/// How old the key set of the only issuer is, in seconds.
fn age_of_keys(stage: &Stage) -> f64 {
    let (_, text) = stage.gateway.admin("/metrics").expect("the admin port answers");
    let mut lines = text.lines().filter(|line| line.starts_with("sluicegate_key_set_age_seconds{"));
    let age = lines.next().and_then(|line| line.rsplit(' ').next()?.parse().ok());
    age.expect("the gateway has keys")
}

/// Says that something is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
