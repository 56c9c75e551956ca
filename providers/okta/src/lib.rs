//! Okta event hooks.
