//! The shop from outside: each test sends signed requests and checks the effects on the services.
#![allow(unused_crate_dependencies, reason = "`src/lib.rs` names all dependencies")]
#![allow(unreachable_pub, reason = "`support` is a module of this file only")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::PathBuf;

use example_embed::{Fakes, SubscriptionState, webhooks};
use hookward_core::store::{EventStatus, JobState};
use serde_json::json;
use support::{Shop, job, routes};

const PAID: &str = "payment_intent.succeeded";
const FAILED: &str = "payment_intent.payment_failed";

#[tokio::test]
async fn a_payment_runs_every_step_of_its_chain() {
    let shop = Shop::open().await;
    let (status, answer) = shop.stripe(PAID, "evt_paid", |_| {}).await;
    assert_eq!(
        (status, &answer["received"], &answer["eventId"]),
        (200, &json!(true), &json!("evt_paid"))
    );
    let detail = shop.settled("evt_paid").await;
    assert_eq!(job(&detail, "paid-orders"), (JobState::Done, 1, "done".to_owned()));
    assert_eq!(shop.get("/orders/1001").await, (200, r#""paid""#.to_owned()));
    let emails = shop.fakes.mail.done();
    assert_eq!((emails.len(), emails[0].to.as_str()), (1, "jo@example.com"));
    assert!(emails[0].text.contains("20.00 usd"), "{}", emails[0].text);
    assert_eq!(shop.fakes.inventory.done()[0].order, "1001");
    let measurement = &shop.fakes.analytics.done()[0];
    assert_eq!((measurement.name, measurement.value), ("order_paid", 2000));
    shop.close().await;
}

#[tokio::test]
async fn a_repeated_delivery_gets_the_same_answer_and_has_no_second_effect() {
    let shop = Shop::open().await;
    let first = shop.stripe(PAID, "evt_twice", |_| {}).await;
    shop.settled("evt_twice").await;
    assert_eq!(shop.stripe(PAID, "evt_twice", |_| {}).await, first);
    shop.settled("evt_twice").await;
    assert_eq!((shop.fakes.orders.updates(), shop.fakes.mail.calls()), (1, 1));
    shop.close().await;
}

#[tokio::test]
async fn a_failed_step_is_retried_without_repeating_the_step_before() {
    let shop = Shop::open().await;
    shop.fakes.mail.fail_next(2);
    shop.stripe(PAID, "evt_mail", |_| {}).await;
    let detail = shop.settled("evt_mail").await;
    assert_eq!(job(&detail, "paid-orders"), (JobState::Done, 3, "done".to_owned()));
    let attempts = &detail.jobs[0].attempts;
    assert_eq!(attempts[0].error.as_deref(), Some("mail does not answer"));
    assert_eq!(attempts[0].step.as_deref(), Some("confirmation_email"));
    assert_eq!((shop.fakes.mail.calls(), shop.fakes.mail.done().len()), (3, 1));
    assert_eq!((shop.fakes.orders.updates(), shop.fakes.inventory.calls()), (1, 1));
    shop.close().await;
}

/// The service did the work, but its response was lost: only the key distinguishes the second call
/// from new work.
#[tokio::test]
async fn work_whose_response_was_lost_is_not_done_twice() {
    let shop = Shop::open().await;
    shop.fakes.inventory.lose_next_responses(1);
    shop.stripe(PAID, "evt_lost", |_| {}).await;
    let detail = shop.settled("evt_lost").await;
    assert_eq!(job(&detail, "paid-orders"), (JobState::Done, 2, "done".to_owned()));
    assert_eq!((shop.fakes.inventory.calls(), shop.fakes.inventory.done().len()), (2, 1));
    shop.close().await;
}

#[tokio::test]
async fn an_event_that_fails_its_schema_is_stored_as_invalid_and_runs_no_step() {
    let shop = Shop::open().await;
    let without_amount = |body: &mut serde_json::Value| {
        body["data"]["object"].as_object_mut().unwrap().remove("amount");
    };
    let (status, answer) = shop.stripe(PAID, "evt_invalid", without_amount).await;
    assert_eq!(status, 200);
    assert_eq!(answer, json!({"received": true, "error": "Validation failed, event ignored"}));
    assert_eq!(shop.settled("evt_invalid").await.summary.status, EventStatus::Invalid);
    assert_eq!(shop.fakes.orders.updates(), 0);
    shop.close().await;
}

/// The schema does not require `currency`; the type of the function's payload does.
#[tokio::test]
async fn a_body_of_the_wrong_type_is_dead_after_one_attempt_and_names_the_missing_field() {
    let shop = Shop::open().await;
    let without_currency = |body: &mut serde_json::Value| {
        body["data"]["object"].as_object_mut().unwrap().remove("currency");
    };
    shop.stripe(PAID, "evt_type", without_currency).await;
    let detail = shop.settled("evt_type").await;
    let (state, attempts, reason) = job(&detail, "paid-orders");
    assert_eq!((state, attempts), (JobState::Dead, 1));
    assert!(reason.contains("PaymentIntent"), "{reason}");
    assert!(reason.ends_with("`currency` is missing"), "{reason}");
    assert_eq!(shop.fakes.orders.updates(), 0);
    shop.close().await;
}

#[tokio::test]
async fn a_failed_payment_marks_the_order_and_mails_the_customer_the_reason() {
    let shop = Shop::open().await;
    shop.stripe(FAILED, "evt_failed", |_| {}).await;
    shop.settled("evt_failed").await;
    assert_eq!(shop.get("/orders/1001").await, (200, r#""payment_failed""#.to_owned()));
    let emails = shop.fakes.mail.done();
    assert!(emails[0].text.contains("insufficient funds"), "{}", emails[0].text);
    assert_eq!(shop.fakes.alerts.calls(), 0);
    shop.close().await;
}

#[tokio::test]
async fn only_a_failed_payment_above_the_amount_alerts_operations() {
    let shop = Shop::open().await;
    for (id, amount) in [("evt_at", 100_000), ("evt_above", 100_001)] {
        shop.stripe(FAILED, id, |body| body["data"]["object"]["amount"] = amount.into()).await;
        shop.settled(id).await;
    }
    let alerts = shop.fakes.alerts.done();
    assert_eq!(alerts.len(), 1);
    assert!(alerts[0].text.contains("1000.01 usd"), "{}", alerts[0].text);
    assert_eq!(shop.fakes.mail.done().len(), 2);
    shop.close().await;
}

#[tokio::test]
async fn the_alert_does_not_wait_for_the_mail_service() {
    let shop = Shop::open().await;
    shop.fakes.mail.fail_next(usize::MAX);
    shop.stripe(FAILED, "evt_alert", |body| body["data"]["object"]["amount"] = 250_000.into())
        .await;
    for _ in 0..500 {
        if shop.fakes.alerts.calls() > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((shop.fakes.alerts.done().len(), shop.fakes.mail.done().len()), (1, 0));
    shop.close().await;
}

#[tokio::test]
async fn a_failure_that_arrives_after_the_payment_changes_nothing_and_mails_nobody() {
    let shop = Shop::open().await;
    shop.stripe(PAID, "evt_1", |_| {}).await;
    shop.settled("evt_1").await;
    shop.stripe(FAILED, "evt_0", |_| {}).await;
    let detail = shop.settled("evt_0").await;
    let stopped = "the order is paid already".to_owned();
    assert_eq!(job(&detail, "failed-payments"), (JobState::Done, 1, stopped));
    assert_eq!(shop.get("/orders/1001").await, (200, r#""paid""#.to_owned()));
    assert_eq!(shop.fakes.mail.calls(), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_opens_an_account_and_its_end_closes_and_cleans_it_up() {
    let shop = Shop::open().await;
    let subscription = |body: &mut serde_json::Value| body["data"]["object"]["id"] = "sub_1".into();
    shop.stripe("customer.subscription.created", "evt_begin", subscription).await;
    shop.settled("evt_begin").await;
    assert_eq!(shop.fakes.accounts.subscription("sub_1"), Some(SubscriptionState::Open));
    assert!(!shop.fakes.accounts.is_cleaned_up("sub_1"));
    shop.stripe("customer.subscription.deleted", "evt_end", subscription).await;
    shop.settled("evt_end").await;
    assert_eq!(shop.fakes.accounts.subscription("sub_1"), Some(SubscriptionState::Closed));
    assert!(shop.fakes.accounts.is_cleaned_up("sub_1"));
    let subjects: Vec<_> = shop.fakes.mail.done().into_iter().map(|l| l.subject).collect();
    assert_eq!(subjects, ["Welcome", "Goodbye"]);
    shop.close().await;
}

#[tokio::test]
async fn an_unpaid_invoice_suspends_the_account_and_reminds_the_customer() {
    let shop = Shop::open().await;
    shop.stripe("invoice.payment_failed", "evt_invoice", |_| {}).await;
    shop.settled("evt_invoice").await;
    assert!(shop.fakes.accounts.is_suspended("cus_sample"));
    assert_eq!(shop.fakes.mail.done()[0].subject, "Your invoice");
    shop.close().await;
}

#[tokio::test]
async fn a_push_to_a_branch_is_tracked_and_a_tag_is_not() {
    let shop = Shop::open().await;
    shop.github("push", "delivery-1", |_| {}).await;
    shop.settled("delivery-1").await;
    let measurement = &shop.fakes.analytics.done()[0];
    assert_eq!(
        (measurement.name, measurement.subject.as_str(), measurement.value),
        ("commits_pushed", "orchard/press", 1)
    );
    shop.github("push", "delivery-2", |body| body["ref"] = "refs/tags/v1".into()).await;
    assert_eq!(shop.settled("delivery-2").await.summary.status, EventStatus::Unrouted);
    assert_eq!(shop.fakes.analytics.calls(), 1);
    shop.close().await;
}

#[tokio::test]
async fn the_shops_pages_and_the_health_page_are_served_beside_the_webhooks() {
    let shop = Shop::open().await;
    assert_eq!(shop.get("/").await, (200, "The shop is open.\n".to_owned()));
    assert_eq!(shop.get("/orders/7").await.0, 404);
    let (status, health) = shop.get("/health").await;
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    assert_eq!((status, &health["providers"]), (200, &json!(["github", "stripe"])));
    assert_eq!(shop.get("/elsewhere").await.0, 404);
    shop.close().await;
}

#[test]
fn routes_yaml_has_no_mistakes_and_no_warnings() {
    let app = webhooks(routes(), &Fakes::default().services()).unwrap();
    match app.check() {
        Ok(warnings) => assert!(warnings.is_empty(), "{warnings}"),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

#[test]
fn a_mistyped_function_name_is_reported_with_its_position_and_the_nearest_name() {
    let text = fs::read_to_string(routes()).unwrap();
    let typo =
        text.replace("[update_order, confirmation_email,", "[update_order, confirmation_mail,");
    let line = 1 + typo.lines().position(|l| l.contains("confirmation_mail")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("routes.yaml");
    fs::write(&file, typo).unwrap();
    let mistakes = webhooks(&file, &Fakes::default().services()).unwrap().check().unwrap_err();
    let message = mistakes.to_string();
    assert!(message.contains(&format!("routes.yaml:{line}:27")), "{message}");
    assert!(message.contains("did you mean `confirmation_email`?"), "{message}");
}
