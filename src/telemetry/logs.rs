//! Log set-up: one event, one line, on standard error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends the logs of the whole process to standard error; to be called once.
///
/// Shape: directives are a level, or levels per module: `info,sluicegate::session=debug`.
pub fn init_logs(format: LogFormat, level_directives: &str) -> Result<(), LogsError> {
    let subscriber = subscriber(format, level_directives, io::stderr)?;
    subscriber.try_init().map_err(|_| LogsError::AlreadySet)
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    #[error("log level {0:?} is not understood ({1}); write info, or info,sluicegate::session=debug")]
    Directives(String, String),
    #[error("logs are set up already")]
    AlreadySet,
}

fn subscriber<M>(
    format: LogFormat,
    level_directives: &str,
    make_writer: M,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogsError>
where
    M: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(level_directives)
        .map_err(|error| LogsError::Directives(level_directives.to_owned(), error.to_string()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false) // colours are control characters, and none get through
        .with_writer(OneLine(make_writer));
    Ok(match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// Keeps each event on its line: what a peer said can neither end it nor steer a terminal.
struct OneLine<M>(M);

struct OneLineWriter<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLineWriter<W> {
    /// Is handed one whole event, its newline included.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = escape_controls(text).into_owned();
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters as `\u001b`, and so the line and paragraph separators; JSON stays JSON.
pub(super) fn escape_controls(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if breaks(c) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `say` under these directives.
    fn logged(format: LogFormat, directives: &str, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = subscriber(format, directives, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const EVIL: &str = "a\n2026 ERROR forged\r\u{1b}[2J\u{9b}2J\u{7f}\u{2028}\té";

    #[test]
    fn what_a_peer_said_stays_on_its_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(format, "info", || tracing::info!(topic = EVIL, debug = ?EVIL, "said {EVIL}"));
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(text.ends_with('\n'));
            let controls = |c: char| c.is_control() || c == '\u{2028}';
            assert!(!text.trim_end_matches('\n').contains(controls), "{text:?}");
            assert!(text.contains('é') && text.contains("forged"), "{text:?}");
        }
    }

    #[test]
    fn json_lines_are_json_and_lose_nothing() {
        let text = logged(LogFormat::Json, "info", || tracing::info!(topic = EVIL, "hello"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["topic"], EVIL);
        assert_eq!(line["message"], "hello");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn levels_go_by_module() {
        let text = logged(LogFormat::Text, "warn,sluicegate::session=debug", || {
            tracing::info!("hidden");
            tracing::warn!("shown");
            tracing::debug!(target: "sluicegate::session", "close");
            tracing::debug!(target: "sluicegate::server", "far");
        });
        assert!(text.contains("shown") && text.contains("close"), "{text}");
        assert!(!text.contains("hidden") && !text.contains("far"), "{text}");
    }

    #[test]
    fn a_level_that_is_none_is_an_error() {
        for directives in ["info,sluicegate=loud", "a=b=c"] {
            let error = subscriber(LogFormat::Text, directives, io::sink).err().unwrap().to_string();
            assert!(error.contains(directives) && error.contains("write info"), "{error}");
        }
    }
}
