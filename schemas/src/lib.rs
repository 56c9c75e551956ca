//! hookward-schemas
