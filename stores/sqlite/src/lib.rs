//! hookward-store-sqlite
