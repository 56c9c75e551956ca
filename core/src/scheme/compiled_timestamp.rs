//! Where a scheme finds the signed time, checked and compiled. [`timestamp`](super::timestamp)
//! reads it.

use std::time::Duration;

use crate::scheme::field_location::FieldLocation;
use crate::scheme::spec::TimeUnit;

/// Where the signed time stands, and how far it may be from now.
#[derive(Debug, Clone)]
pub(super) struct CompiledTimestamp {
    pub(super) location: TimestampLocation,
    pub(super) unit: TimeUnit,
    pub(super) past: Duration,
    pub(super) future: Duration,
    /// Whether a signed body without the time is accepted.
    pub(super) optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TimestampLocation {
    /// In the signature's list, under this key.
    SignatureList(String),
    Field(FieldLocation),
}
