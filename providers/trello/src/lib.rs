//! Trello.
