//! Dropbox.
