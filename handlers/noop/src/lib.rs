//! hookward-handler-noop
