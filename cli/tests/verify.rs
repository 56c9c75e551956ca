//! `hookward verify` as its users run it: the binary, captured requests, and what it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(unused_crate_dependencies)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The time at which the captured requests were received.
const AT: &str = "1760000000";

/// A captured failure and what must be said of it.
struct Case {
    file: String,
    provider: String,
    secrets: Vec<String>,
    with: Vec<String>,
    at: String,
    code: String,
    says: Vec<String>,
}

fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_slice(&std::fs::read(data("cases.json")).unwrap()).unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let texts = |case: &Value, key: &str| {
        let list = case[key].as_array().cloned().unwrap_or_default();
        list.iter().map(|t| t.as_str().unwrap().to_owned()).collect()
    };
    let case = |case: &Value| Case {
        file: text(case, "file"),
        provider: text(case, "provider"),
        secrets: texts(case, "secrets"),
        with: texts(case, "with"),
        at: case["at"].as_str().unwrap_or(AT).to_owned(),
        code: text(case, "code"),
        says: texts(case, "says"),
    };
    all.as_array().unwrap().iter().map(case).collect()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify").join(name)
}

fn hookward(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hookward")).arg("verify").args(args).output().unwrap()
}

/// Exit code and the object printed.
fn verify(args: &[&str]) -> (i32, Value) {
    let output = hookward(&[args, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text} {}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), serde_json::from_str(&text).unwrap())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_known_mistake_is_named_for_every_provider_and_no_secret_is_printed() {
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        let file = data(&format!("{}.http", case.file));
        let mut args = vec!["--provider", &case.provider, file.to_str().unwrap()];
        args.extend(["--at", &case.at]);
        case.secrets.iter().for_each(|s| args.extend(["--secret", s]));
        case.with.iter().for_each(|w| args.extend(["--with", w]));
        let (exit, said) = verify(&args);
        let explanation = said["explanation"].as_str().unwrap_or_default();
        let named = case.says.iter().all(|phrase| explanation.contains(phrase.as_str()));
        if exit != 1 || said["verdict"] != "reject" || said["code"] != *case.code || !named {
            wrong.push(format!(
                "{} --provider {}\n  wanted {} {:?}\n  got    {said}",
                case.file, case.provider, case.code, case.says
            ));
        }
        for hidden in hidden(case, &std::fs::read(&file).unwrap()) {
            if explanation.contains(&hidden) {
                wrong.push(format!("{}: says `{hidden}`", case.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What must not be said: secrets, signatures, words of the body.
fn hidden(case: &Case, file: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(file);
    let long_words = text.split(|c: char| !(c.is_alphanumeric() || "+/=_-".contains(c)));
    let tags = long_words.filter(|w| w.len() >= 27).map(str::to_owned);
    let secrets = case.secrets.iter().map(|s| s.trim().to_owned()).filter(|s| s.len() > 6);
    tags.chain(secrets).chain(["evt_hidden".to_owned()]).collect()
}

#[test]
fn a_genuine_request_is_accepted_with_its_event_and_the_secret_that_matched() {
    let file = data("accepted.http");
    let file = file.to_str().unwrap();
    let base = [
        "--provider",
        "stripe",
        "--secret",
        "whsec_other",
        "--secret",
        "whsec_test_secret_of_stripe",
        file,
    ];
    let (exit, said) = verify(&[&base[..], &["--at", "2025-10-09T08:53:20Z"]].concat());
    assert_eq!(exit, 0);
    assert_eq!(
        said,
        json!({
            "verdict": "accept",
            "eventType": "payment_intent.succeeded",
            "eventId": "evt_hidden",
            "events": [{"type": "payment_intent.succeeded", "id": "evt_hidden"}],
            "secret": 1,
        })
    );
    let output = hookward(&[&base[..], &["--at", "1760000400", "--tolerance", "10m"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("accepted") && text.contains("secret 2 of 2"), "{text}");
}

#[test]
fn a_handshake_prints_its_answer() {
    let file = data("handshake.http");
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let args = ["--provider", "slack", "--secret", secret, "--at", AT, file.to_str().unwrap()];
    let (exit, said) = verify(&args);
    assert_eq!(exit, 0);
    assert_eq!(
        said,
        json!({
            "verdict": "handshake",
            "status": 200,
            "headers": {"content-type": "text/plain", "x-content-type-options": "nosniff"},
            "body": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",
        })
    );
}

#[test]
fn a_request_is_read_from_standard_input_and_a_secret_from_a_file() {
    let request = std::fs::read(data("accepted.http")).unwrap();
    let secret = format!("@{}", data("secret.txt").display());
    let mut child = Command::new(env!("CARGO_BIN_EXE_hookward"))
        .args(["verify", "--provider", "stripe", "--secret", &secret, "--at", AT, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("evt_hidden"));
}

#[test]
fn an_unknown_provider_is_an_error_that_lists_the_known_ones() {
    let file = data("accepted.http");
    let (exit, said) = verify(&["--provider", "strip", "--secret", "x", file.to_str().unwrap()]);
    assert_eq!(exit, 2);
    assert_eq!(said["code"], "UNKNOWN_PROVIDER");
    assert!(said["explanation"].as_str().unwrap().contains("Did you mean `stripe`"));
}

#[test]
fn wrong_usage_exits_with_2_says_why_on_stderr_and_prints_nothing() {
    let (good, bad) = (data("accepted.http"), data("bad.http"));
    let (good, bad) = (good.to_str().unwrap(), bad.to_str().unwrap());
    let stripe = ["--provider", "stripe", "--secret", "x"];
    for (args, word) in [
        (vec!["--provider", "stripe", good], "--secret"),
        (vec!["--provider", "stripe", "--secret", "x", "no-such.http"], "no-such.http"),
        ([&stripe[..], &[bad]].concat(), "line 3"),
        ([&stripe[..], &["--at", "soon", good]].concat(), "RFC 3339"),
        ([&stripe[..], &["--with", "a=1", good]].concat(), "unknown field"),
        ([&stripe[..], &["--with", "a", good]].concat(), "KEY=VALUE"),
        (vec!["--provider", "hmac", "--secret", "x", good], "signature"),
        (vec!["--vectors", "no-such.json"], "no-such.json"),
        (vec!["--vectors", good], "not a file of vectors"),
        (vec!["--vectors", "x.json", "--provider", "stripe"], "cannot be used with"),
        (vec![], "--provider"),
    ] {
        let output = hookward(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(stderr(&output).contains(word), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn verify_vectors_prints_a_line_for_each_vector_and_fails_for_a_wrong_normative_one() {
    let lines = |name: &str| {
        let output = hookward(&["--vectors", data(name).to_str().unwrap()]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        (output.status.code().unwrap(), lines)
    };
    let (exit, agreeing) = lines("vectors.json");
    let wanted: Vec<Value> =
        serde_json::from_slice(&std::fs::read(data("vectors-lines.json")).unwrap()).unwrap();
    assert_eq!(agreeing, wanted);
    assert_eq!(exit, 0);
    let (exit, disagreeing) = lines("vectors-wrong.json");
    assert_eq!(exit, 1);
    let summary = json!({
        "vectors": 2, "agree": 0, "normativeDisagree": 1, "policyDisagree": 1,
        "handshakes": 1, "handshakesAgree": 0,
    });
    assert_eq!(disagreeing.last().unwrap(), &summary);
}
