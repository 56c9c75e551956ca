//! The limits that this engine asks stores to enforce.

use hookward_core::store::StorePolicy;

/// The policy that every store of this engine is opened with.
///
/// - Crash limit 3: the fourth death makes a poison job. After its first death a job is a crash
///   suspect, and suspects run one at a time, so at the last three no other suspect ran. Fewer would
///   blame jobs for deployments and the OOM killer.
/// - 100 content duplicates per event: enough to find a sender that sends equal bytes for different
///   events, and at most some 10 KB of disk per event in a flood of repetitions.
pub const STORE_POLICY: StorePolicy = StorePolicy::new(3, 100);
