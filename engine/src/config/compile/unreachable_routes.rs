//! Routes that no event can take: not wrong, but surely not meant. Finds what can be seen from the
//! text alone; it does not reason about expressions.

use std::sync::Arc;

use serde_json::Value;

use super::{Gate, Location};
use crate::compiled::{Route, RouteTable};
use crate::config::pointer;

const HELP: &str = "no event takes this route; correct it, or remove the route";

/// Warns of each reason.
pub(super) fn warn(gate: &mut Gate<'_>, at: &str, route: &Arc<Route>, block: Option<&Value>) {
    let warn = |gate: &mut Gate<'_>, spot: Location<'_>, why: String| {
        let message = format!("route `{}` can never match: {why}", route.name);
        gate.doc.warn(spot, message).label("never true").help(HELP);
    };
    if route.when.as_ref().is_some_and(|w| matches!(w.text().trim(), "false" | "False")) {
        warn(gate, Location::Value(&format!("{at}/when")), "`when` is false".to_owned());
    }
    for (address, wanted) in block.and_then(Value::as_object).into_iter().flatten() {
        let key = pointer::join(&format!("{at}/match"), address);
        let alternatives = match wanted {
            Value::Array(list) => list.iter().collect(),
            single => vec![single],
        };
        if alternatives.iter().all(|a| a.get("numeric").is_some_and(empty_range)) {
            let why = format!("no number at {address} is in the range");
            warn(gate, Location::Value(&key), why);
        }
        let texts: Option<Vec<&str>> = alternatives.iter().map(|a| a.as_str()).collect();
        let Some(texts) = texts else { continue };
        let possible = match address.as_str() {
            "event:source" => texts.iter().any(|text| names_source(route, text)),
            "event:type" => texts.iter().any(|text| names_type(gate, route, text)),
            _ => true,
        };
        if !possible {
            let why = format!("its `events` let no such `{address}` through");
            warn(gate, Location::Value(&key), why);
        }
    }
}

fn names_source(route: &Route, source: &str) -> bool {
    route.events.iter().any(|glob| glob.source() == "*" || glob.source() == source)
}

fn names_type(gate: &Gate<'_>, route: &Arc<Route>, event_type: &str) -> bool {
    let table = RouteTable::new([route]);
    gate.keys("/sources").iter().any(|source| !table.find(source, event_type).is_empty())
}

/// Whether the pairs of operator and number leave no number.
fn empty_range(pairs: &Value) -> bool {
    let (mut low, mut high) = ((f64::NEG_INFINITY, false), (f64::INFINITY, false));
    // A bound and whether it is itself excluded; of two equal ones the excluding one counts.
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
    fn a_range_without_a_number_is_seen() {
        for empty in [json!([">", 10, "<", 5]), json!([">", 5, "<=", 5]), json!(["=", 1, "=", 2])] {
            assert!(empty_range(&empty), "{empty}");
        }
        for some in [json!([">=", 5, "<=", 5]), json!([">", 5]), json!(["=", 1, "<", 2])] {
            assert!(!empty_range(&some), "{some}");
        }
    }
}
