//! Metrics as Prometheus text. The recorder is the process's; the first to install it owns it.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of all histograms, in seconds.
const BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 30.0,
];

/// Renders what was counted.
#[derive(Clone)]
pub struct Metrics(Option<PrometheusHandle>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Metrics(installed: {})", self.0.is_some())
    }
}

impl Metrics {
    /// Becomes the process's recorder. Where an app has one of its own already, Hookward's metrics
    /// go there, and [`Metrics::render`] has nothing to show.
    pub fn install() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS);
        Self(builder.ok().and_then(|b| b.install_recorder().ok()))
    }

    /// None: an app that counts elsewhere.
    pub fn none() -> Self {
        Self(None)
    }

    /// The text exposition format.
    pub fn render(&self) -> Option<String> {
        self.0.as_ref().map(|handle| {
            handle.run_upkeep();
            handle.render()
        })
    }
}
