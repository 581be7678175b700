//! The audit log: one line for each login and each refusal, written aside.
//!
//! Whoever writes a line only appends it to a buffer in memory; a thread of its own carries the
//! buffer to the file. A file that stalls costs lines, which are counted, and never holds up a request.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::logs::escape_controls;

/// Where audit lines go; a handle, cheap to clone.
///
/// Shape: the last handle that is dropped waits for the lines before it, `FLUSH_ON_DROP` at most.
#[derive(Clone, Debug)]
pub struct Audit(Option<Arc<Desk>>);

impl Audit {
    pub fn stdout() -> Result<Self, AuditError> {
        Self::to(io::stdout())
    }

    /// Appends to a file, which is made if it is not there, readable by its owner and group.
    pub fn file(path: &Path) -> Result<Self, AuditError> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let cannot_open = |source| AuditError::Open { path: path.to_owned(), source };
        Self::to(options.open(path).map_err(cannot_open)?)
    }

    pub fn disabled() -> Self {
        Self(None)
    }

    fn to(out: impl Write + Send + 'static) -> Result<Self, AuditError> {
        let queue = Arc::new(Queue::default());
        let writers = queue.clone();
        let thread = thread::Builder::new().name("audit".to_owned());
        thread.spawn(move || writers.carry(out)).map_err(AuditError::Thread)?;
        Ok(Self(Some(Arc::new(Desk { queue }))))
    }

    /// Takes a line; never waits for the file.
    ///
    /// Limits: a line that does not fit into `PENDING_BYTES_MAX` is lost, and counted.
    pub fn write(&self, line: &AuditLine<'_>) {
        let Some(desk) = &self.0 else { return };
        // Strings and a map of strings; there is nothing in a line that could fail.
        let Ok(json) = serde_json::to_string(line) else { return };
        desk.queue.push(&escape_controls(&json));
    }

    /// Lines that could not be written, since the start.
    pub fn lost(&self) -> u64 {
        self.0.as_ref().map_or(0, |desk| desk.queue.state().lost)
    }

    /// Waits until all lines so far are written; `false` when patience ran out first.
    pub fn flush(&self, patience: Duration) -> bool {
        self.0.as_ref().is_none_or(|desk| desk.queue.flush(patience))
    }
}

/// What one audit line says; what is `None` is left out.
///
/// Limits: each string is cut at 256 characters.
#[derive(Clone, Copy, Debug)]
pub struct AuditLine<'a> {
    pub time: SystemTime,
    pub event: AuditEvent,
    pub outcome: &'static str,
    pub virtual_cluster: Option<&'a str>,
    pub listener: Option<&'a str>,
    pub client_address: Option<SocketAddr>,
    /// The name that a client gives itself, not the OAuth claim.
    pub client_id: Option<&'a str>,
    pub principal: Option<&'a str>,
    pub mechanism: Option<&'a str>,
    pub reason: Option<&'a str>,
    /// Stands in the client's message as well.
    pub id: Option<&'a str>,
    pub api: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub resource: Option<&'a str>,
    /// Of the resource, as the client knows it.
    pub name: Option<&'a str>,
    pub policy_rule: Option<&'a str>,
}

/// What an audit line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    Login,
    Refusal,
}

impl AuditLine<'_> {
    /// A line that says no more than this; the rest is filled in by `..`.
    pub fn new(time: SystemTime, event: AuditEvent, outcome: &'static str) -> Self {
        Self {
            time,
            event,
            outcome,
            virtual_cluster: None,
            listener: None,
            client_address: None,
            client_id: None,
            principal: None,
            mechanism: None,
            reason: None,
            id: None,
            api: None,
            operation: None,
            resource: None,
            name: None,
            policy_rule: None,
        }
    }
}

impl Serialize for AuditLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = jiff::Timestamp::try_from(self.time).unwrap_or_default();
        let time = format!("{time:.3}");
        let event = match self.event {
            AuditEvent::Login => "login",
            AuditEvent::Refusal => "refusal",
        };
        let address = self.client_address.map(|address| address.to_string());
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in [
            ("time", Some(time.as_str())),
            ("event", Some(event)),
            ("outcome", Some(self.outcome)),
            ("virtual_cluster", self.virtual_cluster),
            ("listener", self.listener),
            ("client_address", address.as_deref()),
            ("client_id", self.client_id),
            ("principal", self.principal),
            ("mechanism", self.mechanism),
            ("reason", self.reason),
            ("id", self.id),
            ("api", self.api),
            ("operation", self.operation),
            ("resource", self.resource),
            ("name", self.name),
            ("policy_rule", self.policy_rule),
        ] {
            match value {
                Some(value) if value.chars().nth(TEXT_CHARACTERS_MAX).is_some() => {
                    map.serialize_entry(key, &shortened(value))?;
                }
                Some(value) => map.serialize_entry(key, value)?,
                None => {}
            }
        }
        map.end()
    }
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("can not open the audit file {}: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("can not start the thread that writes the audit log: {0}")]
    Thread(io::Error),
}

/// The side of those who write lines.
#[derive(Debug)]
struct Desk {
    queue: Arc<Queue>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.changed.notify_all();
        self.queue.flush(FLUSH_ON_DROP);
    }
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines, each with its newline.
    pending: String,
    pending_lines: u64,
    /// Numbers of the lines taken in, and of those that were written or given up.
    taken: u64,
    done: u64,
    lost: u64,
    closed: bool,
}

impl Queue {
    /// A panic in here leaves at worst a line uncounted, so a poisoned state serves on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &str) {
        let mut state = self.state();
        if state.pending.len() + line.len() >= PENDING_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.pending.push_str(line);
        state.pending.push('\n');
        state.pending_lines += 1;
        state.taken += 1;
        // Whoever finds lines pending has been woken for the first of them.
        let first = state.pending_lines == 1;
        drop(state);
        if first {
            self.changed.notify_all();
        }
    }

    fn flush(&self, patience: Duration) -> bool {
        let state = self.state();
        let wanted = state.taken;
        let waited = self.changed.wait_timeout_while(state, patience, |state| state.done < wanted);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The thread's life: all that is pending goes out in one write, until the desk closes.
    fn carry(&self, mut out: impl Write) {
        let mut batch = String::new();
        let mut failing = false;
        loop {
            let idle = |state: &mut State| state.pending.is_empty() && !state.closed;
            let waited = self.changed.wait_while(self.state(), idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.pending.is_empty() {
                return;
            }
            std::mem::swap(&mut batch, &mut state.pending);
            let lines = std::mem::take(&mut state.pending_lines);
            drop(state);

            // After a failure the last line may be a torso, which must not swallow the next.
            let start = if failing { "\n" } else { "" };
            let written = out
                .write_all(start.as_bytes())
                .and_then(|()| out.write_all(batch.as_bytes()))
                .and_then(|()| out.flush());
            if let (Err(error), false) = (&written, failing) {
                tracing::error!(%error, "the audit log can not be written; its lines are lost");
            }
            failing = written.is_err();
            batch.clear();

            let mut state = self.state();
            state.done += lines;
            state.lost += if failing { lines } else { 0 };
            drop(state);
            self.changed.notify_all();
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX - 1).chain(['…']).collect()
}

/// A name is at most 249; longer is what a peer made up.
const TEXT_CHARACTERS_MAX: usize = 256;
/// Some ten thousand lines: a burst, or a second of a stalled disk. Twice as much while one batch is written.
const PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A disk that stalls must not hold up the end of the process.
const FLUSH_ON_DROP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn line<'a>() -> AuditLine<'a> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_780_466_123);
        AuditLine::new(time, AuditEvent::Refusal, "denied")
    }

    /// The lines of a file after these were written to it.
    fn written(lines: &[AuditLine<'_>]) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::file(&path).unwrap();
        for line in lines {
            audit.write(line);
        }
        assert!(audit.flush(PATIENCE));
        assert_eq!(audit.lost(), 0);
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_says_what_is_known_and_nothing_else() {
        let full = AuditLine {
            event: AuditEvent::Login,
            outcome: "accepted",
            virtual_cluster: Some("team"),
            listener: Some("front"),
            client_address: Some("[::1]:4711".parse().unwrap()),
            client_id: Some("consumer-1"),
            principal: Some("reader-app"),
            mechanism: Some("OAUTHBEARER"),
            reason: Some("r"),
            id: Some("i"),
            api: Some("Fetch"),
            operation: Some("read"),
            resource: Some("topic"),
            name: Some("orders"),
            policy_rule: Some("readers/1"),
            ..line()
        };
        let lines = written(&[line(), full]);
        assert_eq!(
            lines[0],
            json!({"time": "2025-11-22T03:01:06.123Z", "event": "refusal", "outcome": "denied"})
        );
        assert_eq!(
            lines[1],
            json!({"time": "2025-11-22T03:01:06.123Z", "event": "login", "outcome": "accepted",
                   "virtual_cluster": "team", "listener": "front", "client_address": "[::1]:4711",
                   "client_id": "consumer-1", "principal": "reader-app", "mechanism": "OAUTHBEARER",
                   "reason": "r", "id": "i", "api": "Fetch", "operation": "read", "resource": "topic",
                   "name": "orders", "policy_rule": "readers/1"})
        );
    }

    #[test]
    fn what_a_peer_said_is_cut_and_stays_on_its_line() {
        let (fits, long) = ("é".repeat(256), "é".repeat(257));
        let evil = "a\n{\"event\":\"login\"}\u{1b}\u{9b}\u{2028}\"";
        let named = |name| AuditLine { name: Some(name), ..line() };
        let lines = written(&[named(&fits), named(&long), named(evil)]);
        assert_eq!(lines[0]["name"], fits);
        assert_eq!(lines[1]["name"], "é".repeat(255) + "…");
        assert_eq!(lines[2]["name"], evil);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_file_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for _ in 0..2 {
            // Dropped at once: the line has to be there nevertheless.
            Audit::file(&path).unwrap().write(&line());
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_file_that_can_not_be_opened_is_named() {
        let error = Audit::file(Path::new("/nowhere/audit.log")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/audit.log"), "{error}");
    }

    #[test]
    fn disabled_means_nothing_to_wait_for() {
        let audit = Audit::disabled();
        audit.write(&line());
        assert!(audit.flush(Duration::ZERO));
        assert_eq!(audit.lost(), 0);
    }

    /// A file that stalls: each write waits until the test lets it through, or fails it.
    struct Stalling(mpsc::Receiver<io::Result<()>>, mpsc::Sender<Vec<u8>>);

    impl Write for Stalling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or(Ok(()))?;
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_file_that_stalls_costs_lines_and_holds_nobody_up() {
        let (let_through, waits) = mpsc::channel();
        let (wrote, sees) = mpsc::channel();
        let audit = Audit::to(Stalling(waits, wrote)).unwrap();
        let size = serde_json::to_string(&line()).unwrap().len() + 1;
        let too_many = 3 * PENDING_BYTES_MAX / size;
        for _ in 0..too_many {
            audit.write(&line());
        }
        let lost = audit.lost();
        assert!(lost as usize > too_many / 4, "{lost} of {too_many}");
        assert!(!audit.flush(Duration::from_millis(1)));
        drop(let_through);
        assert!(audit.flush(PATIENCE));
        let bytes: usize = sees.try_iter().map(|bytes| bytes.len()).sum();
        assert_eq!(bytes, (too_many - lost as usize) * size);
    }

    #[test]
    fn a_write_that_fails_is_counted_and_the_next_starts_on_a_line_of_its_own() {
        let (decide, waits) = mpsc::channel();
        let (wrote, sees) = mpsc::channel();
        let audit = Audit::to(Stalling(waits, wrote)).unwrap();
        decide.send(Err(io::Error::other("disk full"))).unwrap();
        audit.write(&line());
        assert!(audit.flush(PATIENCE));
        assert_eq!(audit.lost(), 1);
        drop(decide);
        audit.write(&line());
        assert!(audit.flush(PATIENCE));
        assert_eq!(audit.lost(), 1);
        let bytes: Vec<u8> = sees.try_iter().flatten().collect();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("\n{") && text.ends_with("}\n"), "{text:?}");
    }

    #[test]
    fn the_metrics_show_what_was_lost() {
        let metrics = crate::telemetry::Metrics::new();
        let (decide, waits) = mpsc::channel();
        let (wrote, _sees) = mpsc::channel();
        let audit = Audit::to(Stalling(waits, wrote)).unwrap();
        metrics.watch_audit(&audit);
        decide.send(Err(io::Error::other("disk full"))).unwrap();
        audit.write(&line());
        assert!(audit.flush(PATIENCE));
        #[expect(clippy::disallowed_methods, reason = "a test has to begin at some time")]
        let now = std::time::Instant::now();
        assert!(metrics.render(now).contains("sluicegate_audit_lines_lost_total 1\n"));
    }
}
