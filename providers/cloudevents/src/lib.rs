//! CloudEvents over HTTP webhooks.
