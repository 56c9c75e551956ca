//! SendGrid events.
