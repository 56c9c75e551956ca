//! Asana.
