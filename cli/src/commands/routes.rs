//! `hookward routes`: prints the compiled routing table.

use std::process::ExitCode;

use hookward_engine::compiled::Route;

use crate::commands::RoutesFile;
use crate::{EXIT_ERROR, output};

/// Show the routing table as compiled
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward routes routes.yaml")]
pub(crate) struct RoutesArgs {
    #[command(flatten)]
    file: RoutesFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &RoutesArgs) -> ExitCode {
    let config = match super::load(&args.file.routes) {
        Ok(loaded) => loaded.config,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    if args.json {
        let all: Vec<_> = config.route_table.all().iter().map(|r| to_json(r)).collect();
        output::line(serde_json::Value::Array(all));
        return ExitCode::SUCCESS;
    }
    let rows = config.route_table.all().iter().map(|r| to_row(r)).collect();
    output::table(&["route", "events", "conditions", "chain", "attempts", "concurrency"], rows);
    ExitCode::SUCCESS
}

fn event_globs(route: &Route) -> Vec<String> {
    route.events.iter().map(ToString::to_string).collect()
}

fn step_names(route: &Route) -> Vec<&str> {
    route.chain.iter().map(|s| s.name.as_ref()).collect()
}

fn to_row(route: &Route) -> Vec<String> {
    let mut conditions = Vec::new();
    if let Some(pattern) = &route.pattern {
        let at: Vec<_> = pattern.addresses().map(ToString::to_string).collect();
        conditions.push(format!("match {}", at.join(", ")));
    }
    conditions.extend(route.when.as_ref().map(|w| format!("when {}", w.text())));
    conditions.extend(route.schema.as_ref().map(|s| format!("schema {}", s.name())));
    conditions.extend(route.order_by.as_ref().map(|a| format!("in order of {a}")));
    vec![
        route.name.to_string(),
        event_globs(route).join("\n"),
        conditions.join("\n"),
        step_names(route).join(" → "),
        route.retry.attempts.to_string(),
        route.concurrency.to_string(),
    ]
}

fn to_json(route: &Route) -> serde_json::Value {
    serde_json::json!({
        "name": &*route.name,
        "events": event_globs(route),
        "match": route.pattern.as_ref().map(|p| p.addresses().map(ToString::to_string).collect::<Vec<_>>()),
        "when": route.when.as_ref().map(|w| w.text()),
        "schema": route.schema.as_ref().map(|s| s.name()),
        "orderBy": route.order_by.as_ref().map(ToString::to_string),
        "chain": step_names(route),
        "attempts": route.retry.attempts,
        "concurrency": route.concurrency,
    })
}
