//! Warnings about routes that no event can match: allowed, but surely a mistake. They come from
//! `match` and `events` alone; `when` expressions are not analysed beyond the literal `false`.

use std::cmp::Ordering;
use std::sync::Arc;

use hookward_core::{Decimal, ExactJson};
use serde_json::Value;

use super::compile_cx::CompileCx;
use super::exact_block::exact_block;
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
    let Some(match_block) = match_block else { return };
    let match_at = format!("{at}/match");
    let exact = exact_block(cx.document, &match_at, match_block);
    let exact = exact.exact_json().unwrap_or_else(|_| ExactJson::from(match_block));
    for address in match_block.as_object().into_iter().flat_map(|block| block.keys()) {
        let Some(wanted) = exact.member(address) else { continue };
        let key = pointer::join(&match_at, address);
        let alternatives: Vec<_> = match wanted.value() {
            Value::Array(_) => wanted.items().collect(),
            _ => vec![wanted],
        };
        if alternatives.iter().all(|a| a.member("numeric").is_some_and(is_empty_range)) {
            let reason = format!("no number is in the range of `{address}`");
            warn(cx, Location::Value(&key), reason);
        }
        let texts: Option<Vec<&str>> = alternatives.iter().map(|a| a.value().as_str()).collect();
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
fn is_empty_range(pairs: ExactJson<'_>) -> bool {
    // A bound and whether it is open, which excludes the bound itself; of two equal bounds the open
    // one is tighter.
    type Bound = Option<(Decimal, bool)>;
    let (mut low, mut high): (Bound, Bound) = (None, None);
    let tighten = |to: &mut Bound, bound: &Decimal, open: bool, above: bool| {
        let is_tighter = to.as_ref().is_none_or(|(known, _)| match bound.cmp(known) {
            Ordering::Equal => open,
            order => (order == Ordering::Greater) == above,
        });
        if is_tighter {
            *to = Some((bound.clone(), open));
        }
    };
    let pairs: Vec<_> = pairs.items().collect();
    for pair in pairs.chunks(2) {
        let [operator, number] = pair else { return false };
        let (Some(operator), Some(bound)) = (operator.value().as_str(), number.number()) else {
            return false;
        };
        if matches!(operator, ">" | ">=" | "=") {
            tighten(&mut low, &bound, operator == ">", true);
        }
        if matches!(operator, "<" | "<=" | "=") {
            tighten(&mut high, &bound, operator == "<", false);
        }
    }
    let (Some(low), Some(high)) = (low, high) else { return false };
    low.0 > high.0 || (low.0 == high.0 && (low.1 || high.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_range_that_holds_no_number_is_detected() {
        for empty in [json!([">", 10, "<", 5]), json!([">", 5, "<=", 5]), json!(["=", 1, "=", 2])] {
            assert!(is_empty_range(ExactJson::from(&empty)), "{empty}");
        }
        for some in [json!([">=", 5, "<=", 5]), json!([">", 5]), json!(["=", 1, "<", 2])] {
            assert!(!is_empty_range(ExactJson::from(&some)), "{some}");
        }
    }
}
