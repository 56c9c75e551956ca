//! Runs the conformance suite of `handler: exec` and tests its promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{Event, Flow, Handler, HandlerError, RetryDecision};
use hookward_testkit::handler::{cx, sample_event, sample_parts};
use serde_json::{Value, json};

hookward_testkit::handler_suite!(
    hookward_handler_exec::PLUGINS,
    "exec",
    json!({ "command": ["cat"], "env": { "TOKEN": "hunter2-hunter2" } })
);

fn try_build(base_dir: &Path, with: Value) -> Result<Arc<dyn Handler>, BuildError> {
    let Plugin::Handler(exec) = hookward_handler_exec::PLUGINS[0] else { panic!("not a handler") };
    (exec.build)(with, &BuildCx::new(base_dir, "exec"))
}

/// Runs a shell script in `dir` for `event`.
async fn script(dir: &Path, script: &str, event: &Event) -> Result<Flow, HandlerError> {
    let handler = try_build(dir, json!({ "command": ["sh", "-c", script] })).unwrap();
    let cx = cx(event).with_attempt(2);
    handler.handle(event.clone(), &cx).await
}

async fn failure(what: &str) -> HandlerError {
    let dir = tempfile::tempdir().unwrap();
    script(dir.path(), what, &sample_event("order.paid", "{\"card\":4242}")).await.unwrap_err()
}

#[tokio::test]
async fn the_event_is_on_standard_input_and_in_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let headers = [("x-shop".to_owned(), "orchard".to_owned())];
    let event = Event::new(sample_parts("order.paid", "{\"n\":1}").with_headers(headers.into()));
    script(dir.path(), "cat > in; env | grep ^HOOKWARD_ | sort > env", &event).await.unwrap();
    let line: Value = serde_json::from_slice(&fs::read(dir.path().join("in")).unwrap()).unwrap();
    assert_eq!((&line["body"]["n"], &line["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(line["headers"], json!({ "x-shop": "orchard" }));
    let id = event.id();
    assert_eq!(
        fs::read_to_string(dir.path().join("env")).unwrap(),
        format!(
            "HOOKWARD_ATTEMPT=2\nHOOKWARD_EVENT_ID={id}\nHOOKWARD_EVENT_TYPE=order.paid\n\
             HOOKWARD_ROUTE=sample\nHOOKWARD_SOURCE=partner\n"
        )
    );
}

#[tokio::test]
async fn the_program_gets_only_the_documented_environment() {
    let dir = tempfile::tempdir().unwrap();
    let with = json!({ "command": ["sh", "-c", "env > env"], "env": { "MINE": "x" } });
    let event = Event::new(sample_parts("", "{}").with_event_type(None));
    let handler = try_build(dir.path(), with).unwrap();
    handler.handle(event.clone(), &cx(&event)).await.unwrap();
    let text = fs::read_to_string(dir.path().join("env")).unwrap();
    // PWD, OLDPWD, SHLVL and _ are the shell's own.
    let known = ["PATH", "HOME", "LANG", "TZ", "MINE", "PWD", "OLDPWD", "SHLVL", "_"];
    let foreign = |name: &&str| !known.contains(name) && !name.starts_with("HOOKWARD_");
    let names: Vec<_> = text.lines().filter_map(|l| l.split_once('=')).map(|(n, _)| n).collect();
    assert_eq!(names.iter().copied().filter(foreign).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(names.contains(&"MINE") && text.contains("HOOKWARD_EVENT_TYPE=\n"), "{text}");
    assert!(
        std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"),
        "there was something to hide"
    );
}

#[tokio::test]
async fn every_failure_is_retried_and_names_how_the_program_ended() {
    for (what, words) in [
        ("exit 75", "exited with 75, asking for a retry"),
        ("exit 3", "exited with 3"),
        ("kill -9 $$", "killed by signal 9"),
        ("printf 'no\\n\\033[31mpaper\\n' >&2; exit 1", "exited with 1: no\\n\\u{1b}[31mpaper"),
    ] {
        let error = failure(what).await;
        assert_eq!(error.retry_decision(), RetryDecision::Retry, "{what}");
        assert!(error.message().ends_with(words), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn standard_output_is_not_shown_and_standard_error_is_cut_to_its_end() {
    assert!(!failure("cat; exit 1").await.message().contains("4242"));
    let long = failure("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1").await;
    assert!(long.message().len() < 1200 && long.message().ends_with("xend"), "{long:?}");
}

#[tokio::test]
async fn a_program_that_does_not_read_its_input_may_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let event = sample_event("order.paid", "x".repeat(1_000_000));
    script(dir.path(), "exit 0", &event).await.unwrap();
}

#[tokio::test]
async fn at_the_step_timeout_the_program_and_its_children_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    // Two generations of children: a shell, a shell in the background, and its sleep.
    let tree = "(sleep 60 & echo $! > grandchild; wait) & echo $$ > self; wait";
    let event = sample_event("order.paid", "{}");
    let run = script(dir.path(), tree, &event);
    assert!(tokio::time::timeout(Duration::from_millis(700), run).await.is_err());
    for file in ["self", "grandchild"] {
        let pid = fs::read_to_string(dir.path().join(file)).unwrap();
        wait_until_gone(pid.trim()).await;
    }
}

#[tokio::test]
async fn processes_left_by_a_program_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    let event = sample_event("order.paid", "{}");
    let run = script(dir.path(), "sleep 60 & echo $! > child; exit 0", &event);
    tokio::time::timeout(Duration::from_secs(5), run).await.expect("no waiting for it").unwrap();
    wait_until_gone(fs::read_to_string(dir.path().join("child")).unwrap().trim()).await;
}

/// Waits until a process has ended: it is not running, or it is a zombie that this process has not
/// reaped. (Init reaps a grandchild.)
async fn wait_until_gone(pid: &str) {
    for _ in 0..100 {
        match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
            _ => return,
        }
    }
    panic!("process {pid} is still there");
}

#[tokio::test]
async fn a_relative_program_starts_at_the_folder_of_routes_yaml() {
    let dir = tempfile::tempdir().unwrap();
    let with = json!({ "command": ["./own", "-c", "echo ran > ran"] });
    let handler = try_build(dir.path(), with).unwrap();
    fs::write(dir.path().join("own"), "not executable").unwrap();
    assert!(handler.probe().await.unwrap_err().message.contains("./own"));
    fs::remove_file(dir.path().join("own")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", dir.path().join("own")).unwrap();
    handler.probe().await.unwrap();
    let event = sample_event("order.paid", "{}");
    handler.handle(event.clone(), &cx(&event)).await.unwrap();
    assert!(dir.path().join("ran").exists());
}

#[tokio::test]
async fn a_missing_program_fails_the_probe_and_is_retried_at_run_time() {
    let dir = tempfile::tempdir().unwrap();
    let handler = try_build(dir.path(), json!({ "command": ["no-such-program-at-all"] })).unwrap();
    assert!(handler.probe().await.unwrap_err().message.contains("not found on PATH"));
    let event = sample_event("order.paid", "{}");
    let error = handler.handle(event.clone(), &cx(&event)).await.unwrap_err();
    assert_eq!(error.retry_decision(), RetryDecision::Retry);
}

#[test]
fn invalid_commands_are_config_errors_at_their_key() {
    for (with, at) in [
        (json!({ "command": [] }), "/command"),
        (json!({ "command": [""] }), "/command"),
        (json!({ "command": ["a", "b\0"] }), "/command"),
        (json!({ "command": ["a"], "env": { "a=b/c": "x" } }), "/env/a=b~1c"),
    ] {
        assert_eq!(try_build(Path::new("."), with.clone()).unwrap_err().at, at, "{with}");
    }
}
