//! hookward
