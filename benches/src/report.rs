//! The report: a table of medians, the targets, and the runs that were disturbed.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use crate::BenchResult;
use crate::run::Run;
use crate::statistics::{median, quantile};
use crate::variant::Variant;

/// A run is disturbed if the client needed this many times the CPU per event of the cheapest run:
/// its work is always the same.
const MAX_CLIENT_CPU_RATIO: f64 = 1.45;
/// A run is disturbed if other processes used more than this part of a core.
const MAX_OTHER_CORES: f64 = 0.2;

/// Everything that the program prints, as a table or as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) body_bytes: usize,
    pub(crate) seconds: u64,
    pub(crate) fsync: Fsync,
    pub(crate) rows: Vec<Row>,
    pub(crate) targets: Vec<Target>,
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
}

/// The time to write and sync 4 KiB, measured before each round.
#[derive(Debug, Serialize)]
pub(crate) struct Fsync {
    p50_ms: f64,
    p99_ms: f64,
}

/// The medians of one variant at one number of connections.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    variant: Variant,
    connections: usize,
    events_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    server_us: f64,
    client_us: f64,
    other_cores: f64,
    done_per_second: Option<f64>,
    /// The server's CPU time per event divided by that of the bare handler.
    times_bare: Option<f64>,
    /// How many of the runs were disturbed.
    disturbed: usize,
}

/// A measured figure and the value that the design targets at.
#[derive(Debug, Serialize)]
pub(crate) struct Target {
    what: String,
    measured: f64,
    target: f64,
    met: bool,
}

impl Machine {
    pub(crate) fn this() -> BenchResult<Self> {
        let info = std::fs::read_to_string("/proc/cpuinfo")?;
        let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cpu = name.map_or("unknown CPU", |(_, name)| name).to_owned();
        Ok(Self { cores: std::thread::available_parallelism()?.get(), cpu })
    }
}

impl Fsync {
    pub(crate) fn of(mut spans: Vec<Duration>) -> Self {
        spans.sort_unstable();
        let millis = |q| quantile(&spans, q).as_secs_f64() * 1e3;
        Self { p50_ms: millis(0.5), p99_ms: millis(0.99) }
    }
}

/// Computes one row for each number of connections and variant that ran.
pub(crate) fn rows(runs: &[Run]) -> Vec<Row> {
    let mut kinds: Vec<_> = runs.iter().map(|run| (run.connections, run.variant)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut rows: Vec<Row> = Vec::new();
    for (connections, variant) in kinds {
        let same: Vec<_> = runs
            .iter()
            .filter(|run| (run.connections, run.variant) == (connections, variant))
            .collect();
        let median_of = |figure: fn(&Run) -> f64| median(same.iter().map(|run| figure(run)));
        let server_us = median_of(|run| run.server_us);
        let bare = rows.iter().find(|row| row.is(connections, Variant::Bare));
        let least = runs
            .iter()
            .filter(|run| run.connections == connections)
            .fold(f64::INFINITY, |least, run| least.min(run.client_us));
        rows.push(Row {
            variant,
            connections,
            events_per_second: median_of(|run| run.events_per_second),
            p50_ms: median_of(|run| run.p50_ms),
            p99_ms: median_of(|run| run.p99_ms),
            server_us,
            client_us: median_of(|run| run.client_us),
            other_cores: median_of(|run| run.other_cores),
            done_per_second: variant
                .runs_jobs()
                .then(|| median_of(|run| run.done_per_second.unwrap_or(0.0))),
            times_bare: bare.map(|bare| server_us / bare.server_us),
            disturbed: same.iter().filter(|run| is_disturbed(run, least)).count(),
        });
    }
    rows
}

fn is_disturbed(run: &Run, least_client: f64) -> bool {
    run.client_us > least_client * MAX_CLIENT_CPU_RATIO || run.other_cores > MAX_OTHER_CORES
}

/// The targets of the design, for the numbers of connections that it names.
pub(crate) fn targets(rows: &[Row]) -> Vec<Target> {
    let mut targets = Vec::new();
    for row in rows.iter().filter(|row| row.connections >= 64 && row.variant != Variant::Bare) {
        let at = format!("{} at {}", row.variant.name(), row.connections);
        let rate = row.events_per_second;
        targets.push(Target::at_least(
            format!("{at}: events/s durably acknowledged"),
            rate,
            10_000.0,
        ));
        let (until, budget) = match row.variant {
            Variant::Noop => ("the job is done", 55.0),
            Variant::Bare | Variant::Unrouted => ("the answer", 35.0),
        };
        targets.push(Target::at_most(format!("{at}: CPU µs until {until}"), row.server_us, budget));
        if let (Variant::Unrouted, Some(times)) = (row.variant, row.times_bare) {
            targets.push(Target::at_most(
                format!("{at}: times the bare handler's CPU"),
                times,
                1.35,
            ));
        }
    }
    targets
}

impl Target {
    fn at_least(what: String, measured: f64, target: f64) -> Self {
        Self { what, measured, target, met: measured >= target }
    }

    fn at_most(what: String, measured: f64, target: f64) -> Self {
        Self { what, measured, target, met: measured <= target }
    }
}

impl Row {
    fn is(&self, connections: usize, variant: Variant) -> bool {
        self.connections == connections && self.variant == variant
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { machine, fsync, .. } = self;
        writeln!(f, "{} cores ({}), shared by server and client", machine.cores, machine.cpu)?;
        writeln!(
            f,
            "4 KiB write + fdatasync: p50 {:.2} ms, p99 {:.2} ms",
            fsync.p50_ms, fsync.p99_ms
        )?;
        writeln!(
            f,
            "{} bytes per body, {} s per run, medians of the runs\n",
            self.body_bytes, self.seconds
        )?;
        writeln!(
            f,
            "| conns | variant   | events/s | p50 ms | p99 ms | server µs/event | × bare | done/s | client µs/event | other cores |"
        )?;
        writeln!(f, "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        if !self.targets.is_empty() {
            writeln!(f, "\nTargets:")?;
        }
        for target in &self.targets {
            let Target { what, measured, target, met } = target;
            let met = if *met { "met" } else { "missed" };
            writeln!(f, "  {met:<6} {what}: {measured:.2} (target {target})")?;
        }
        for run in self.runs.iter().filter(|run| run.exhausted) {
            let (name, at) = (run.variant.name(), run.connections);
            writeln!(f, "  {name} at {at} sent all signed events before its time was over")?;
        }
        let disturbed: usize = self.rows.iter().map(|row| row.disturbed).sum();
        if disturbed > 0 {
            let all = self.runs.len();
            writeln!(
                f,
                "\n{disturbed} of {all} runs were disturbed: repeat them on a quiet machine"
            )?;
        }
        Ok(())
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        write!(
            f,
            "| {:>5} | {:<9} | {:>8.0} | {:>6.2} | {:>6.2} | {:>15.1} | {:>6} | {:>6} | {:>15.1} | {:>11.2} |",
            self.connections,
            self.variant.name(),
            self.events_per_second,
            self.p50_ms,
            self.p99_ms,
            self.server_us,
            or_none(self.times_bare.map(|times| format!("{times:.2}"))),
            or_none(self.done_per_second.map(|done| format!("{done:.0}"))),
            self.client_us,
            self.other_cores,
        )
    }
}
