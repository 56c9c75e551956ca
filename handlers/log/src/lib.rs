//! hookward-handler-log
