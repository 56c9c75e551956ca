//! What the reader gets: a table of medians, what was aimed at, what spoils the figures.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use crate::Outcome;
use crate::run::Run;
use crate::statistics::{median, quantile};
use crate::variant::Variant;

/// The client's work is always the same, so a run in which it needed so much more than in the cheapest
/// one was disturbed.
const DEARER_CLIENT: f64 = 1.45;
/// So was one during which others used so much of a core.
const NEIGHBOURS: f64 = 0.2;

/// Everything that is known at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) body_bytes: usize,
    pub(crate) seconds: u64,
    pub(crate) fsync: Fsync,
    pub(crate) rows: Vec<Row>,
    pub(crate) aims: Vec<Aim>,
    pub(crate) runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
}

/// 4 KiB written and synced, probed before each round.
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
    neighbours: f64,
    done_per_second: Option<f64>,
    /// The server's CPU per event against that of the bare handler.
    times_bare: Option<f64>,
    /// So many runs were disturbed by something else.
    disturbed: usize,
}

/// A figure and what it should be.
#[derive(Debug, Serialize)]
pub(crate) struct Aim {
    what: String,
    measured: f64,
    aim: f64,
    met: bool,
}

impl Machine {
    pub(crate) fn this() -> Outcome<Self> {
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

/// One row for each number of connections and variant that were run.
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
        let over = |figure: fn(&Run) -> f64| median(same.iter().map(|run| figure(run)));
        let server_us = over(|run| run.server_us);
        let bare = rows.iter().find(|row| row.is(connections, Variant::Bare));
        let least = runs
            .iter()
            .filter(|run| run.connections == connections)
            .fold(f64::INFINITY, |least, run| least.min(run.client_us));
        rows.push(Row {
            variant,
            connections,
            events_per_second: over(|run| run.events_per_second),
            p50_ms: over(|run| run.p50_ms),
            p99_ms: over(|run| run.p99_ms),
            server_us,
            client_us: over(|run| run.client_us),
            neighbours: over(|run| run.neighbours),
            done_per_second: variant
                .works()
                .then(|| over(|run| run.done_per_second.unwrap_or(0.0))),
            times_bare: bare.map(|bare| server_us / bare.server_us),
            disturbed: same.iter().filter(|run| disturbed(run, least)).count(),
        });
    }
    rows
}

fn disturbed(run: &Run, least_client: f64) -> bool {
    run.client_us > least_client * DEARER_CLIENT || run.neighbours > NEIGHBOURS
}

/// What the design aims at, for the numbers of connections it names.
pub(crate) fn aims(rows: &[Row]) -> Vec<Aim> {
    let mut aims = Vec::new();
    for row in rows.iter().filter(|row| row.connections >= 64 && row.variant != Variant::Bare) {
        let at = format!("{} at {}", row.variant.name(), row.connections);
        let rate = row.events_per_second;
        aims.push(Aim::at_least(format!("{at}: events/s durably acknowledged"), rate, 10_000.0));
        let (until, budget) = match row.variant {
            Variant::Noop => ("the job is done", 55.0),
            Variant::Bare | Variant::Unrouted => ("the answer", 35.0),
        };
        aims.push(Aim::at_most(format!("{at}: CPU µs until {until}"), row.server_us, budget));
        if let (Variant::Unrouted, Some(times)) = (row.variant, row.times_bare) {
            aims.push(Aim::at_most(format!("{at}: times the bare handler's CPU"), times, 1.35));
        }
    }
    aims
}

impl Aim {
    fn at_least(what: String, measured: f64, aim: f64) -> Self {
        Self { what, measured, aim, met: measured >= aim }
    }

    fn at_most(what: String, measured: f64, aim: f64) -> Self {
        Self { what, measured, aim, met: measured <= aim }
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
            "| conns | variant   | events/s | p50 ms | p99 ms | server µs/event | × bare | done/s | client µs/event | neighbours |"
        )?;
        writeln!(f, "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        if !self.aims.is_empty() {
            writeln!(f, "\nAims:")?;
        }
        for aim in &self.aims {
            let Aim { what, measured, aim, met } = aim;
            let met = if *met { "met" } else { "missed" };
            writeln!(f, "  {met:<6} {what}: {measured:.2} (aim {aim})")?;
        }
        for run in self.runs.iter().filter(|run| run.exhausted) {
            let (name, at) = (run.variant.name(), run.connections);
            writeln!(f, "  {name} at {at} sent all events before its time was over")?;
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
            "| {:>5} | {:<9} | {:>8.0} | {:>6.2} | {:>6.2} | {:>15.1} | {:>6} | {:>6} | {:>15.1} | {:>10.2} |",
            self.connections,
            self.variant.name(),
            self.events_per_second,
            self.p50_ms,
            self.p99_ms,
            self.server_us,
            or_none(self.times_bare.map(|times| format!("{times:.2}"))),
            or_none(self.done_per_second.map(|done| format!("{done:.0}"))),
            self.client_us,
            self.neighbours,
        )
    }
}
