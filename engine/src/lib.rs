//! hookward-engine
