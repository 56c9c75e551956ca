//! Metrics as Prometheus text. The recorder is the process's; the first to install it owns it.

use std::time::Duration;

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

/// How often samples go into their buckets: until then each of them takes memory.
const UPKEEP: Duration = Duration::from_secs(5);

impl Metrics {
    /// Becomes the process's recorder. Where an app has one of its own already, Hookward's metrics
    /// go there, and [`Metrics::render`] has nothing to show. Running [`Hooks`](crate::Hooks) keep
    /// what is recorded small; without them whoever records has to render from time to time.
    pub fn install() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS);
        Self(builder.ok().and_then(|b| b.install_recorder().ok()))
    }

    /// None: an app that counts elsewhere.
    pub fn none() -> Self {
        Self(None)
    }

    /// Puts what was recorded into its buckets every few seconds, whether or not anyone asks for them.
    pub(crate) async fn run_upkeep(self) {
        let Some(handle) = self.0 else { return };
        loop {
            tokio::time::sleep(UPKEEP).await;
            handle.run_upkeep();
        }
    }

    /// The text exposition format.
    pub fn render(&self) -> Option<String> {
        self.0.as_ref().map(|handle| {
            handle.run_upkeep();
            handle.render()
        })
    }
}
