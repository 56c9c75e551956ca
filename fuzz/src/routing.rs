//! Targets `pattern`, `condition` and `globs`: what decides about routes, `match:` patterns,
//! `when:` conditions, and `events:` globs in the route table.

use hookward_core::Body;
use hookward_engine::routing::{
    Condition, DataAddress, EvaluationBudget, EventView, Pattern, TypeGlob,
};
use serde_json::{Value, json};

use super::input::{lines, sections, text};

const HEADERS: [(&str, &str); 2] = [("x-a", "10.1.2.3"), ("content-type", "application/json")];

fn headers() -> [(String, String); 2] {
    HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// Sections: the pattern as JSON, the body.
pub fn pattern(data: &[u8]) {
    let [pattern, body] = sections(data);
    let pattern = Body::new(pattern.to_vec());
    let Ok(block) = pattern.exact_json() else { return };
    let compiled = match Pattern::compile(block) {
        Ok(compiled) => compiled,
        Err(errors) => {
            assert!(!errors.is_empty());
            let place = |at: &str| at.is_empty() || at.starts_with('/');
            assert!(errors.iter().all(|e| place(&e.at) && !e.message.is_empty()), "{errors:?}");
            return;
        }
    };
    for address in compiled.addresses() {
        assert_eq!(DataAddress::parse(&address.to_string()).as_ref(), Ok(address));
    }
    let (body, headers) = (Body::new(body.to_vec()), headers());
    let budget = EvaluationBudget::default();
    let event = EventView::new("stripe", "invoice.paid", Some("evt_1"), &headers, &body, &budget);
    let first = compiled.first_mismatch(&event).map_err(|e| e.to_string());
    assert_eq!(first, compiled.first_mismatch(&event).map_err(|e| e.to_string()));
}

/// Sections: the expression, the body.
pub fn condition(data: &[u8]) {
    let [when, body] = sections(data);
    let Some(when) = text(when) else { return };
    let condition = match Condition::compile(when) {
        Ok(condition) => condition,
        Err(message) => return assert!(!message.is_empty()),
    };
    assert_eq!(condition.text(), when);
    let (body, headers) = (Body::new(body.to_vec()), headers());
    let budget = EvaluationBudget::default();
    let event = EventView::new("stripe", "invoice.paid", Some("evt_1"), &headers, &body, &budget);
    let evaluated = condition.evaluate(&event);
    assert_eq!(evaluated.is_err(), body.json().is_err());
}

/// Lines: an event type, then globs, one for each route. The table must find the routes whose globs
/// match.
pub fn globs(data: &[u8]) {
    let [event_type, rest] = lines(data);
    let (Some(event_type), Some(rest)) = (text(event_type), text(rest)) else { return };
    let known = |glob: &TypeGlob| ["stripe", "github", "*"].contains(&glob.source());
    let globs: Vec<TypeGlob> =
        rest.lines().take(5).filter_map(|line| TypeGlob::parse(line).ok()).filter(known).collect();
    for glob in &globs {
        assert_eq!(TypeGlob::parse(&glob.to_string()).as_ref(), Ok(glob));
    }
    let Some(config) = super::config::load_config(&routes(&globs)) else { return };
    // The table matches up to 64 segments of a type.
    let segments: Vec<&str> = event_type.split(['.', '/']).take(64).collect();
    for source in ["stripe", "github"] {
        let found: Vec<usize> = config
            .route_table
            .find(source, event_type)
            .iter()
            .filter_map(|route| route.name.strip_prefix('r')?.parse().ok())
            .collect();
        let matches = |glob: &TypeGlob| {
            let text = glob.to_string();
            let (of, wanted) = text.split_once('/').unwrap_or_default();
            let wanted: Vec<&str> = wanted.split(['.', '/']).collect();
            (of == "*" || of == source) && matches(&wanted, &segments)
        };
        let all = globs.iter().enumerate();
        let wanted: Vec<usize> = all.filter(|(_, glob)| matches(glob)).map(|(n, _)| n).collect();
        assert_eq!(found, wanted, "{source}/{event_type}");
    }
}

/// Returns a routes.yaml with a route for each glob.
fn routes(globs: &[TypeGlob]) -> String {
    let route = |(n, glob): (usize, &TypeGlob)| json!({ "name": format!("r{n}"), "events": glob.to_string(), "chain": ["noop"] });
    let routes: Vec<Value> = globs.iter().enumerate().map(route).collect();
    let source = json!({ "secrets": ["a secret"] });
    json!({ "store": "memory:", "sources": { "stripe": source, "github": source }, "routes": routes })
        .to_string()
}

/// Matches a glob by another algorithm than the route table: dynamic programming, row by row.
fn matches(glob: &[&str], segments: &[&str]) -> bool {
    let mut row = vec![false; segments.len() + 1];
    row[0] = true;
    for part in glob {
        let mut next = vec![false; segments.len() + 1];
        next[0] = *part == "**" && row[0];
        for (n, segment) in segments.iter().enumerate() {
            next[n + 1] = match *part {
                "**" => row[n + 1] || next[n],
                "*" => row[n],
                literal => row[n] && literal == *segment,
            };
        }
        row = next;
    }
    row[segments.len()]
}
