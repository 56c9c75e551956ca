//! Why a store cannot do what it is asked.

/// Why a store call failed. A delivery is then not accepted, and its sender gets 503 so that it
/// tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store does not answer, or not in time. The same call may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store has no space left. It accepts deliveries again once there is space.
    #[error("the store is full: {0}")]
    Full(String),
    /// The store failed in a way after which none of its answers can be trusted. It accepts nothing
    /// any more; the process must be restarted.
    #[error("the store failed and takes nothing in any more: {0}")]
    Failed(String),
    /// The store is closed. The engine treats a store that reports this before
    /// [`Store::close`](crate::store::Store::close) was called as [`Failed`](Self::Failed).
    #[error("the store is closed")]
    Closed,
    /// The event or job that was asked for is not in the store.
    #[error("{0}")]
    NotFound(String),
}
