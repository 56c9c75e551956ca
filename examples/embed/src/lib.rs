//! A shop with Hookward inside: Stripe reports payments, GitHub reports pushes, routes.yaml decides
//! which functions of `handlers.rs` run for which event, and the shop serves its own pages beside.
//!
//! Read it in this order: `routes.yaml`, [`webhooks`] (the functions by name), [`app`] (how they
//! are started and merged into the shop's router), `handlers.rs`, and then `tests/embed.rs`, which
//! sends signed requests and checks their effects.
#![cfg_attr(test, allow(unused_crate_dependencies, reason = "some are for `tests/` alone"))]

mod fakes;
mod handlers;
mod payloads;
mod services;

use std::path::Path;

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use hookward::{App, AppError, BuildAppError, Hooks};

// A crate that is only listed in Cargo.toml is not linked. These lines link the plugins, and
// linking registers them: without the second, `provider: stripe` would be unknown.
use hookward_provider_github as _;
use hookward_provider_stripe as _;
use hookward_store_sqlite as _;
// Used by `main.rs` only; the lint `unused_crate_dependencies` wants them named here as well.
use {tokio as _, tracing_subscriber as _};

pub use fakes::{Fakes, Ledger, MemoryAccounts, MemoryOrders};
pub use services::{
    Accounts, Alert, Alerts, Analytics, Email, Inventory, Mail, Measurement, OrderStatus, Orders,
    Reservation, ServiceResult, Services, SubscriptionState, Unavailable,
};

/// Puts the app together: the routing table and every function that it may name. Reads and opens
/// nothing yet, so the tests can replace the environment before they build it.
pub fn webhooks(routes: impl AsRef<Path>, services: &Services) -> Result<App, AppError> {
    // A pair of state and function is a handler; each call of the function gets a clone of the
    // state.
    let shop = || services.clone();
    Ok(App::from_file(routes)?
        // What `schema: builtin:…` in routes.yaml finds.
        .schemas(hookward_schemas::ALL)
        .handler("update_order", (shop(), handlers::update_order))
        .handler("confirmation_email", (shop(), handlers::confirmation_email))
        .handler("reserve_inventory", (shop(), handlers::reserve_inventory))
        .handler("track", (shop(), handlers::track))
        .handler("notify_customer", (shop(), handlers::notify_customer))
        .handler("alert_operations", (shop(), handlers::alert_operations))
        .handler("open_account", (shop(), handlers::open_account))
        .handler("welcome_email", (shop(), handlers::welcome_email))
        .handler("close_account", (shop(), handlers::close_account))
        .handler("farewell_email", (shop(), handlers::farewell_email))
        .handler("clean_up", (shop(), handlers::clean_up))
        .handler("suspend_account", (shop(), handlers::suspend_account))
        .handler("payment_reminder", (shop(), handlers::payment_reminder))
        .handler("track_push", (shop(), handlers::track_push)))
}

/// Builds the app and merges its routes into the shop's. From here on stored jobs run; deliveries
/// are accepted once the router is served.
pub async fn app(webhooks: App, services: &Services) -> Result<(Router, Hooks), BuildAppError> {
    let hooks = webhooks.build().await?;
    let pages = Router::new()
        .route("/", get(home))
        .route("/orders/{id}", get(order))
        .with_state(services.clone());
    Ok((pages.merge(hooks.router()), hooks))
}

async fn home() -> &'static str {
    "The shop is open.\n"
}

async fn order(
    State(shop): State<Services>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<OrderStatus>, StatusCode> {
    match shop.orders.status(&id).await {
        Ok(Some(status)) => Ok(Json(status)),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(Unavailable { .. }) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// The code of the repository's README.md, compiled by `cargo test --doc`.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct FrontPage;
