//! hookward-provider-stripe
