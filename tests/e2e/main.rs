//! Tests of the real binary from outside, over HTTP and the command line.
#![allow(unused_crate_dependencies, reason = "the crates of the binary are not all needed here")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod bodies;
mod captured;
mod client_certificates;
mod conditions;
mod config;
mod corpus;
mod http;
mod listener;
mod nginx;
mod operating;
mod page;
mod quickstart;
mod ranges;
mod real_senders;
mod reliability;
mod repository;
mod secrets;
mod sender;
mod senders;
mod server;
mod sharing;
mod spec;
mod tls;
mod working;
