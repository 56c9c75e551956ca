//! hookward-core
