//! Google Cloud Pub/Sub push.
