//! `hookward verify --vectors`: one line for each vector, and a line that sums up.

use std::path::Path;
use std::process::ExitCode;

use hookward_core::plugin::Registry;
use hookward_core::vectors::{
    Class, Handshake, Judgement, Vector, VectorFile, Verdict, judge, shake,
};
use serde_json::{Value, json};

use super::choose::choose;
use super::outcome::{handshake, object};
use crate::{WRONG, output};

/// What all lines come to.
#[derive(Debug, Default)]
struct Summary {
    vectors: usize,
    agree: usize,
    normative_disagree: usize,
    policy_disagree: usize,
    handshakes: usize,
    handshakes_agree: usize,
}

/// Judges a file. The error is a file that cannot be read.
pub(super) async fn run(file: &Path, registry: &Registry) -> Result<ExitCode, String> {
    let text = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let vectors: VectorFile = serde_json::from_slice(&text)
        .map_err(|e| format!("{}: not a file of vectors: {e}", file.display()))?;
    if vectors.version != 1 {
        let version = vectors.version;
        return Err(format!(
            "{}: version {version} is unknown; this build reads 1",
            file.display()
        ));
    }
    let mut summary = Summary::default();
    for vector in &vectors.vectors {
        let judgement = judge_one(registry, vector, vectors.now_default).await;
        summary.vectors += 1;
        match (judgement.agrees(vector), vector.class) {
            (true, _) => summary.agree += 1,
            (false, Class::Normative) => summary.normative_disagree += 1,
            (false, Class::Policy) => summary.policy_disagree += 1,
        }
        output::line(object(&[
            ("id", json!(vector.id)),
            ("verdict", json!(judgement.verdict)),
            ("code", json!(judgement.code)),
            ("eventType", json!(judgement.event_type)),
            ("eventId", json!(judgement.event_id)),
        ]));
    }
    for handshake in &vectors.handshakes {
        let (line, agrees) = shake_one(registry, handshake, vectors.now_default).await;
        summary.handshakes += 1;
        summary.handshakes_agree += usize::from(agrees);
        output::line(object(&[vec![("id", json!(handshake.id))], line].concat()));
    }
    output::line(object(&[
        ("vectors", json!(summary.vectors)),
        ("agree", json!(summary.agree)),
        ("normativeDisagree", json!(summary.normative_disagree)),
        ("policyDisagree", json!(summary.policy_disagree)),
        ("handshakes", json!(summary.handshakes)),
        ("handshakesAgree", json!(summary.handshakes_agree)),
    ]));
    let wrong = summary.normative_disagree > 0;
    Ok(if wrong { ExitCode::from(WRONG) } else { ExitCode::SUCCESS })
}

async fn judge_one(registry: &Registry, vector: &Vector, now_default: i64) -> Judgement {
    match choose(registry, &vector.provider, Some(&vector.scheme), json!({})) {
        Ok(chosen) => judge(&*chosen.provider, vector, now_default).await,
        Err(_) => Judgement::reject("UNKNOWN_PROVIDER"),
    }
}

/// The members of the line, and whether the answer is what it must be.
async fn shake_one(
    registry: &Registry,
    vector: &Handshake,
    now_default: i64,
) -> (Vec<(&'static str, Value)>, bool) {
    let reject = |code| (vec![("verdict", json!(Verdict::Reject)), ("code", json!(code))], false);
    let Ok(chosen) = choose(registry, &vector.provider, None, json!({})) else {
        return reject("UNKNOWN_PROVIDER");
    };
    match shake(&*chosen.provider, vector, now_default).await {
        Ok(Some(reply)) => (handshake(&reply).to_vec(), vector.response.agrees(&reply)),
        // An ordinary event, where a handshake was meant.
        Ok(None) => (vec![("verdict", json!(Verdict::Accept))], false),
        Err(e) => reject(e.code()),
    }
}
