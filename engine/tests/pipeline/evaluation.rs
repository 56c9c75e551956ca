//! What the conditions of a delivery may cost, and what becomes of one that costs more.

use std::time::Instant;

use super::*;

/// A provider that accepts every request. Its body is a batch: one event for each of `items`.
#[derive(Debug)]
struct BatchProvider;

#[async_trait]
impl Provider for BatchProvider {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let items = delivery.json().unwrap()["items"].as_array().map_or(0, Vec::len);
        let named = |n| {
            Identity::new()
                .with_event_type("push".to_owned())
                .with_item_pointer(Some(format!("/items/{n}")))
        };
        Ok((0..items).map(named).collect())
    }
}

/// A pipeline of this provider, with one route.
fn batches(route: &str) -> Pipeline {
    let routes = format!("  - {{ name: r, events: github/**, chain: [record], {route} }}\n");
    let mut config = pipeline("", &routes, vec![]).into_config();
    let (name, source) = config.sources.pop_first().unwrap();
    config.sources_by_path.clear();
    let source = Arc::into_inner(source).unwrap();
    let source = Arc::new(Source { provider: Arc::new(BatchProvider), ..source });
    config.sources_by_path.insert(source.path.clone(), source.clone());
    config.sources.insert(name, source);
    let pipeline = pipeline("", &routes, vec![]);
    pipeline.engine.reload(config).unwrap();
    pipeline
}

fn batch(items: usize, item: &str) -> Bytes {
    format!(r#"{{"items":[{}]}}"#, vec![item; items].join(",")).into()
}

async fn events(pipeline: &Pipeline) -> Vec<EventDetail> {
    let page = pipeline.browse().list(&EventFilter::default(), 20_000, None).await.unwrap();
    let mut events = Vec::new();
    for event in page.events {
        events.push(pipeline.browse().show(event.id).await.unwrap().unwrap());
    }
    events
}

/// Takes about 9,000 steps for each event.
const COSTLY: &str = "when: \"range(9000) | list | length > 1\"";

#[tokio::test]
async fn a_batch_whose_conditions_cost_too_much_is_kept_as_invalid_and_says_so() {
    let pipeline = batches(COSTLY);
    let started = Instant::now();
    let reply = pipeline.engine.receive(bare_head(), batch(1000, r#"{"a":1}"#)).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(reply.status, 200);
    let events = events(&pipeline).await;
    assert_eq!(events.len(), 1000, "no event is lost");
    let of = |status| events.iter().filter(|e| e.summary.status == status).collect::<Vec<_>>();
    let (routed, invalid) = (of(EventStatus::Pending), of(EventStatus::Invalid));
    assert_eq!(routed.len() + invalid.len(), 1000);
    assert!(routed.len() > 100, "the budget is spent before: {}", routed.len());
    assert!(invalid.len() > 100, "the budget has no end: {}", invalid.len());
    let note = &invalid[0].notes[0];
    assert!(note.starts_with("r: its conditions cost more than"), "{note}");
    // An operator can still run it, by the name of the route.
    let id = invalid[0].summary.id;
    assert_eq!(pipeline.engine.replay_event(id, Some("r")).await.unwrap(), 1);
}

#[tokio::test]
async fn a_batch_of_a_thousand_events_with_an_ordinary_condition_is_routed() {
    let pipeline =
        batches("when: \"body.kind == 'open' and body.n > 3\", match: { /kind: [open] }");
    let reply = pipeline.engine.receive(bare_head(), batch(1000, r#"{"kind":"open","n":4}"#)).await;
    assert_eq!(reply.status, 200);
    let events = events(&pipeline).await;
    assert_eq!(events.len(), 1000);
    assert!(events.iter().all(|e| e.summary.status == EventStatus::Pending));
}

#[tokio::test]
async fn an_event_that_could_not_be_evaluated_is_not_rejected() {
    // Each item is invalid for the schema, as far as it is evaluated.
    let pipeline = batches(&format!("{COSTLY}, schema: 'builtin:object', on_invalid: reject"));
    let reply = pipeline.engine.receive(bare_head(), batch(1000, "[1]")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let events = events(&pipeline).await;
    assert!(events.iter().all(|e| e.summary.status == EventStatus::Invalid));
    assert!(events.iter().any(|e| e.notes[0].contains("cost more")));
    let reply = pipeline.engine.receive(bare_head(), batch(3, "[1]")).await;
    assert_eq!(reply.status, 422, "what was evaluated is rejected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn costly_deliveries_do_not_delay_cheap_ones() {
    let pipeline = Arc::new(batches(COSTLY));
    let costly: Vec<_> = (0..4)
        .map(|_| {
            let pipeline = pipeline.clone();
            tokio::spawn(async move {
                pipeline.engine.receive(bare_head(), batch(1000, r#"{"a":1}"#)).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(costly.iter().all(|task| !task.is_finished()), "they are not costly");
    let started = Instant::now();
    for _ in 0..20 {
        let reply = pipeline.engine.receive(bare_head(), batch(1, r#"{"a":2}"#)).await;
        assert_eq!(reply.status, 200);
    }
    let elapsed = started.elapsed();
    let unfinished = costly.iter().filter(|task| !task.is_finished()).count();
    assert!(unfinished >= 2, "20 cheap deliveries took {elapsed:?}, as long as two costly ones");
    for task in costly {
        // A costly delivery that waits too long is one that its sender sends again.
        assert!([200, 503].contains(&task.await.unwrap().status.as_u16()));
    }
}

#[tokio::test]
async fn numbers_of_the_file_and_of_the_body_are_compared_with_all_digits() {
    let routes = "  - { name: exact, events: github/**, match: { /id: [18446744073709551617] }, chain: [record] }\n  \
                  - { name: range, events: github/**, match: { /id: [{ numeric: ['>', 18446744073709551616, '<', 18446744073709551618] }] }, chain: [record] }\n  \
                  - { name: near, events: github/**, match: { /id: [18446744073709551616, 0x10] }, order_by: /id, chain: [record] }\n";
    let pipeline = pipeline("", routes, vec![]);
    assert_eq!(pipeline.post("1", r#"{"id":18446744073709551617}"#).await.status, 200);
    let names: Vec<_> = pipeline.only_event().await.jobs.iter().map(|j| j.route.clone()).collect();
    assert_eq!(names, ["exact", "range"]);
}
