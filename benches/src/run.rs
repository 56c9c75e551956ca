//! One measured run: a new server, a warm-up, the load, and the CPU time that it took.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::BenchResult;
use crate::child::{Child, cpu_of, cpu_of_machine};
use crate::events::Events;
use crate::load::{Client, Load};
use crate::statistics::quantile;
use crate::variant::{Variant, wait_until_done};

/// The load before the measurement, which fills caches and the allocator. Its events are not
/// counted.
pub(crate) const WARM_UP_DURATION: Duration = Duration::from_millis(500);

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) variant: Variant,
    pub(crate) connections: usize,
    pub(crate) acknowledged: u64,
    pub(crate) events_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) server_us: f64,
    pub(crate) client_us: f64,
    /// The number of cores that processes other than server and client used.
    pub(crate) other_cores: f64,
    /// Jobs per second from the first request to the last settled job.
    pub(crate) done_per_second: Option<f64>,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    pub(crate) first_error: Option<String>,
    /// Whether all signed events were sent before the time was over.
    pub(crate) exhausted: bool,
}

/// Measures `variant` once, in an empty folder.
pub(crate) fn measure(
    variant: Variant,
    connections: usize,
    span: Duration,
    events: &Arc<Events>,
    folder: &Path,
) -> BenchResult<Run> {
    let child = variant.start(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = runtime.block_on(measure_load(variant, connections, span, events, &child));
    // Closes the client's connections, so that the server can stop.
    drop(runtime);
    let run = run.map_err(|error| format!("{error}\n{}", child.log_tail()))?;
    child.stop()?;
    Ok(run)
}

async fn measure_load(
    variant: Variant,
    connections: usize,
    span: Duration,
    events: &Arc<Events>,
    child: &Child,
) -> BenchResult<Run> {
    let mut client = Client::connect(child.receiving, connections, events.clone()).await?;
    let warm = client.drive(WARM_UP_DURATION).await?;
    if variant.runs_jobs() {
        // The jobs of the warm-up must not run in the measured time.
        wait_until_done(child, warm.acknowledged()).await?;
    }
    let (before, started) = (CpuTimes::now(child)?, Instant::now());
    let load = client.drive(span).await?;
    if variant.runs_jobs() {
        wait_until_done(child, warm.acknowledged() + load.acknowledged()).await?;
    }
    let elapsed = started.elapsed();
    let used = CpuTimes::now(child)?.since(&before);
    Ok(Run::of(variant, connections, warm, load, elapsed, &used))
}

impl Run {
    fn of(
        variant: Variant,
        connections: usize,
        warm: Load,
        load: Load,
        elapsed: Duration,
        used: &CpuTimes,
    ) -> Self {
        let count = load.acknowledged() as f64;
        let micros = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count.max(1.0);
        let millis = |q| quantile(&load.latencies, q).as_secs_f64() * 1e3;
        let others = used.machine.saturating_sub(used.server + used.client);
        Self {
            variant,
            connections,
            acknowledged: load.acknowledged(),
            events_per_second: count / load.elapsed.as_secs_f64(),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            server_us: micros(used.server),
            client_us: micros(used.client),
            other_cores: others.as_secs_f64() / elapsed.as_secs_f64(),
            done_per_second: variant.runs_jobs().then(|| count / elapsed.as_secs_f64()),
            rejected: warm.rejected + load.rejected,
            failed: warm.failed + load.failed,
            exhausted: warm.exhausted || load.exhausted,
            first_error: warm.first_error.or(load.first_error),
        }
    }
}

/// CPU times, up to now or within a span.
struct CpuTimes {
    server: Duration,
    client: Duration,
    machine: Duration,
}

impl CpuTimes {
    fn now(child: &Child) -> BenchResult<Self> {
        Ok(Self { server: child.cpu()?, client: cpu_of("self")?, machine: cpu_of_machine()? })
    }

    fn since(self, before: &Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            client: self.client.saturating_sub(before.client),
            machine: self.machine.saturating_sub(before.machine),
        }
    }
}
