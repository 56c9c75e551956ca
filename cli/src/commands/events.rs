//! `hookward events` and `hookward dead`: list, show and replay events over the admin API.

mod access;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::output;
use access::{Access, CliError, StoreTarget};

/// List, show and replay events
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  hookward events list --status dead --limit 20\n  hookward events show evt_1\n  hookward events replay --source stripe --since 2026-11-01T00:00:00Z --dry-run"
)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    action: EventsAction,
}

#[derive(Debug, Subcommand)]
enum EventsAction {
    /// List events, newest first
    List(ListArgs),
    /// Show everything about one event
    Show(ShowArgs),
    /// Replay one event, or every event that matches a filter
    Replay(ReplayArgs),
}

/// List and replay dead letters
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hookward dead list\n  hookward dead replay --source stripe")]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    action: DeadAction,
}

#[derive(Debug, Subcommand)]
enum DeadAction {
    /// List events with a dead job, and the reason
    List(ListArgs),
    /// Replay dead jobs from the step that failed
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    place: StoreTarget,
    #[command(flatten)]
    filter: FilterArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Hookward's id or the provider's
    id: String,
    #[command(flatten)]
    place: StoreTarget,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// Hookward's id or the provider's; without it, every event that matches the filter
    id: Option<String>,
    #[command(flatten)]
    place: StoreTarget,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only this route (requires an id)
    #[arg(long, requires = "id")]
    route: Option<String>,
    /// Count and show the events without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// The source's name
    #[arg(long)]
    source: Option<String>,
    /// The provider's event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// pending, dead, done, unrouted or invalid
    #[arg(long)]
    status: Option<String>,
    /// Received at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Received before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Maximum number of events
    #[arg(long)]
    limit: Option<usize>,
}

impl FilterArgs {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("source", &self.source),
            ("type", &self.event_type),
            ("status", &self.status),
            ("since", &self.since),
            ("until", &self.until),
        ];
        given.into_iter().filter_map(|(k, v)| Some((k, v.clone()?))).collect()
    }

    fn body(&self) -> Value {
        let mut body: Value = self.pairs().into_iter().map(|(k, v)| (k, Value::from(v))).collect();
        if let (Some(limit), Some(body)) = (self.limit, body.as_object_mut()) {
            body.insert("limit".to_owned(), limit.into());
        }
        body
    }
}

pub(crate) async fn run(args: EventsArgs) -> ExitCode {
    match args.action {
        EventsAction::List(args) => exit_code(list(&args, "events").await),
        EventsAction::Show(args) => exit_code(show(&args).await),
        EventsAction::Replay(args) => exit_code(replay(&args).await),
    }
}

pub(crate) async fn run_dead(args: DeadArgs) -> ExitCode {
    match args.action {
        DeadAction::List(args) => exit_code(list(&args, "dead").await),
        DeadAction::Replay(mut args) => {
            args.filter.status = Some("dead".to_owned());
            exit_code(replay(&args).await)
        }
    }
}

fn exit_code(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => output::fail(e.code, e.message),
    }
}

/// Reads a listing page by page up to the limit, and passes each event to `take`.
async fn pages(
    access: &Access,
    filter: &FilterArgs,
    what: &str,
    mut take: impl AsyncFnMut(&Value) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut left = filter.limit.unwrap_or(usize::MAX);
    let mut cursor = None;
    while left > 0 {
        let mut query = filter.pairs();
        query.push(("limit", left.min(100).to_string()));
        query.extend(cursor.map(|c| ("cursor", c)));
        let page = access.get(&format!("/api/v1/{what}"), &query).await?;
        for event in page.get("events").and_then(Value::as_array).into_iter().flatten() {
            take(event).await?;
            left = left.saturating_sub(1);
        }
        match page.get("next").and_then(Value::as_str) {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(())
}

async fn list(args: &ListArgs, what: &str) -> Result<(), CliError> {
    let access = args.place.open().await?;
    let mut all = Vec::new();
    // A screen or two; `--limit` raises it.
    let filter = FilterArgs { limit: Some(args.filter.limit.unwrap_or(50)), ..copy(&args.filter) };
    pages(&access, &filter, what, async |event| {
        all.push(event.clone());
        Ok(())
    })
    .await?;
    access.close().await;
    if args.json {
        output::line(json!({"events": all}));
        return Ok(());
    }
    if what == "dead" {
        let rows = all.iter().flat_map(dead_rows).collect();
        output::table(&["id", "source", "type", "route", "step", "attempts", "reason"], rows);
    } else {
        let rows = all.iter().map(event_row).collect();
        output::table(&["id", "source", "type", "event id", "status", "received", "jobs"], rows);
    }
    Ok(())
}

fn copy(f: &FilterArgs) -> FilterArgs {
    FilterArgs {
        source: f.source.clone(),
        event_type: f.event_type.clone(),
        status: f.status.clone(),
        since: f.since.clone(),
        until: f.until.clone(),
        limit: f.limit,
    }
}

fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => output::escape_control(text).into_owned(),
        Some(other) => other.to_string(),
    }
}

fn event_row(event: &Value) -> Vec<String> {
    let jobs = event.get("jobs").unwrap_or(&Value::Null);
    let count = |key| jobs.get(key).and_then(Value::as_u64).unwrap_or(0);
    let jobs =
        format!("{} done, {} pending, {} dead", count("done"), count("pending"), count("dead"));
    let mut row: Vec<_> = ["id", "source", "eventType", "eventId", "status", "receivedAt"]
        .into_iter()
        .map(|key| text(event, key))
        .collect();
    row.push(jobs);
    row
}

fn dead_rows(event: &Value) -> Vec<Vec<String>> {
    let jobs = event.get("dead").and_then(Value::as_array).into_iter().flatten();
    let row = |job: &Value| {
        let mut row: Vec<_> = ["id", "source", "eventType"].map(|key| text(event, key)).to_vec();
        row.extend(["route", "step", "attempt", "reason"].map(|key| text(job, key)));
        row
    };
    jobs.map(row).collect()
}

async fn show(args: &ShowArgs) -> Result<(), CliError> {
    let access = args.place.open().await?;
    let event = access.get(&format!("/api/v1/events/{}", access::segment(&args.id)), &[]).await;
    access.close().await;
    let event = event?;
    if args.json {
        output::line(&event);
        return Ok(());
    }
    for key in ["id", "source", "eventType", "eventId", "status", "receivedAt", "bodyBytes"] {
        output::line(format!("{key:<12} {}", text(&event, key)));
    }
    for (name, value) in event.get("headers").and_then(Value::as_object).into_iter().flatten() {
        output::line(format!(
            "header       {name}: {}",
            output::escape_control(value.as_str().unwrap_or_default())
        ));
    }
    for note in event.get("notes").and_then(Value::as_array).into_iter().flatten() {
        output::line(format!(
            "note         {}",
            output::escape_control(note.as_str().unwrap_or_default())
        ));
    }
    for job in event.get("jobs").and_then(Value::as_array).into_iter().flatten() {
        let reason = match text(job, "reason").as_str() {
            "-" => String::new(),
            reason => format!(": {reason}"),
        };
        output::line(format!("job          {} {}{reason}", text(job, "route"), text(job, "state")));
        for attempt in job.get("attempts").and_then(Value::as_array).into_iter().flatten() {
            let error = match text(attempt, "error").as_str() {
                "-" => String::new(),
                error => format!(": {error}"),
            };
            let cause = match text(attempt, "cause").as_str() {
                "-" => String::new(),
                cause => format!(" (after {cause})"),
            };
            output::line(format!(
                "  attempt {}{cause}  {}  {} ms  {} at {}{error}",
                text(attempt, "attempt"),
                text(attempt, "startedAt"),
                text(attempt, "durationMs"),
                text(attempt, "outcome"),
                text(attempt, "step"),
            ));
        }
    }
    output::line("body");
    let body = event.get("body").or(event.get("bodyBase64")).and_then(Value::as_str);
    output::payload(body.unwrap_or_default());
    Ok(())
}

async fn replay(args: &ReplayArgs) -> Result<(), CliError> {
    let access = args.place.open().await?;
    let result = match &args.id {
        Some(id) => replay_one(args, &access, id).await,
        None => replay_many(args, &access).await,
    };
    access.close().await;
    result
}

async fn replay_one(args: &ReplayArgs, access: &Access, id: &str) -> Result<(), CliError> {
    let path = format!("/api/v1/events/{}", access::segment(id));
    if args.dry_run {
        let event = access.get(&path, &[]).await?;
        output::line(format!(
            "{} would run again ({})",
            text(&event, "id"),
            text(&event, "status")
        ));
        return Ok(());
    }
    let body = args.route.as_ref().map_or(json!({}), |route| json!({"route": route}));
    let answer = access.post(&format!("{path}/replay"), &body).await?;
    print_counts(args, &json!({"events": 1, "jobs": answer.get("jobs")}), "will run again");
    Ok(())
}

async fn replay_many(args: &ReplayArgs, access: &Access) -> Result<(), CliError> {
    let mut body = args.filter.body();
    if let Some(body) = body.as_object_mut() {
        body.insert("dryRun".to_owned(), true.into());
    }
    let counted = access.post("/api/v1/replay", &body).await?;
    if args.dry_run {
        if !args.json {
            let mut rows = Vec::new();
            let shown = FilterArgs {
                limit: Some(args.filter.limit.unwrap_or(20).min(20)),
                ..copy(&args.filter)
            };
            pages(access, &shown, "events", async |event| {
                rows.push(event_row(event));
                Ok(())
            })
            .await?;
            output::table(
                &["id", "source", "type", "event id", "status", "received", "jobs"],
                rows,
            );
        }
        print_counts(args, &counted, "would run again");
        return Ok(());
    }
    let total = counted.get("events").and_then(Value::as_u64).unwrap_or(0);
    let bar = progress_bar(total);
    let (mut events, mut jobs) = (0_u64, 0_u64);
    pages(access, &args.filter, "events", async |event| {
        let path = format!("/api/v1/events/{}/replay", text(event, "id"));
        let answer = access.post(&path, &json!({})).await?;
        let more = answer.get("jobs").and_then(Value::as_u64).unwrap_or(0);
        events += u64::from(more > 0);
        jobs += more;
        bar.inc(1);
        Ok(())
    })
    .await?;
    bar.finish_and_clear();
    print_counts(args, &json!({"events": events, "jobs": jobs}), "will run again");
    Ok(())
}

fn print_counts(args: &ReplayArgs, counts: &Value, what: &str) {
    if args.json {
        output::line(counts);
    } else {
        let (events, jobs) = (text(counts, "events"), text(counts, "jobs"));
        output::line(format!("events: {events}, jobs: {jobs} {what}"));
        if jobs == "0" {
            output::note(
                "note: nothing to replay: no dead jobs, and no route matches or its jobs are still pending",
            );
        }
    }
}

/// A progress bar on a terminal, hidden elsewhere.
fn progress_bar(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} events, {eta} left");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
