//! senders with a bearer token.
