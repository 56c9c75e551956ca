//! Adyen payments and platform webhooks.
