//! Runs the conformance suite of `handler: file` and tests its promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{Handler, RetryDecision};
use hookward_testkit::handler::{cx, sample_event};
use serde_json::{Value, json};

hookward_testkit::handler_suite!(
    hookward_handler_file::PLUGINS,
    "file",
    json!({ "path": "events.jsonl" })
);

fn try_build(base_dir: &Path, path: &str) -> Result<Arc<dyn Handler>, BuildError> {
    let Plugin::Handler(file) = hookward_handler_file::PLUGINS[0] else { panic!("not a handler") };
    (file.build)(json!({ "path": path }), &BuildCx::new(base_dir, "file"))
}

fn build(base_dir: &Path, path: &str) -> Arc<dyn Handler> {
    try_build(base_dir, path).unwrap()
}

async fn append(handler: &Arc<dyn Handler>, body: impl Into<String>) {
    let event = sample_event("order.paid", body.into());
    handler.handle(event.clone(), &cx(&event)).await.unwrap();
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

#[tokio::test]
async fn an_event_becomes_one_line_in_the_folder_of_routes_yaml() {
    let dir = tempfile::tempdir().unwrap();
    let event = sample_event("order.paid", "{\n  \"n\": 1.10\n}\n");
    let cx = cx(&event).with_attempt(2);
    build(dir.path(), "a.jsonl").handle(event.clone(), &cx).await.unwrap();
    let text = fs::read_to_string(dir.path().join("a.jsonl")).unwrap();
    assert_eq!(
        text,
        format!(
            "{{\"id\":\"{}\",\"source\":\"partner\",\"eventType\":\"order.paid\",\"eventId\":\"evt_1\",\
             \"receivedAt\":\"2025-10-09T08:53:20Z\",\"route\":\"sample\",\"attempt\":2,\"headers\":{{\"content-type\":\"application/json\"}},\"body\":{{  \"n\": 1.10}}}}\n",
            event.id()
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_steps_of_two_handlers_write_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let handlers = [build(dir.path(), "a.jsonl"), build(dir.path(), "./a.jsonl")];
    let mut steps = tokio::task::JoinSet::new();
    for n in 0..200_usize {
        let handler = handlers[n % 2].clone();
        let padding = "x".repeat(n * 100);
        steps.spawn(
            async move { append(&handler, json!({ "n": n, "p": padding }).to_string()).await },
        );
    }
    steps.join_all().await;
    let seen: BTreeSet<_> = lines(&dir.path().join("a.jsonl"))
        .iter()
        .map(|l| l["body"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(seen.len(), 200);
}

#[tokio::test]
async fn a_torn_last_line_is_completed_before_the_next_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, "{\"whole\":1}\n{\"torn\":").unwrap();
    let handler = build(dir.path(), "a.jsonl");
    append(&handler, "{}").await;
    append(&handler, "{}").await;
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[1]), (4, "{\"torn\":"));
    assert!(serde_json::from_str::<Value>(lines[2]).is_ok());
}

#[tokio::test]
async fn a_rotated_or_removed_file_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let handler = build(dir.path(), "a.jsonl");
    append(&handler, "1").await;
    fs::rename(&path, dir.path().join("a.jsonl.1")).unwrap();
    append(&handler, "2").await;
    fs::remove_file(&path).unwrap();
    append(&handler, "3").await;
    assert_eq!(lines(&dir.path().join("a.jsonl.1")).len(), 1);
    assert_eq!(lines(&path)[0]["body"], 3);
}

#[tokio::test]
async fn a_missing_folder_fails_the_probe_and_is_retried_at_run_time() {
    let dir = tempfile::tempdir().unwrap();
    let handler = build(dir.path(), "not/there.jsonl");
    assert!(handler.probe().await.unwrap_err().message.contains("not"));
    let event = sample_event("order.paid", "{}");
    let error = handler.handle(event.clone(), &cx(&event)).await.unwrap_err();
    assert_eq!(error.retry_decision(), RetryDecision::Retry);
    fs::create_dir(dir.path().join("not")).unwrap();
    handler.probe().await.unwrap();
    assert_eq!(fs::read_dir(dir.path().join("not")).unwrap().count(), 0, "a probe creates nothing");
    append(&handler, "{}").await;
    handler.probe().await.unwrap();
}

#[tokio::test]
async fn a_device_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let event = sample_event("order.paid", "{}");
    let error =
        build(dir.path(), "/dev/null").handle(event.clone(), &cx(&event)).await.unwrap_err();
    assert!(error.message().contains("not a regular file"), "{error:?}");
}

#[test]
fn a_path_without_a_file_name_is_a_config_error() {
    for path in ["", "folder/", "..", "/"] {
        let error = try_build(Path::new("."), path).unwrap_err();
        assert_eq!(error.at, "/path", "{path}");
    }
}
