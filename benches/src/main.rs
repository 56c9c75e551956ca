//! Measures Hookward on this machine beside a bare axum handler with the same store settings:
//! events per second, latency, and the server's CPU time per event. `README.md` explains how to
//! read the figures.
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
use crate::run::{Run, WARM_UP_DURATION};
use crate::variant::Variant;

/// Any error: the program prints it and exits.
pub(crate) type BenchResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The number of events that are signed for each measured second. A server that is faster ends its
/// run early, and the report says so.
const SIGNED_EVENTS_PER_SECOND: f64 = 60_000.0;
/// The most events that are signed, 140 bytes each.
const MAX_SIGNED_EVENTS: usize = 400_000;

#[derive(Debug, Parser)]
#[command(
    about = "Measures Hookward beside a bare axum handler with the same store settings",
    after_help = "Example: cargo build --release && cargo run --release -p hookward-benches -- --connections 64"
)]
struct Args {
    #[command(subcommand)]
    command: Option<BenchCommand>,
    /// How long each run is measured, after half a second of warm-up.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Numbers of keep-alive connections, each with one request at a time.
    #[arg(long, value_delimiter = ',', default_value = "1,64,256")]
    connections: Vec<usize>,
    /// How many times each variant runs; every second round runs in reverse order.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// The variants to run.
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Variant::ALL)]
    variants: Vec<Variant>,
    /// Where the stores are while they are measured, so the disk that is measured [default: beside
    /// this program].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Run one round of one second: checks that everything works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Run the bare handler; the program starts itself with it as a separate process.
    #[command(hide = true)]
    Bare { database: PathBuf },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.command {
        Some(BenchCommand::Bare { database }) => bare::run(database),
        None => bench(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: Args) -> BenchResult<()> {
    if args.variants.iter().any(|variant| *variant != Variant::Bare) {
        variant::hookward_path()?;
    }
    if let Some(invalid) = args.connections.iter().find(|n| !(1..=512).contains(*n)) {
        return Err(format!("--connections {invalid}: allowed are 1 to 512").into());
    }
    let (seconds, rounds) = if args.quick { (1, 1) } else { (args.seconds, args.rounds) };
    let span = Duration::from_secs(seconds);
    let count = (span + WARM_UP_DURATION).as_secs_f64() * SIGNED_EVENTS_PER_SECOND;
    let events = Arc::new(Events::sign((count as usize).min(MAX_SIGNED_EVENTS))?);

    let mut cases = Vec::new();
    for connections in &args.connections {
        cases.extend(args.variants.iter().map(|variant| (*connections, *variant)));
    }
    let (mut runs, mut fsyncs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        fsyncs.extend(fsync::probe(new_folder(&args)?.path())?);
        for (connections, variant) in &cases {
            let folder = new_folder(&args)?;
            let run = run::measure(*variant, *connections, span, &events, folder.path());
            let name = variant.name();
            let run = run.map_err(|error| format!("{name} at {connections}: {error}"))?;
            eprintln!(
                "round {round}: {name} at {connections}: {:.0} events/s, {:.1} µs",
                run.events_per_second, run.server_us
            );
            runs.push(run);
        }
        // In reverse, so that a drift of the machine affects all variants alike.
        cases.reverse();
    }
    let rows = report::rows(&runs);
    let targets = report::targets(&rows);
    let report = Report {
        machine: Machine::this()?,
        body_bytes: events.body_bytes(),
        seconds,
        fsync: Fsync::of(fsyncs),
        rows,
        targets,
        runs,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    check_all_acknowledged(&report.runs)
}

/// Creates a folder for one run, which is removed after it. Not in the system's folder for
/// temporary files, which may be in memory, where a sync costs nothing; the build's folder is on a
/// disk.
fn new_folder(args: &Args) -> BenchResult<tempfile::TempDir> {
    let program = std::env::current_exe()?;
    let parent = args
        .folder
        .as_deref()
        .or(program.parent())
        .ok_or("this program has no folder; give one with --folder")?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(parent.canonicalize()?)?)
}

/// Fails if any request was not acknowledged: figures that count rejections as work are worthless.
fn check_all_acknowledged(runs: &[Run]) -> BenchResult<()> {
    let mut lines = String::new();
    for run in runs.iter().filter(|run| run.rejected + run.failed > 0) {
        lines += &format!(
            "\n  {} at {}: {} rejected, {} failed; the first: {}",
            run.variant.name(),
            run.connections,
            run.rejected,
            run.failed,
            run.first_error.as_deref().unwrap_or_default()
        );
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(format!("not every request was acknowledged:{lines}").into())
}
