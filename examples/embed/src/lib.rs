//! example-embed
