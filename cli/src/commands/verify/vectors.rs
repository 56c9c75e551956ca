//! `hookward verify --vectors`: one line for each vector, and a line that sums up.

use std::path::Path;
use std::process::ExitCode;

use hookward_core::VerifyError;
use hookward_core::plugin::Registry;
use hookward_vectors::{
    Class, HandshakeVector, Vector, VectorFile, VectorOutcome, Verdict, run_handshake, run_vector,
};
use serde_json::{Value, json};

use super::choose::choose;
use super::outcome::{handshake, object};
use crate::{EXIT_ERROR, output};

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
    let mut vectors: VectorFile = serde_json::from_slice(&text)
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
        let outcome = run_one_vector(registry, vector, vectors.now_default).await;
        summary.vectors += 1;
        match (outcome.matches(vector), vector.class) {
            (true, _) => summary.agree += 1,
            (false, Class::Normative) => summary.normative_disagree += 1,
            (false, Class::Policy) => summary.policy_disagree += 1,
        }
        output::line(object(&[
            ("id", json!(vector.id)),
            ("verdict", json!(outcome.verdict)),
            ("code", json!(outcome.code)),
            ("eventType", json!(outcome.event_type)),
            ("eventId", json!(outcome.event_id)),
        ]));
    }
    for handshake in &mut vectors.handshakes {
        borrow_keys(handshake, &vectors.vectors);
        let (line, agrees) = run_one_handshake(registry, handshake, vectors.now_default).await;
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
    Ok(if wrong { ExitCode::from(EXIT_ERROR) } else { ExitCode::SUCCESS })
}

async fn run_one_vector(registry: &Registry, vector: &Vector, now_default: i64) -> VectorOutcome {
    match choose(registry, &vector.provider, Some(&vector.scheme), vector.inputs.settings()) {
        Ok(chosen) => run_vector(&*chosen.provider, vector, now_default).await,
        Err(_) => VectorOutcome::rejected("UNKNOWN_PROVIDER"),
    }
}

/// A sender signs everything with the same keys, so a set-up request without keys uses those of the sender's
/// first vector that has keys.
fn borrow_keys(handshake: &mut HandshakeVector, vectors: &[Vector]) {
    if handshake.inputs.fixed_keys().is_some() {
        return;
    }
    let mut same = vectors.iter().filter(|v| v.provider == handshake.provider);
    if let Some(vector) = same.find(|v| v.inputs.fixed_keys().is_some()) {
        handshake.inputs = vector.inputs.clone();
    }
}

/// The settings of a set-up request besides the secret: CloudEvents needs the allowed origins, here those of its
/// specification and of Event Grid.
fn settings(handshake: &HandshakeVector) -> Value {
    match handshake.provider.as_str() {
        "cloudevents" => json!({"origins": ["eventemitter.example.com", "eventgrid.azure.net"]}),
        _ => handshake.inputs.settings(),
    }
}

/// The JSON members of the line, and whether the answer agrees.
async fn run_one_handshake(
    registry: &Registry,
    vector: &HandshakeVector,
    now_default: i64,
) -> (Vec<(&'static str, Value)>, bool) {
    let reject = |code| vec![("verdict", json!(Verdict::Reject)), ("code", json!(code))];
    let Ok(chosen) = choose(registry, &vector.provider, None, settings(vector)) else {
        return (reject("UNKNOWN_PROVIDER"), false);
    };
    match run_handshake(&*chosen.provider, vector, now_default).await {
        Ok(Some(reply)) => (handshake(&reply).to_vec(), vector.response.matches(&reply)),
        // The request was treated as an ordinary event.
        Ok(None) => (vec![("verdict", json!(Verdict::Accept))], false),
        Err(e) => {
            let agrees = vector.response.matches_rejection(&e);
            let status = if matches!(e, VerifyError::KeyUnavailable { .. }) { 503 } else { 401 };
            let answer = [("status", json!(status)), ("headers", json!({})), ("body", json!(""))];
            ([reject(e.code()), answer.to_vec()].concat(), agrees)
        }
    }
}
