//! Warnings about routes that no event can match: allowed, but surely a mistake. They come from
//! `match` and `events` alone; `when` expressions are not analysed beyond the literal `false`.

use std::sync::Arc;

use serde_json::Value;

use super::compile_cx::CompileCx;
use crate::compiled::{Route, RouteTable};
use crate::config::document::Location;
use crate::config::pointer;

const HELP: &str = "correct the condition, or remove the route";

/// Warns of each condition of the route that can never be true. `match_block` is `match:` as
/// written.
pub(super) fn warn(
    cx: &mut CompileCx<'_>,
    at: &str,
    route: &Arc<Route>,
    match_block: Option<&Value>,
) {
    let warn = |cx: &mut CompileCx<'_>, location: Location<'_>, reason: String| {
        let message = format!("route `{}` can never match: {reason}", route.name);
        cx.document.warn(location, message).label("never true").help(HELP);
    };
    if route.when.as_ref().is_some_and(|w| matches!(w.text().trim(), "false" | "False")) {
        warn(cx, Location::Value(&format!("{at}/when")), "`when` is false".to_owned());
    }
    for (address, wanted) in match_block.and_then(Value::as_object).into_iter().flatten() {
        let key = pointer::join(&format!("{at}/match"), address);
        let alternatives = match wanted {
            Value::Array(list) => list.iter().collect(),
            single => vec![single],
        };
        if alternatives.iter().all(|a| a.get("numeric").is_some_and(is_empty_range)) {
            let reason = format!("no number is in the range of `{address}`");
            warn(cx, Location::Value(&key), reason);
        }
        let texts: Option<Vec<&str>> = alternatives.iter().map(|a| a.as_str()).collect();
        let Some(texts) = texts else { continue };
        let possible = match address.as_str() {
            "event:source" => texts.iter().any(|text| names_source(route, text)),
            "event:type" => texts.iter().any(|text| names_type(cx, route, text)),
            _ => true,
        };
        if !possible {
            let reason = format!("no glob of `events` matches this `{address}`");
            warn(cx, Location::Value(&key), reason);
        }
    }
}

fn names_source(route: &Route, source: &str) -> bool {
    route.events.iter().any(|glob| glob.source() == "*" || glob.source() == source)
}

fn names_type(cx: &CompileCx<'_>, route: &Arc<Route>, event_type: &str) -> bool {
    let table = RouteTable::new([route]);
    cx.keys("/sources").iter().any(|source| !table.find(source, event_type).is_empty())
}

/// Whether no number satisfies all pairs of a `numeric` operand.
fn is_empty_range(pairs: &Value) -> bool {
    let (mut low, mut high) = ((f64::NEG_INFINITY, false), (f64::INFINITY, false));
    // A bound and whether it is open, which excludes the bound itself; of two equal bounds the open
    // one is tighter.
    let tighter = |bound: f64, open: bool, than: (f64, bool), above: bool| {
        let closer = if above { bound > than.0 } else { bound < than.0 };
        if closer || (bound == than.0 && open) { (bound, open) } else { than }
    };
    for pair in pairs.as_array().map(|p| p.chunks(2)).into_iter().flatten() {
        let [Value::String(operator), number] = pair else { return false };
        let Some(bound) = number.as_f64() else { return false };
        match operator.as_str() {
            ">" => low = tighter(bound, true, low, true),
            ">=" => low = tighter(bound, false, low, true),
            "<" => high = tighter(bound, true, high, false),
            "<=" => high = tighter(bound, false, high, false),
            _ => {
                low = tighter(bound, false, low, true);
                high = tighter(bound, false, high, false);
            }
        }
    }
    low.0 > high.0 || (low.0 == high.0 && (low.1 || high.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_range_that_holds_no_number_is_detected() {
        for empty in [json!([">", 10, "<", 5]), json!([">", 5, "<=", 5]), json!(["=", 1, "=", 2])] {
            assert!(is_empty_range(&empty), "{empty}");
        }
        for some in [json!([">=", 5, "<=", 5]), json!([">", 5]), json!(["=", 1, "<", 2])] {
            assert!(!is_empty_range(&some), "{some}");
        }
    }
}
