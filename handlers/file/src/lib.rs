//! hookward-handler-file
