//! One measured run: a new server, a warm-up, the load, and what it cost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Outcome;
use crate::child::{Child, cpu_of, cpu_of_machine};
use crate::events::Events;
use crate::load::{Client, Load};
use crate::statistics::quantile;
use crate::variant::{Variant, worked_off};

/// Opens connections, fills caches and the allocator; its events are not counted.
pub(crate) const WARM_UP: Duration = Duration::from_millis(500);

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
    /// Cores that neither server nor client used, but someone did.
    pub(crate) neighbours: f64,
    /// Jobs per second from the first request to the last settled job.
    pub(crate) done_per_second: Option<f64>,
    pub(crate) refused: u64,
    pub(crate) broken: u64,
    pub(crate) trouble: Option<String>,
    /// All signed events were sent before the time was over.
    pub(crate) exhausted: bool,
}

/// Runs `variant` in `folder`, which is empty.
pub(crate) fn measure(
    variant: Variant,
    connections: usize,
    span: Duration,
    events: &Arc<Events>,
    folder: &Path,
) -> Outcome<Run> {
    let child = variant.start(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = runtime.block_on(loaded(variant, connections, span, events, &child));
    // The client's connections close with its runtime, so that the server may end.
    drop(runtime);
    let run = run.map_err(|error| format!("{error}\n{}", child.tail()))?;
    child.stop()?;
    Ok(run)
}

async fn loaded(
    variant: Variant,
    connections: usize,
    span: Duration,
    events: &Arc<Events>,
    child: &Child,
) -> Outcome<Run> {
    let mut client = Client::connect(child.receiving, connections, events.clone()).await?;
    let warm = client.drive(WARM_UP).await?;
    if variant.works() {
        // What the warm-up left to do would be paid in the measured time.
        worked_off(child, warm.acknowledged()).await?;
    }
    let (before, started) = (Used::now(child)?, Instant::now());
    let load = client.drive(span).await?;
    if variant.works() {
        worked_off(child, warm.acknowledged() + load.acknowledged()).await?;
    }
    let elapsed = started.elapsed();
    let used = Used::now(child)?.since(&before);
    Ok(Run::of(variant, connections, warm, load, elapsed, &used))
}

impl Run {
    fn of(
        variant: Variant,
        connections: usize,
        warm: Load,
        load: Load,
        elapsed: Duration,
        used: &Used,
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
            neighbours: others.as_secs_f64() / elapsed.as_secs_f64(),
            done_per_second: variant.works().then(|| count / elapsed.as_secs_f64()),
            refused: warm.refused + load.refused,
            broken: warm.broken + load.broken,
            exhausted: warm.exhausted || load.exhausted,
            trouble: warm.trouble.or(load.trouble),
        }
    }
}

/// CPU time, up to a moment or in a span.
struct Used {
    server: Duration,
    client: Duration,
    machine: Duration,
}

impl Used {
    fn now(child: &Child) -> Outcome<Self> {
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
