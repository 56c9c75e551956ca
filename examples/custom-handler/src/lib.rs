//! example-custom-handler
