//! A histogram of durations without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Counts durations by size; two relaxed additions each, where the library's own takes a lock.
#[derive(Clone, Debug, Default)]
pub struct Timing(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Not cumulative; the last is for all that is longer than every bound.
    buckets: [AtomicU64; BOUNDS_NANOS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Timing {
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl TypedMetric for Timing {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Timing {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> std::fmt::Result {
        let bounds = BOUNDS_NANOS.iter().map(|nanos| *nanos as f64 / NANOS_PER_SECOND).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum_nanos.load(Ordering::Relaxed) as f64 / NANOS_PER_SECOND;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// From 1 µs to 1 s, three to a decade: our share is microseconds, and a second means trouble.
const BOUNDS_NANOS: [u64; 19] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
];
const NANOS_PER_SECOND: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let timing = Timing::default();
        for nanos in [0, 1_000, 1_001, 999_999_999, 1_000_000_000, 1_000_000_001] {
            timing.observe(Duration::from_nanos(nanos));
        }
        let mut registry = Registry::default();
        registry.register("t", "h", timing);
        let mut shown = String::new();
        text::encode(&mut shown, &registry).unwrap();
        for line in [
            "# TYPE t histogram",
            r#"t_bucket{le="0.000001"} 2"#,
            r#"t_bucket{le="0.000002"} 3"#,
            r#"t_bucket{le="0.5"} 3"#,
            r#"t_bucket{le="1.0"} 5"#,
            r#"t_bucket{le="+Inf"} 6"#,
            "t_count 6",
            "t_sum 3.000002001",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} in {shown}");
        }
    }

    #[test]
    fn a_duration_beyond_measure_does_no_harm() {
        let timing = Timing::default();
        timing.observe(Duration::MAX);
        assert_eq!(timing.0.buckets.last().unwrap().load(Ordering::Relaxed), 1);
    }
}
