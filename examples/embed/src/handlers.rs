//! The steps that routes.yaml names. Each does one thing with one service, so that a retry, which
//! resumes at the step that failed, repeats as little as possible.
//!
//! `cx.idempotency_key()` is the same in every attempt at a job and differs between jobs, so it names
//! the work wherever a service does each piece of work once. It holds event and route; a chain that
//! uses one such service in two steps adds `cx.step`.

use hookward::{Flow, HandlerCx, HandlerError, Payload};

use crate::payloads::{Invoice, PaymentIntent, Push, StripeEvent, Subscription};
use crate::services::{Alert, Fact, Letter, OrderStatus, Reservation, Services, Subscribed};

type Stripe<T> = Payload<StripeEvent<T>>;
type Done<T = ()> = Result<T, HandlerError>;

pub(crate) async fn update_order(
    shop: Services,
    event: Stripe<PaymentIntent>,
    _: HandlerCx,
) -> Done<Flow> {
    let status = match event.event().event_type() {
        Some("payment_intent.succeeded") => OrderStatus::Paid,
        Some("payment_intent.payment_failed") => OrderStatus::PaymentFailed,
        // A route that sends anything else here is wrong, and trying again will not mend it.
        _ => return Err(HandlerError::fatal("update_order is about payments only")),
    };
    let now = shop.orders.set_status(event.data.object.order(), status).await?;
    if now == status {
        return Ok(Flow::Next);
    }
    Ok(Flow::Stop { reason: "the order has been paid since".to_owned() })
}

pub(crate) async fn confirmation_email(
    shop: Services,
    event: Stripe<PaymentIntent>,
    cx: HandlerCx,
) -> Done {
    let payment = &event.data.object;
    // Nobody to write to is no failure.
    let Some(to) = payment.recipient() else { return Ok(()) };
    let subject = format!("Your order {}", payment.order());
    let text = format!("Thank you. We have received {}.", money(payment));
    Ok(shop.mail.send(&cx.idempotency_key(), letter(to, subject, text)).await?)
}

pub(crate) async fn reserve_inventory(
    shop: Services,
    event: Stripe<PaymentIntent>,
    cx: HandlerCx,
) -> Done {
    let reservation = Reservation { order: event.data.object.order().to_owned() };
    Ok(shop.inventory.reserve(&cx.idempotency_key(), reservation).await?)
}

pub(crate) async fn track(shop: Services, event: Stripe<PaymentIntent>, cx: HandlerCx) -> Done {
    let payment = &event.data.object;
    let about = payment.order().to_owned();
    let fact = Fact { name: "order_paid", about, value: payment.amount };
    Ok(shop.analytics.track(&cx.idempotency_key(), fact).await?)
}

pub(crate) async fn notify_customer(
    shop: Services,
    event: Stripe<PaymentIntent>,
    cx: HandlerCx,
) -> Done {
    let payment = &event.data.object;
    let Some(to) = payment.recipient() else { return Ok(()) };
    let why = payment.last_payment_error.as_ref().and_then(|e| e.message.as_deref());
    let subject = format!("Your order {} is not paid yet", payment.order());
    let text = format!("We could not take {}. {}", money(payment), why.unwrap_or_default());
    Ok(shop.mail.send(&cx.idempotency_key(), letter(to, subject, text)).await?)
}

/// From which amount on is the route's business.
pub(crate) async fn alert_operations(
    shop: Services,
    event: Stripe<PaymentIntent>,
    cx: HandlerCx,
) -> Done {
    let payment = &event.data.object;
    let text = format!("the payment of {} for order {} failed", money(payment), payment.order());
    Ok(shop.alerts.raise(&cx.idempotency_key(), Alert { text }).await?)
}

pub(crate) async fn open_account(
    shop: Services,
    event: Stripe<Subscription>,
    _: HandlerCx,
) -> Done<Flow> {
    let Subscription { id, customer } = &event.data.object;
    match shop.accounts.set(customer, id, Subscribed::Open).await? {
        Subscribed::Open => Ok(Flow::Next),
        Subscribed::Closed => {
            Ok(Flow::Stop { reason: "the subscription has ended since".to_owned() })
        }
    }
}

pub(crate) async fn welcome_email(
    shop: Services,
    event: Stripe<Subscription>,
    cx: HandlerCx,
) -> Done {
    let letter = letter(&event.data.object.customer, "Welcome", "Your subscription has begun.");
    Ok(shop.mail.send(&cx.idempotency_key(), letter).await?)
}

pub(crate) async fn close_account(
    shop: Services,
    event: Stripe<Subscription>,
    _: HandlerCx,
) -> Done {
    let Subscription { id, customer } = &event.data.object;
    shop.accounts.set(customer, id, Subscribed::Closed).await?;
    Ok(())
}

pub(crate) async fn farewell_email(
    shop: Services,
    event: Stripe<Subscription>,
    cx: HandlerCx,
) -> Done {
    let letter = letter(&event.data.object.customer, "Goodbye", "Your subscription has ended.");
    Ok(shop.mail.send(&cx.idempotency_key(), letter).await?)
}

pub(crate) async fn clean_up(shop: Services, event: Stripe<Subscription>, _: HandlerCx) -> Done {
    let Subscription { id, customer } = &event.data.object;
    Ok(shop.accounts.clean_up(customer, id).await?)
}

pub(crate) async fn suspend_account(
    shop: Services,
    event: Stripe<Invoice>,
    _: HandlerCx,
) -> Done<Flow> {
    let Some(customer) = &event.data.object.customer else {
        return Ok(Flow::Stop { reason: "the invoice names no customer".to_owned() });
    };
    shop.accounts.suspend(customer).await?;
    Ok(Flow::Next)
}

pub(crate) async fn payment_reminder(
    shop: Services,
    event: Stripe<Invoice>,
    cx: HandlerCx,
) -> Done {
    let Invoice { id, customer, amount_due } = &event.data.object;
    let Some(to) = customer else { return Ok(()) };
    let text = format!("Invoice {id} over {amount_due} cents could not be paid.");
    Ok(shop.mail.send(&cx.idempotency_key(), letter(to, "Your invoice", text)).await?)
}

pub(crate) async fn track_push(shop: Services, push: Payload<Push>, cx: HandlerCx) -> Done {
    let value = u64::try_from(push.commits.len())?;
    let fact = Fact { name: "commits_pushed", about: push.repository.full_name.clone(), value };
    Ok(shop.analytics.track(&cx.idempotency_key(), fact).await?)
}

fn letter(to: &str, subject: impl Into<String>, text: impl Into<String>) -> Letter {
    Letter { to: to.to_owned(), subject: subject.into(), text: text.into() }
}

fn money(payment: &PaymentIntent) -> String {
    format!("{}.{:02} {}", payment.amount / 100, payment.amount % 100, payment.currency)
}
