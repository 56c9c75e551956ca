//! hookward-handler-exec
