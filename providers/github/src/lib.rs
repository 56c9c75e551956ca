//! hookward-provider-github
