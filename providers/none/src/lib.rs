//! hookward-provider-none
