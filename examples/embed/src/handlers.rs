//! The functions that `chain:` in routes.yaml names. Each calls one service once, because a retry
//! resumes at the step that failed: what a step does before its failure is repeated.
//!
//! Every function has the same three arguments: what it works with, the decoded body, and the
//! context of the run. It returns:
//!
//! - `Ok(())` or `Flow::Next`: the next step runs.
//! - `Flow::Stop`: the chain ends here, successfully.
//! - an error by `?`: the step is retried as the route's `retry` says.
//! - `HandlerError::fatal`: no retry; the job goes to the dead letters.
//!
//! `cx.idempotency_key()` is the same in every attempt at a job and differs between jobs. A service
//! that does the work of each key once therefore does it once per job. The key consists of event
//! and route; a chain that calls one such service in two steps appends `cx.step`.

use hookward::{Flow, HandlerCx, HandlerError, Payload};

use crate::payloads::{Invoice, PaymentIntent, Push, StripeEvent, Subscription};
use crate::services::{
    Alert, Email, Measurement, OrderStatus, Reservation, Services, SubscriptionState,
};

/// The body of a Stripe event whose object is a `T`. A body that is not one sends the job to the
/// dead letters before the function is called.
type StripePayload<T> = Payload<StripeEvent<T>>;
type HandlerResult<T = ()> = Result<T, HandlerError>;

/// Sets the order's status. Stops the chain if the order is paid already: the steps after it would
/// report a failure that no longer matters.
pub(crate) async fn update_order(
    shop: Services,
    event: StripePayload<PaymentIntent>,
    _: HandlerCx,
) -> HandlerResult<Flow> {
    let status = match event.event().event_type() {
        Some("payment_intent.succeeded") => OrderStatus::Paid,
        Some("payment_intent.payment_failed") => OrderStatus::PaymentFailed,
        // Only a mistake in routes.yaml sends another type here, and a retry would not correct it.
        _ => return Err(HandlerError::fatal("update_order handles payment events only")),
    };
    let current = shop.orders.set_status(event.data.object.order(), status).await?;
    if current == status {
        return Ok(Flow::Next);
    }
    Ok(Flow::Stop { reason: "the order is paid already".to_owned() })
}

pub(crate) async fn confirmation_email(
    shop: Services,
    event: StripePayload<PaymentIntent>,
    cx: HandlerCx,
) -> HandlerResult {
    let payment = &event.data.object;
    // A payment without a recipient is not a failure: a retry would find the same payment.
    let Some(to) = payment.recipient() else { return Ok(()) };
    let subject = format!("Your order {}", payment.order());
    let text = format!("Thank you. We have received {}.", format_amount(payment));
    Ok(shop.mail.send(&cx.idempotency_key(), email(to, subject, text)).await?)
}

pub(crate) async fn reserve_inventory(
    shop: Services,
    event: StripePayload<PaymentIntent>,
    cx: HandlerCx,
) -> HandlerResult {
    let reservation = Reservation { order: event.data.object.order().to_owned() };
    Ok(shop.inventory.reserve(&cx.idempotency_key(), reservation).await?)
}

pub(crate) async fn track(
    shop: Services,
    event: StripePayload<PaymentIntent>,
    cx: HandlerCx,
) -> HandlerResult {
    let payment = &event.data.object;
    let subject = payment.order().to_owned();
    let measurement = Measurement { name: "order_paid", subject, value: payment.amount };
    Ok(shop.analytics.track(&cx.idempotency_key(), measurement).await?)
}

pub(crate) async fn notify_customer(
    shop: Services,
    event: StripePayload<PaymentIntent>,
    cx: HandlerCx,
) -> HandlerResult {
    let payment = &event.data.object;
    let Some(to) = payment.recipient() else { return Ok(()) };
    let reason = payment.last_payment_error.as_ref().and_then(|e| e.message.as_deref());
    let subject = format!("Your order {} is not paid yet", payment.order());
    let text =
        format!("We could not charge {}. {}", format_amount(payment), reason.unwrap_or_default());
    Ok(shop.mail.send(&cx.idempotency_key(), email(to, subject, text)).await?)
}

/// Alerts about every payment that it gets. The amount from which on it gets one is a `match` in
/// routes.yaml, so changing it needs no build.
pub(crate) async fn alert_operations(
    shop: Services,
    event: StripePayload<PaymentIntent>,
    cx: HandlerCx,
) -> HandlerResult {
    let payment = &event.data.object;
    let text =
        format!("the payment of {} for order {} failed", format_amount(payment), payment.order());
    Ok(shop.alerts.raise(&cx.idempotency_key(), Alert { text }).await?)
}

/// Opens an account. Stops the chain if the subscription has ended meanwhile, so that nobody is
/// welcomed after their farewell: events may arrive out of order.
pub(crate) async fn open_account(
    shop: Services,
    event: StripePayload<Subscription>,
    _: HandlerCx,
) -> HandlerResult<Flow> {
    let Subscription { id, customer } = &event.data.object;
    match shop.accounts.set_subscription(customer, id, SubscriptionState::Open).await? {
        SubscriptionState::Open => Ok(Flow::Next),
        SubscriptionState::Closed => {
            Ok(Flow::Stop { reason: "the subscription has ended already".to_owned() })
        }
    }
}

pub(crate) async fn welcome_email(
    shop: Services,
    event: StripePayload<Subscription>,
    cx: HandlerCx,
) -> HandlerResult {
    let email = email(&event.data.object.customer, "Welcome", "Your subscription has begun.");
    Ok(shop.mail.send(&cx.idempotency_key(), email).await?)
}

pub(crate) async fn close_account(
    shop: Services,
    event: StripePayload<Subscription>,
    _: HandlerCx,
) -> HandlerResult {
    let Subscription { id, customer } = &event.data.object;
    shop.accounts.set_subscription(customer, id, SubscriptionState::Closed).await?;
    Ok(())
}

pub(crate) async fn farewell_email(
    shop: Services,
    event: StripePayload<Subscription>,
    cx: HandlerCx,
) -> HandlerResult {
    let email = email(&event.data.object.customer, "Goodbye", "Your subscription has ended.");
    Ok(shop.mail.send(&cx.idempotency_key(), email).await?)
}

pub(crate) async fn clean_up(
    shop: Services,
    event: StripePayload<Subscription>,
    _: HandlerCx,
) -> HandlerResult {
    let Subscription { id, customer } = &event.data.object;
    Ok(shop.accounts.clean_up(customer, id).await?)
}

pub(crate) async fn suspend_account(
    shop: Services,
    event: StripePayload<Invoice>,
    _: HandlerCx,
) -> HandlerResult<Flow> {
    let Some(customer) = &event.data.object.customer else {
        return Ok(Flow::Stop { reason: "the invoice has no customer".to_owned() });
    };
    shop.accounts.suspend(customer).await?;
    Ok(Flow::Next)
}

pub(crate) async fn payment_reminder(
    shop: Services,
    event: StripePayload<Invoice>,
    cx: HandlerCx,
) -> HandlerResult {
    let Invoice { id, customer, amount_due } = &event.data.object;
    let Some(to) = customer else { return Ok(()) };
    let text = format!("Invoice {id} over {amount_due} cents could not be paid.");
    Ok(shop.mail.send(&cx.idempotency_key(), email(to, "Your invoice", text)).await?)
}

/// Takes the body of a GitHub event, which has no envelope, as its payload.
pub(crate) async fn track_push(
    shop: Services,
    push: Payload<Push>,
    cx: HandlerCx,
) -> HandlerResult {
    let value = u64::try_from(push.commits.len())?;
    let subject = push.repository.full_name.clone();
    let measurement = Measurement { name: "commits_pushed", subject, value };
    Ok(shop.analytics.track(&cx.idempotency_key(), measurement).await?)
}

fn email(to: &str, subject: impl Into<String>, text: impl Into<String>) -> Email {
    Email { to: to.to_owned(), subject: subject.into(), text: text.into() }
}

fn format_amount(payment: &PaymentIntent) -> String {
    format!("{}.{:02} {}", payment.amount / 100, payment.amount % 100, payment.currency)
}
