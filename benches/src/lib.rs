//! hookward-benches
