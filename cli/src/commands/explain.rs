//! `hookward explain`: reports which routes an event would take.

use std::path::PathBuf;
use std::process::ExitCode;

use hookward_core::{Body, ClientCertificate, TLS_CLIENT_SAN, TLS_CLIENT_SUBJECT};
use hookward_engine::compiled::RouteDecision;
use hookward_engine::replay::{RouteExplanation, explain};
use hookward_engine::routing::{EvaluationBudget, EventView};

use crate::commands::RoutesFile;
use crate::{EXIT_ERROR, EXIT_USAGE, output};

/// Report which routes an event would take, and why it would not take the others
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  hookward explain routes.yaml --source stripe --type payment_intent.succeeded --data event.json"
)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    file: RoutesFile,
    /// The source's name
    #[arg(long)]
    source: String,
    /// The provider's event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: String,
    /// The body; the default is an empty object, in which `match` and `when` find nothing
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The subject of the client's certificate, as `tls:client_subject` has it
    #[arg(long, value_name = "SUBJECT")]
    client_subject: Option<String>,
    /// An alternative name of the client's certificate, such as DNS:a.example; can be repeated
    #[arg(long, value_name = "NAME")]
    client_san: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &ExplainArgs) -> ExitCode {
    let config = match super::load(&args.file.routes) {
        Ok(loaded) => loaded.config,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    if !config.sources.contains_key(args.source.as_str()) {
        let known: Vec<_> = config.sources.keys().map(|n| n.as_ref()).collect();
        let text =
            format!("there is no source `{}`; the sources are: {}", args.source, known.join(", "));
        return output::fail(EXIT_USAGE, text);
    }
    let body = match &args.data {
        None => Body::new("{}"),
        Some(file) => match std::fs::read(file) {
            Ok(bytes) => Body::new(bytes),
            Err(e) => return output::fail(EXIT_USAGE, format!("{}: {e}", file.display())),
        },
    };
    let budget = EvaluationBudget::default();
    let headers = client_names(args);
    let event = EventView::new(&args.source, &args.event_type, None, &headers, &body, &budget);
    let explained = explain(&config, &event);
    if args.json {
        output::line(explained.iter().map(json).collect::<serde_json::Value>());
        return ExitCode::SUCCESS;
    }
    for one in &explained {
        let (takes, why) = words(one, args);
        output::line(format!("{} {}: {why}", if takes { "✓" } else { "✗" }, one.route.name));
    }
    let taken = explained.iter().filter(|e| e.decision == Some(RouteDecision::Matches)).count();
    let end = if taken == 0 { "it would be stored as unrouted" } else { "" };
    output::line(format!(
        "{taken} of {} routes take it{}{end}",
        explained.len(),
        if taken == 0 { ": " } else { "" }
    ));
    if args.data.is_none()
        && explained
            .iter()
            .any(|e| e.decision.is_some() && e.decision != Some(RouteDecision::Matches))
    {
        output::note("note: without --data the conditions were evaluated on an empty body");
    }
    ExitCode::SUCCESS
}

/// The names of the client's certificate, as they are stored with an event.
fn client_names(args: &ExplainArgs) -> Vec<(String, String)> {
    let mut names = Vec::new();
    if let Some(subject) = &args.client_subject {
        names.push((TLS_CLIENT_SUBJECT.to_owned(), subject.clone()));
    }
    if !args.client_san.is_empty() {
        let certificate = ClientCertificate::new("", args.client_san.clone());
        names.push((TLS_CLIENT_SAN.to_owned(), certificate.joined_names()));
    }
    names
}

fn words(one: &RouteExplanation<'_>, args: &ExplainArgs) -> (bool, String) {
    let route = one.route;
    let text = match &one.decision {
        None => {
            let globs: Vec<_> = route.events.iter().map(ToString::to_string).collect();
            format!("`{}/{}` does not match {}", args.source, args.event_type, globs.join(", "))
        }
        Some(RouteDecision::Matches) => {
            let chain: Vec<_> = route.chain.iter().map(|s| s.name.as_ref()).collect();
            return (true, chain.join(" → "));
        }
        Some(RouteDecision::PatternMismatch(at)) => format!("`match` fails at {at}"),
        Some(RouteDecision::ConditionFalse) => {
            format!("`when: {}` is false", route.when.as_ref().map_or("", |w| w.text()))
        }
        Some(RouteDecision::ConditionError(reason)) => {
            format!("`when` could not be evaluated, which counts as false: {reason}")
        }
        Some(RouteDecision::Invalid(errors)) => format!("not valid: {}", errors.join("; ")),
        Some(RouteDecision::BudgetSpent(spent)) => format!("not valid: {spent}"),
    };
    (false, text)
}

fn json(one: &RouteExplanation<'_>) -> serde_json::Value {
    let (verdict, reason) = match &one.decision {
        None => ("glob", Vec::new()),
        Some(RouteDecision::Matches) => ("takes", Vec::new()),
        Some(RouteDecision::PatternMismatch(at)) => ("match", vec![at.clone()]),
        Some(RouteDecision::ConditionFalse) => ("when", Vec::new()),
        Some(RouteDecision::ConditionError(reason)) => ("when", vec![reason.clone()]),
        Some(RouteDecision::Invalid(errors)) => ("invalid", errors.clone()),
        Some(RouteDecision::BudgetSpent(spent)) => ("invalid", vec![spent.to_string()]),
    };
    let takes = one.decision == Some(RouteDecision::Matches);
    serde_json::json!({"route": &*one.route.name, "takes": takes, "verdict": verdict, "reason": reason})
}
