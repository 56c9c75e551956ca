//! hookward-provider-slack
