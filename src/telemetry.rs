//! What can be seen from outside: metrics, logs, and the audit log.
//!
//! Takes plain labels and knows nothing of the house, so that everybody may use it. It has no clock:
//! who counts or reports brings the time. Labels that a peer could choose are `&'static str`, so
//! that no peer can make the number of series grow; the others are names from the operator's file.

mod audit; //   one line for each login and each refusal, written aside
mod logs; //    log set-up; one event, one line
mod metrics; // every metric's name, labels and help
mod timing; //  a histogram of durations without a lock

pub use audit::{Audit, AuditError, AuditEvent, AuditLine};
pub use logs::{LogFormat, LogsError, init_logs};
pub use metrics::{CertificateOwner, ClusterMetrics, METRICS_CONTENT_TYPE, Metrics};
