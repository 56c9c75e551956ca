//! The rule by which a recorded cause explains a further run: each effect belongs to one recorded
//! run, and each run after the first follows from how the run before it ended. A cause therefore
//! explains at most one further run.

use serde_json::{Value, json};

/// Checks the effects of one event, given by the number of their attempt, against its recorded
/// runs. Returns the number of further effects and of further runs.
pub(crate) fn check_effects(
    name: &str,
    effects: &[u64],
    runs: &[Value],
) -> Result<(usize, usize), String> {
    if effects.is_empty() {
        return Err(format!("{name} is done and had no effect: {runs:?}"));
    }
    let mut further_runs = 0;
    for pair in runs.windows(2) {
        let [before, run] = pair else { continue };
        if !is_explained(before, run) {
            return Err(format!("{name} ran again without a cause: {runs:?}"));
        }
        further_runs += usize::from(run["cause"].is_string());
    }
    let mut attempts: Vec<u64> =
        runs.iter().map(|run| run["attempt"].as_u64().unwrap_or(0)).collect();
    for effect in effects {
        let Some(at) = attempts.iter().position(|attempt| attempt == effect) else {
            return Err(format!(
                "{name} had more effects in attempt {effect} than runs are recorded: {runs:?}"
            ));
        };
        attempts.swap_remove(at);
    }
    Ok((effects.len() - 1, further_runs))
}

/// Returns whether the end of the run before is a reason for this one.
fn is_explained(before: &Value, run: &Value) -> bool {
    let cause = run["cause"].as_str();
    match before["outcome"].as_str() {
        // The next run continues a released one: it has the cause of that one, or none.
        Some("released") => true,
        _ if cause == Some("replay") => true,
        Some("error" | "panic") => cause == Some("error"),
        Some(outcome @ ("timeout" | "crash" | "lease")) => cause == Some(outcome),
        _ => false,
    }
}

/// Checks that the rule finds each violation in records made by hand, and accepts what a server
/// records without a defect.
pub(crate) fn check_canaries() -> Result<(), String> {
    let run = |attempt: u64, cause: Option<&str>, outcome: &str| json!({"attempt": attempt, "cause": cause, "outcome": outcome});
    let first = run(1, None, "done");
    let crashed = run(1, None, "crash");
    let after_crash = run(2, Some("crash"), "done");
    let released = run(1, None, "released");
    let cases = [
        ("one run", true, vec![1], vec![first.clone()]),
        (
            "a crash, and both runs had the effect",
            true,
            vec![1, 2],
            vec![crashed.clone(), after_crash.clone()],
        ),
        ("a crash before the effect", true, vec![2], vec![crashed.clone(), after_crash.clone()]),
        (
            "two crashes",
            true,
            vec![1, 2, 3],
            vec![crashed.clone(), run(2, Some("crash"), "crash"), run(3, Some("crash"), "done")],
        ),
        ("a panic", true, vec![2], vec![run(1, None, "panic"), run(2, Some("error"), "done")]),
        ("a released run", true, vec![1, 1], vec![released, first.clone()]),
        ("a replay", true, vec![1, 1], vec![first.clone(), run(1, Some("replay"), "done")]),
        ("no effect", false, vec![], vec![first.clone()]),
        ("a second effect of one run", false, vec![1, 1], vec![first.clone()]),
        (
            "one crash and a second effect of the run after it",
            false,
            vec![1, 2, 2],
            vec![crashed.clone(), after_crash.clone()],
        ),
        (
            "one crash without an effect, and a second effect of the run after it",
            false,
            vec![2, 2],
            vec![crashed.clone(), after_crash.clone()],
        ),
        (
            "one crash and an unrecorded third run",
            false,
            vec![1, 2, 3],
            vec![crashed.clone(), after_crash.clone()],
        ),
        (
            "one crash that is the cause of two further runs",
            false,
            vec![1, 2, 3],
            vec![crashed.clone(), after_crash.clone(), run(3, Some("crash"), "done")],
        ),
        (
            "a run after one that is done",
            false,
            vec![1, 2],
            vec![first.clone(), run(2, None, "done")],
        ),
        (
            "a crash, and a run without a cause",
            false,
            vec![1, 2],
            vec![crashed.clone(), run(2, None, "done")],
        ),
        (
            "a crash, and another cause",
            false,
            vec![2],
            vec![crashed, run(2, Some("timeout"), "done")],
        ),
    ];
    for (what, valid, effects, runs) in cases {
        let result = check_effects("evt_canary", &effects, &runs);
        if result.is_ok() != valid {
            return Err(format!("the canary, {what}, was judged wrongly: {result:?}"));
        }
    }
    Ok(())
}
