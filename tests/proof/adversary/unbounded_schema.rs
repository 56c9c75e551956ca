//! The canary of the attack with a recursive schema: a process that evaluates it without a bound,
//! in a limited address space. It must not end in time.

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::MAX_ADDRESS_SPACE_MIB;
use super::attacks::{RECURSIVE_SCHEMA, nested_body};

/// The argument with which this program evaluates the schema and does nothing else.
pub(crate) const EVALUATE_UNBOUNDED: &str = "--evaluate-unbounded";

/// How long the evaluation may take before it counts as endless.
const EVALUATION_TIMEOUT: Duration = Duration::from_secs(5);

/// Evaluates the schema of the attack as a validator does that has no bound.
pub(crate) fn evaluate_unbounded() -> ExitCode {
    let schema = serde_json::from_str(RECURSIVE_SCHEMA).unwrap();
    let body = serde_json::from_str(&nested_body()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    match validator.iter_errors(&body).count() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

/// Checks that an evaluation without a bound neither ends in time nor within its memory.
pub(crate) fn check_canary() -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut child = Command::new("prlimit")
        .arg(format!("--as={}", MAX_ADDRESS_SPACE_MIB << 20))
        .arg(program)
        .arg(EVALUATE_UNBOUNDED)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("prlimit: {e}"))?;
    let start = Instant::now();
    while start.elapsed() < EVALUATION_TIMEOUT {
        match child.try_wait().map_err(|e| e.to_string())? {
            // It ran out of memory.
            Some(status) if status.code().is_none_or(|code| code > 2) => return Ok(()),
            Some(_) => {
                return Err("the canary, an evaluation without a bound, ended in time".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(())
}
