//! `hookward backup` and `hookward verify-store`: copy a store while a server uses it, and check a
//! store or a copy as a whole.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hookward_core::{Clock, SystemClock};
use hookward_store_sqlite::FileReport;
use serde_json::json;

use crate::{EXIT_ERROR, EXIT_STORE, EXIT_USAGE, output};

/// The scheme of the store whose files these commands know.
const STORE: &str = "sqlite";

/// Copy the store to a new file, also while a server uses it, and check the copy
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The copy is one state of the store. It is checked and synced, gets the mode 0600, and overwrites nothing.\n\nExample:\n  hookward backup /var/backups/hookward-$(date +%F).db"
)]
pub(crate) struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The routing table, which names the store
    #[arg(long, value_name = "ROUTES", default_value = "routes.yaml")]
    routes: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Check a store or a backup as a whole: structure, the checksum of every row, and what is missing
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Changes nothing, and works while a server uses the file. Exit code 1: something is wrong.\n\nExample:\n  hookward verify-store /var/backups/hookward-2026-11-28.db"
)]
pub(crate) struct VerifyStoreArgs {
    /// The file of a store, or a backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &BackupArgs) -> ExitCode {
    let config = match super::load(&args.routes) {
        Ok(loaded) => loaded.config,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    if config.store.descriptor.name != STORE {
        let text = format!(
            "the store `{}` is not in a file that this command can copy; only `sqlite:` is. Use the \
             tools of that store",
            config.store.redacted_url()
        );
        return output::fail(EXIT_USAGE, text);
    }
    let source = config.base_dir.join(&config.store.rest);
    match hookward_store_sqlite::backup(&source, &args.file, SystemClock.now()) {
        Ok(report) => {
            print(&args.file, &report, args.json);
            ExitCode::SUCCESS
        }
        Err(e) => output::fail(EXIT_STORE, e),
    }
}

pub(crate) fn run_verify(args: &VerifyStoreArgs) -> ExitCode {
    match hookward_store_sqlite::verify_file(&args.file) {
        Ok(report) => {
            print(&args.file, &report, args.json);
            if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_ERROR) }
        }
        Err(e) => output::fail(EXIT_ERROR, e),
    }
}

fn print(file: &Path, report: &FileReport, as_json: bool) {
    let backup_made_at = report.backup_made_at.map(|at| at.to_string());
    if as_json {
        return output::line(json!({
            "file": file,
            "ok": report.problems.is_empty(),
            "format": report.format,
            "inUse": report.in_use,
            "backupMadeAt": backup_made_at,
            "lastEvent": report.last_event,
            "deliveries": report.deliveries,
            "events": report.events,
            "jobs": {
                "open": report.open_jobs, "done": report.done_jobs, "dead": report.dead_jobs
            },
            "problems": report.problems,
        }));
    }
    let ok = if report.problems.is_empty() { "ok" } else { "NOT SOUND" };
    output::line(format!(
        "{}: {ok}, {} events of {} deliveries, the last is number {}; jobs: {} open, {} done, {} dead",
        file.display(),
        report.events,
        report.deliveries,
        report.last_event,
        report.open_jobs,
        report.done_jobs,
        report.dead_jobs
    ));
    if let Some(at) = backup_made_at {
        output::line(format!("backup made at {at}"));
    }
    for problem in &report.problems {
        output::line(format!("problem: {problem}"));
    }
}
