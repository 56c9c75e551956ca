//! Hookward inside an app: handler functions of every form, the app's own router beside it, a server
//! of the app's own, and what a start that cannot succeed says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hookward::{
    App, AppError, BuildAppError, Event, Flow, HandlerCx, HandlerError, Hooks, Payload,
};
use hookward_core::store::{EventDetail, Filter, JobState, Status};
use hookward_core::{Body, plugin::Plugin};
use hookward_testkit::handler::Recorder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PLUGINS: &[&[Plugin]] = &[hookward_provider_none::PLUGINS, hookward_store_sqlite::PLUGINS];

/// A routes.yaml with one source and one route of this chain.
fn routes(chain: &str) -> String {
    format!(
        "store: 'memory:'\n\
         sources: {{ hooks: {{ provider: none, with: {{ event_type: /type }} }} }}\n\
         routes:\n\
         - {{ name: all, events: hooks/**, retry: {{ first_delay: 0s }}, chain: {chain} }}\n"
    )
}

fn place(routes: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.yaml");
    std::fs::write(&file, routes).unwrap();
    (folder, file)
}

fn app(routes: &str) -> (TempDir, App) {
    let (folder, file) = place(routes);
    (folder, App::with_plugins(file, PLUGINS).unwrap())
}

#[derive(Debug, serde::Deserialize)]
struct Order {
    id: u64,
}

/// What handlers wrote down, in order.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Serves on a free port with axum's own server.
async fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn call(address: &str, method: &str, target: &str, body: &str) -> (u16, String) {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Builds the app, sends it one event, and waits until that is settled.
async fn run(app: App, body: Value) -> EventDetail {
    let hooks = app.build().await.unwrap();
    let address = served(hooks.router()).await;
    let (status, answer) = call(&address, "POST", "/webhooks/hooks", &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let detail = settled(&hooks).await;
    hooks.stop().await;
    detail
}

/// The newest event, once nothing of it waits any more.
async fn settled(hooks: &Hooks) -> EventDetail {
    let store = hooks.store().clone();
    let browse = store.browse().unwrap();
    for _ in 0..1000 {
        let page = browse.list(&Filter::default(), 1, None).await.unwrap();
        if let Some(event) = page.events.first().filter(|e| e.status != Status::Pending) {
            return browse.show(event.id).await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not settled after ten seconds");
}

fn order() -> Value {
    json!({"type": "order.paid", "id": 7})
}

async fn of_a_payload(seen: Seen, order: Payload<Order>, _: HandlerCx) -> Result<(), HandlerError> {
    seen.add(format!("{} of {}", order.id, order.event().event_type().unwrap()));
    Ok(())
}

async fn of_an_event(seen: Seen, event: Event, cx: HandlerCx) -> Result<Flow, HandlerError> {
    seen.add(format!("{} at {}", event.source(), cx.step));
    Ok(Flow::Next)
}

async fn nothing_but(order: Payload<Order>, _: HandlerCx) -> Result<(), HandlerError> {
    if order.into_inner().id == 7 { Ok(()) } else { Err(HandlerError::fatal("not the order sent")) }
}

#[tokio::test]
async fn a_handler_is_a_function_or_a_closure_of_a_payload_or_an_event_alone_or_with_a_state() {
    let seen = Seen::default();
    let (captured, recorder) = (seen.clone(), Recorder::new());
    let (_folder, app) = app(&routes("[one, two, three, four, five, six]"));
    let app = app
        .handler("one", nothing_but)
        .handler("two", (seen.clone(), of_a_payload))
        .handler("three", (seen.clone(), of_an_event))
        .handler("four", move |order: Payload<Order>, _: HandlerCx| {
            captured.add(format!("captured {}", order.id));
            async { Ok(()) }
        })
        .handler("five", |event: Event, _: HandlerCx| async move {
            event.json()?;
            Ok::<_, HandlerError>(())
        })
        .handler_value("six", Arc::new(recorder.clone()));
    let detail = run(app, order()).await;
    assert_eq!(detail.summary.status, Status::Done, "{:?}", detail.jobs);
    assert_eq!(seen.all(), ["7 of order.paid", "hooks at three", "captured 7"]);
    assert_eq!(recorder.runs().len(), 1);
}

#[tokio::test]
async fn a_flow_replaces_the_event_for_later_steps_or_stops_the_chain() {
    let seen = Seen::default();
    let (_folder, app) = app(&routes("[replace, two, stop, never]"));
    let app = app
        .handler("replace", |event: Event, _: HandlerCx| async move {
            Ok::<_, HandlerError>(Flow::Replace(event.with_body(Body::from_json(json!({"id": 8})))))
        })
        .handler("two", (seen.clone(), of_a_payload))
        .handler("stop", |_: Event, _: HandlerCx| async {
            Ok::<_, HandlerError>(Flow::Stop { reason: "enough".to_owned() })
        })
        .handler("never", (seen.clone(), of_an_event));
    let detail = run(app, order()).await;
    assert_eq!(seen.all(), ["8 of order.paid"]);
    let last = detail.jobs[0].attempts.last().unwrap();
    assert_eq!((last.outcome.as_str(), last.error.as_deref()), ("stopped", Some("enough")));
}

#[tokio::test]
async fn an_error_by_question_mark_is_tried_again_under_the_same_key() {
    let seen = Seen::default();
    let (_folder, app) = app(&routes("[flaky]"));
    let flaky = |seen: Seen, _: Event, cx: HandlerCx| async move {
        seen.add(cx.idempotency_key());
        if cx.attempt < 3 {
            "x".parse::<u8>()?;
        }
        Ok::<_, HandlerError>(())
    };
    let detail = run(app.handler("flaky", (seen.clone(), flaky)), order()).await;
    assert_eq!((detail.jobs[0].state, detail.jobs[0].attempt), (JobState::Done, 3));
    let key = format!("{}:all", detail.summary.id);
    assert_eq!(seen.all(), [key.clone(), key.clone(), key]);
}

#[tokio::test]
async fn a_body_that_is_not_the_type_is_dead_without_a_second_attempt_and_without_a_quotation() {
    let bodies = [
        (json!({"type": "x"}), "`id` is missing"),
        (json!({"type": "x", "id": "4111-secret"}), "u64 is expected"),
    ];
    for (body, said) in bodies {
        let (_folder, app) = app(&routes("[one]"));
        let detail = run(app.handler("one", nothing_but), body).await;
        let job = &detail.jobs[0];
        let reason = job.reason.as_deref().unwrap();
        assert_eq!((job.state, job.attempt), (JobState::Dead, 1));
        assert!(reason.contains("Order") && reason.contains(said), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn the_apps_own_pages_and_its_fallback_stay_its_own_under_axums_own_server() {
    let (_folder, app) = app(&routes("[one]"));
    let hooks = app.handler("one", nothing_but).build().await.unwrap();
    let own = Router::new()
        .route("/", get(|| async { "home" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page") });
    let address = served(own.merge(hooks.router())).await;
    assert_eq!(call(&address, "GET", "/", "").await, (200, "home".to_owned()));
    assert_eq!(call(&address, "GET", "/nowhere", "").await, (404, "no such page".to_owned()));
    assert_eq!(call(&address, "GET", "/health", "").await.0, 200);
    let (status, answer) = call(&address, "POST", "/webhooks/nobody", "{}").await;
    assert!(status == 404 && answer.contains("UNKNOWN_SOURCE"), "{status} {answer}");
    let body = order().to_string();
    assert_eq!(call(&address, "POST", "/webhooks/hooks", &body).await.0, 200);
    assert_eq!(settled(&hooks).await.summary.status, Status::Done);
    hooks.stop().await;
    assert_eq!(call(&address, "POST", "/webhooks/hooks", &body).await.0, 503);
}

/// `hookward-provider-none` is linked into this test.
#[test]
fn a_registry_filled_by_hand_knows_nothing_else_that_is_linked() {
    let (_folder, file) = place(&routes("[one]"));
    let app = App::with_plugins(&file, &[]).unwrap().handler("one", nothing_but);
    assert_eq!(app.registry().names("store"), ["memory"]);
    let mistakes = app.check().unwrap_err().to_string();
    assert!(mistakes.contains("`none`"), "{mistakes}");
    let app = App::from_file(&file).unwrap().handler("one", nothing_but);
    assert!(app.check().is_ok());
}

#[test]
fn one_plugin_given_twice_is_refused_with_its_name() {
    let twice = [hookward_provider_none::PLUGINS, hookward_provider_none::PLUGINS];
    let error = App::with_plugins("routes.yaml", &twice).unwrap_err();
    assert!(matches!(error, AppError::Plugins(_)), "{error:?}");
    assert!(error.to_string().contains("hookward-provider-none"), "{error}");
}

#[tokio::test]
async fn a_chain_that_names_no_function_fails_the_check_and_the_start_with_the_nearest_name() {
    let (_folder, app) = app(&routes("[fulfil_oder]"));
    let app = app.handler("fulfil_order", nothing_but);
    let checked = app.check().unwrap_err().to_string();
    assert!(checked.contains("did you mean `fulfil_order`?"), "{checked}");
    match app.build().await.unwrap_err() {
        BuildAppError::Config(mistakes) => assert_eq!(mistakes.to_string(), checked),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_function_takes_no_settings_from_the_file() {
    let (_folder, app) = app(&routes("[{ handler: one, with: { at: /data } }]"));
    let mistakes = app.handler("one", nothing_but).check().unwrap_err().to_string();
    assert!(mistakes.contains("`one` is a function of this app and takes no `with`"), "{mistakes}");
}

#[test]
fn a_function_is_found_before_a_linked_handler_of_its_name() {
    let (_folder, file) = place(&routes("[noop]"));
    let plugins = [hookward_provider_none::PLUGINS, hookward_handler_noop::PLUGINS];
    let app = App::with_plugins(file, &plugins).unwrap();
    let step = |app: &App| {
        let config = hookward::internal::load(app).unwrap().config;
        format!("{:?}", config.routes["all"].chain[0].handler)
    };
    assert_eq!(step(&app), "Noop");
    assert_eq!(step(&app.handler("noop", nothing_but)), "FnHandler(noop)");
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_stops_the_start_and_names_itself_and_the_reason() {
    let text = routes("[one]").replace("memory:", "sqlite:taken");
    let (folder, app) = app(&text);
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    match app.handler("one", nothing_but).build().await.unwrap_err() {
        BuildAppError::Store { url, reason } => {
            assert_eq!(url, "sqlite:taken");
            assert!(reason.contains("is a folder"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_store_has_one_owner_at_a_time_and_can_be_opened_again_after_the_stop() {
    let text = routes("[one]").replace("memory:", "sqlite:kept.db");
    let (_folder, app) = app(&text);
    let app = app.handler("one", nothing_but);
    let first = app.clone().build().await.unwrap();
    let second = app.clone().build().await.unwrap_err();
    assert!(matches!(second, BuildAppError::Store { .. }), "{second:?}");
    first.stop().await;
    app.build().await.unwrap().stop().await;
}

#[tokio::test]
async fn hooks_that_are_dropped_without_a_stop_do_no_harm() {
    let (_folder, app) = app(&routes("[idle]"));
    let seen = Seen::default();
    let hooks = app.handler("idle", (seen.clone(), of_an_event)).build().await.unwrap();
    let address = served(hooks.router()).await;
    let (status, _) = call(&address, "POST", "/webhooks/hooks", r#"{"type":"t"}"#).await;
    assert_eq!(status, 200);
    drop(hooks);
}

/// As `nc -N` and some libraries do: the sending side is closed behind the request.
#[tokio::test]
async fn a_sender_that_closes_its_side_behind_the_request_gets_its_answer() {
    let (_folder, app) = app(&routes("[one]").replace("memory:", "sqlite:kept.db"));
    let hooks = app.handler("one", nothing_but).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = hookward::serve(listener, hooks.standalone(), std::future::pending());
    tokio::spawn(server.into_future());
    let body = order().to_string();
    let length = body.len();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST /webhooks/hooks HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    hooks.stop().await;
}

#[tokio::test]
async fn a_limit_that_is_no_count_replays_nothing() {
    let (_folder, app) = app(&routes("[one]"));
    let hooks = app.handler("one", nothing_but).build().await.unwrap();
    let address = served(hooks.admin()).await;
    for limit in ["-1", "0.5", "1e300", "\"x\"", "[1]"] {
        let body = format!(r#"{{"limit":{limit}}}"#);
        let (status, answer) = call(&address, "POST", "/api/v1/replay", &body).await;
        assert_eq!(status, 400, "{limit}: {answer}");
    }
    hooks.stop().await;
}

#[tokio::test]
async fn hooks_that_are_dropped_without_a_stop_let_go_of_their_store() {
    let text = routes("[one]").replace("memory:", "sqlite:kept.db");
    let (_folder, app) = app(&text);
    let app = app.handler("one", nothing_but);
    drop(app.clone().build().await.unwrap());
    for _ in 0..200 {
        if let Ok(hooks) = app.clone().build().await {
            return hooks.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the store is still taken after four seconds");
}

#[tokio::test]
async fn the_admin_port_says_in_json_why_it_refuses_also_what_no_page_of_it_sees() {
    let (_folder, app) = app(&routes("[noop]"));
    let hooks = app.handler_value("noop", Arc::new(Recorder::default())).build().await.unwrap();
    let address = served(hooks.admin()).await;
    for (method, target, expected) in [
        ("PUT", "/api/v1/events", 405),
        ("GET", "/api/v1/replay", 405),
        ("POST", "/livez", 405),
        ("GET", "/api/v1/events/%ff", 400),
        ("GET", "/api/v1/events?limit=many", 400),
        ("GET", "/nothing", 404),
    ] {
        let (status, body) = call(&address, method, target, "").await;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!(status, expected, "{method} {target}");
        assert!(body["error"].as_str().is_some_and(|e| !e.is_empty()), "{method} {target}: {body}");
    }
    hooks.stop().await;
}

#[tokio::test]
async fn what_http_itself_cannot_read_is_refused_in_json_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { StatusCode::BAD_REQUEST }));
    let ends = std::future::pending();
    tokio::spawn(hookward::serve(listener, app, ends).into_future());
    let answer = async |request: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let refused = answer("GET / HTTP/1.1\r\nhost x\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(
        refused.ends_with(r#"{"error":"Malformed request","code":"BAD_REQUEST"}"#),
        "{refused}"
    );
    // An app's own answer stays its own, also where it looks the same.
    let own = answer("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(own.starts_with("HTTP/1.1 400 ") && own.ends_with("\r\n\r\n"), "{own}");
}
