//! hookward-provider-shopify
