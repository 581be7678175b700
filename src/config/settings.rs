//! What concerns the gateway as a whole: limits, logs, the admin port, the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file;
use super::measure::{Size, Span};
use super::problem::Report;
use super::shape::Placed;
use crate::cluster::Limits;

/// How log lines look, and which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    pub format: LogFormat,
    /// A level, or directives per module.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    Stdout,
    File(PathBuf),
    Disabled,
}

pub(super) fn limits(section: Option<&Placed<file::LimitsSection>>, report: &mut Report) -> Limits {
    let mut limits = Limits::default();
    let Some(Placed { at, value: section }) = section else { return limits };
    let sizes = [
        (&section.frame_bytes_before_login, &mut limits.frame_bytes_before_login, FRAME_BYTES_MIN),
        (&section.frame_bytes, &mut limits.frame_bytes, FRAME_BYTES_MIN),
        (&section.frame_bytes_from_broker, &mut limits.frame_bytes_from_broker, FRAME_BYTES_MIN),
        (&section.token_bytes, &mut limits.token_bytes, 256),
        (&section.key_set_bytes, &mut limits.key_set_bytes, 256),
    ];
    for (written, limit, least) in sizes {
        let Some(Placed { at, value: Size(bytes) }) = written else { continue };
        if *bytes < least || *bytes > FRAME_BYTES_MAX {
            report.error(*at, format!("expected a size from {least} bytes to {FRAME_BYTES_MAX} bytes"));
            continue;
        }
        *limit = usize::try_from(*bytes).unwrap_or(usize::MAX);
    }
    let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    if let Some(number) = &section.connections {
        limits.connections = count(number.value.0);
    }
    if let Some(number) = &section.relayed_logins {
        limits.relayed_logins = count(number.value.0);
    }
    if let Some(number) = &section.requests_in_flight {
        limits.requests_in_flight = count(number.value.0);
    }
    if let Some(number) = &section.names_per_request {
        limits.names_per_request = count(number.value.0);
    }
    if let Some(number) = &section.elements_per_request {
        limits.elements_per_request = count(number.value.0);
    }
    if let Some(number) = &section.elements_per_response {
        limits.elements_per_response = count(number.value.0);
    }
    if let Some(time) = positive(section.login_timeout.as_ref(), report) {
        limits.login_timeout = time;
    }
    if limits.frame_bytes < limits.frame_bytes_before_login {
        report.error(*at, "frame_bytes is less than frame_bytes_before_login; raise it");
    }
    if limits.frame_bytes_before_login < limits.token_bytes.saturating_add(LOGIN_FRAME_OVERHEAD) {
        report.error(
            *at,
            "a token of token_bytes does not fit a frame of frame_bytes_before_login; raise the latter",
        );
    }
    limits
}

pub(super) fn admin(section: Option<&Placed<file::Admin>>, report: &mut Report) -> Option<SocketAddr> {
    let default = SocketAddr::from(([127, 0, 0, 1], 8090));
    let Some(listen) = section.and_then(|section| section.value.listen.as_ref()) else {
        return Some(default);
    };
    if listen.value.text == "disabled" {
        return None;
    }
    match listen.value.text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some(address),
        _ => {
            let shown = listen.value.shown();
            report.error(
                listen.at,
                format!("{shown} is no address and port like 127.0.0.1:8090, nor \"disabled\""),
            );
            None
        }
    }
}

pub(super) fn logging(section: Option<&Placed<file::Logging>>, report: &mut Report) -> Logging {
    let section = section.map(|section| &section.value);
    let format = match section.and_then(|section| section.format.as_ref()) {
        Some(Placed { value: file::LogFormat::Json, .. }) => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let mut level = "info".to_owned();
    if let Some(written) = section.and_then(|section| section.level.as_ref()) {
        level = written.value.text.to_lowercase();
        if !level.split(',').all(is_directive) {
            let shown = written.value.shown();
            report.error(
                written.at,
                format!("{shown} is no level; expected error, warn, info, debug, trace or off, or module=level, separated by commas"),
            );
        }
    }
    Logging { format, level }
}

fn is_directive(text: &str) -> bool {
    let level = match text.split_once('=') {
        Some((module, level)) => {
            let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
            if module.trim().is_empty() || !module.trim().chars().all(named) {
                return false;
            }
            level
        }
        None => text,
    };
    matches!(level.trim(), "off" | "error" | "warn" | "info" | "debug" | "trace")
}

pub(super) fn audit(
    section: Option<&Placed<file::Audit>>,
    directory: &Path,
    report: &mut Report,
) -> AuditTarget {
    let Some(target) = section.and_then(|section| section.value.file.as_ref()) else {
        return AuditTarget::Stdout;
    };
    match target.value.text.as_str() {
        "stdout" => AuditTarget::Stdout,
        "disabled" => AuditTarget::Disabled,
        "" => {
            report.error(target.at, "expected stdout, a path, or disabled");
            AuditTarget::Disabled
        }
        path => AuditTarget::File(directory.join(path)),
    }
}

pub(super) fn drain_timeout(section: Option<&Placed<file::Shutdown>>) -> Duration {
    let written = section.and_then(|section| section.value.drain_timeout.as_ref());
    written.map_or(Duration::from_secs(30), |time| time.value.0)
}

/// A time that must not be zero.
pub(super) fn positive(time: Option<&Placed<Span>>, report: &mut Report) -> Option<Duration> {
    let Placed { at, value: Span(time) } = time?;
    if time.is_zero() {
        report.error(*at, "this time must be longer than nothing");
        return None;
    }
    Some(*time)
}

/// ApiVersions with a long client id fits.
const FRAME_BYTES_MIN: u64 = 1024;
/// A frame's length is a signed 32-bit number.
const FRAME_BYTES_MAX: u64 = i32::MAX as u64;
/// Header, GS2 header and extensions around a token.
const LOGIN_FRAME_OVERHEAD: usize = 1024;
