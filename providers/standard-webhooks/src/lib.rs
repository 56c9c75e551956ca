//! hookward-provider-standard-webhooks
