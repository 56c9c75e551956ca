//! Discord interactions and webhook events.
