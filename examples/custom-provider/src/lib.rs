//! example-custom-provider
