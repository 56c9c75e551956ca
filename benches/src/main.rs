//! Measures Hookward on this machine, beside a bare axum handler with the same store settings: events
//! per second, latency, and the server's CPU per event. `README.md` says how to read the figures.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a few seconds are far below 2^52"
)]

mod bare;
mod child;
mod events;
mod fsync;
mod load;
mod report;
mod run;
mod statistics;
mod variant;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::events::Events;
use crate::report::{Fsync, Machine, Report};
use crate::run::{Run, WARM_UP};
use crate::variant::Variant;

/// A measuring program only ever prints what went wrong.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// So many events are signed for each second; faster servers end their run early, which is said.
const SIGNED_PER_SECOND: f64 = 60_000.0;
/// 140 bytes each.
const SIGNED_AT_MOST: usize = 400_000;

#[derive(Debug, Parser)]
#[command(
    about = "Measures Hookward beside a bare axum handler with the same store settings",
    after_help = "Example: cargo build --release && cargo run --release -p hookward-benches -- --connections 64"
)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// How long each run is measured, after half a second of warm-up.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Numbers of keep-alive connections, each with one request under way.
    #[arg(long, value_delimiter = ',', default_value = "1,64,256")]
    connections: Vec<usize>,
    /// How often each variant is run; every second round goes backwards.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// What to run.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Variant::ALL)]
    variants: Vec<Variant>,
    /// Where the stores lie while they are measured: on the disk to be measured [default: beside this
    /// program].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// One round of one second: whether everything works, not how fast.
    #[arg(long)]
    quick: bool,
    /// One JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The bare handler itself; the program starts it as a process of its own.
    #[command(hide = true)]
    Bare { database: PathBuf },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = match &arguments.part {
        Some(Part::Bare { database }) => bare::run(database),
        None => bench(arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: Arguments) -> Outcome<()> {
    if arguments.variants.iter().any(|variant| *variant != Variant::Bare) {
        variant::hookward()?;
    }
    if let Some(odd) = arguments.connections.iter().find(|n| !(1..=512).contains(*n)) {
        return Err(format!("--connections {odd}: from 1 to 512").into());
    }
    let (seconds, rounds) =
        if arguments.quick { (1, 1) } else { (arguments.seconds, arguments.rounds) };
    let span = Duration::from_secs(seconds);
    let wanted = (span + WARM_UP).as_secs_f64() * SIGNED_PER_SECOND;
    let events = Arc::new(Events::sign((wanted as usize).min(SIGNED_AT_MOST))?);

    let mut config = Vec::new();
    for connections in &arguments.connections {
        config.extend(arguments.variants.iter().map(|variant| (*connections, *variant)));
    }
    let (mut runs, mut fsyncs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        fsyncs.extend(fsync::probe(folder(&arguments)?.path())?);
        for (connections, variant) in &config {
            let folder = folder(&arguments)?;
            let run = run::measure(*variant, *connections, span, &events, folder.path());
            let name = variant.name();
            let run = run.map_err(|error| format!("{name} at {connections}: {error}"))?;
            eprintln!(
                "round {round}: {name} at {connections}: {:.0} events/s, {:.1} µs",
                run.events_per_second, run.server_us
            );
            runs.push(run);
        }
        config.reverse();
    }
    let rows = report::rows(&runs);
    let aims = report::aims(&rows);
    let report = Report {
        machine: Machine::this()?,
        body_bytes: events.body_bytes(),
        seconds,
        fsync: Fsync::of(fsyncs),
        rows,
        aims,
        runs,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    all_acknowledged(&report.runs)
}

/// A new one for each run, removed after it. The system's folder for temporary files may be in memory,
/// where a sync costs nothing; the build's folder is on a disk.
fn folder(arguments: &Arguments) -> Outcome<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let parent = arguments.folder.as_deref().or(program.parent()).ok_or("no folder")?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(parent.canonicalize()?)?)
}

/// A figure that counts refused requests as work would be a lie.
fn all_acknowledged(runs: &[Run]) -> Outcome<()> {
    let mut lines = String::new();
    for run in runs.iter().filter(|run| run.refused + run.broken > 0) {
        lines += &format!(
            "\n  {} at {}: {} refused, {} broken; the first: {}",
            run.variant.name(),
            run.connections,
            run.refused,
            run.broken,
            run.trouble.as_deref().unwrap_or_default()
        );
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(format!("not every request was acknowledged:{lines}").into())
}
