//! senders with HTTP Basic credentials.
