//! hookward-handler-http-forward
