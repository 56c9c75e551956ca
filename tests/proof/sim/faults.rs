//! Faults of the simulated store's commits: what a group commit does, and what its callers get.

use hookward_core::store::StoreError;

/// What happens to one group commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitFault {
    None,
    /// The commit has no effect, and its callers get an error.
    NotApplied,
    /// The commit has no effect because the disk is full.
    DiskFull,
    /// The commit takes effect, and its callers get an error.
    ErrorAfterApply,
    /// A sync failed: from this commit on every call fails until a new process opens the store.
    StoreFailed {
        applied: bool,
    },
    /// Every caller of the commit panics.
    Panic {
        applied: bool,
    },
    /// The commit takes effect, and the process dies before a caller gets the answer.
    Crash,
}

impl CommitFault {
    pub(crate) fn takes_effect(self) -> bool {
        match self {
            Self::None | Self::ErrorAfterApply | Self::Crash => true,
            Self::NotApplied | Self::DiskFull => false,
            Self::StoreFailed { applied } | Self::Panic { applied } => applied,
        }
    }

    /// The error that callers get, if the fault answers them with one.
    pub(crate) fn error(self) -> Option<StoreError> {
        match self {
            Self::None | Self::Crash | Self::Panic { .. } => None,
            Self::NotApplied => {
                Some(StoreError::Unavailable("the commit had no effect".to_owned()))
            }
            Self::DiskFull => Some(StoreError::Full("no disk space".to_owned())),
            Self::ErrorAfterApply => {
                Some(StoreError::Unavailable("the effect of the commit is unknown".to_owned()))
            }
            Self::StoreFailed { .. } => Some(StoreError::Failed("a sync failed".to_owned())),
        }
    }
}
