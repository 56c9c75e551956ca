//! hookward-provider-hmac
