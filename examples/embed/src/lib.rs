//! A shop with Hookward in it. Stripe says what was paid, GitHub what was pushed; routes.yaml says
//! which of the functions in `handlers.rs` follow, and the shop's own pages are served beside them.
//!
//! [`webhooks`] knows the functions, [`app`] starts them; `main.rs` and the tests call both.
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

// IdentityRules a plugin's crate links it, and being linked is what registers it.
use hookward_provider_github as _;
use hookward_provider_stripe as _;
use hookward_store_sqlite as _;
// Only `main.rs` needs these.
use {tokio as _, tracing_subscriber as _};

pub use fakes::{Fakes, Ledger, MemoryAccounts, MemoryOrders};
pub use services::{
    Accounts, Alert, Alerts, Analytics, Answer, Fact, Inventory, Letter, Mail, OrderStatus, Orders,
    Reservation, Services, Subscribed, Unavailable,
};

/// The routing table with every function that it may name. Nothing is read or opened yet.
pub fn webhooks(routes: impl AsRef<Path>, services: &Services) -> Result<App, AppError> {
    let shop = || services.clone();
    Ok(App::from_file(routes)?
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

/// Opens the store, starts working, and puts the webhooks' paths beside the shop's own.
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

/// The code of the project's front page, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct FrontPage;
