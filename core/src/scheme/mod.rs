//! The scheme grammar.
