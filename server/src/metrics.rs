//! Metrics as Prometheus text. A process has one recorder of the crate `metrics`; whoever installs
//! it first owns it.

use std::fmt;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of every histogram, in seconds: from a commit in memory to the
/// default timeout of a step.
const BUCKET_BOUNDS_SECS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 30.0,
];

/// How often recorded samples are moved into their buckets. Each sample occupies memory until then,
/// also where nobody ever scrapes `/metrics`.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// A handle to the process's metrics recorder, from which the admin port renders `/metrics`.
#[derive(Clone)]
pub struct Metrics(Option<PrometheusHandle>);

impl Metrics {
    /// Installs Hookward's recorder for this process.
    ///
    /// If the process has a recorder already, Hookward's metrics go to that one, and
    /// [`render`](Metrics::render) returns `None`. Running [`Hooks`](crate::Hooks) bound the memory
    /// of recorded samples; without them, call `render` from time to time.
    ///
    /// ```
    /// let metrics = hookward::Metrics::install();
    /// assert!(metrics.render().is_some());
    /// assert!(hookward::Metrics::install().render().is_none(), "there is one recorder per process");
    /// ```
    pub fn install() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKET_BOUNDS_SECS);
        Self(builder.ok().and_then(|b| b.install_recorder().ok()))
    }

    /// Renders nothing: for an app that has a recorder of its own, or needs no metrics.
    pub fn none() -> Self {
        Self(None)
    }

    /// Moves samples into their buckets every few seconds; returns immediately without a recorder.
    pub(crate) async fn run_upkeep(self) {
        let Some(handle) = self.0 else { return };
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            handle.run_upkeep();
        }
    }

    /// The metrics in Prometheus' text exposition format; `None` if Hookward's recorder is not
    /// installed.
    pub fn render(&self) -> Option<String> {
        self.0.as_ref().map(|handle| {
            handle.run_upkeep();
            handle.render()
        })
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics(installed: {})", self.0.is_some())
    }
}
