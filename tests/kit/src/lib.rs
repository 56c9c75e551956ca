//! hookward-testkit
