//! Free disk space. On a full disk the writer could not even finish the jobs that it accepted. So
//! deliveries are rejected once little space is left, and a reserve file lies beside the store:
//! where other programs fill the disk completely, the reserve is removed, and work in flight can
//! still commit. The writer checks before each group.

mod system;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hookward_core::store::StoreError;

use self::system::{allocate, file_system_space};
use crate::telemetry;

const MIB: u64 = 1024 * 1024;

/// Below this much free space deliveries are rejected; on a small disk, below total /
/// [`MIN_FREE_DIVISOR`].
const MIN_FREE_BYTES: u64 = 256 * MIB;
const MIN_FREE_DIVISOR: u64 = 20;

/// Size of the reserve: four times what the log grows to between two checkpoints; on a small disk,
/// total / [`RESERVE_DIVISOR`]. Always less than the minimum of free space, so that removing it
/// does not make deliveries acceptable.
const RESERVE_BYTES: u64 = 16 * MIB;
const RESERVE_DIVISOR: u64 = 32;

/// How often the file system is asked. Not for each commit: the call would cost more than the
/// check.
const DISK_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A reserve that was removed is not allocated again before this.
const RESERVE_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Space of the file system on which the store lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSystemSpace {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl FileSystemSpace {
    fn min_free(self) -> u64 {
        MIN_FREE_BYTES.min(self.total / MIN_FREE_DIVISOR)
    }

    fn reserve_size(self) -> u64 {
        RESERVE_BYTES.min(self.total / RESERVE_DIVISOR)
    }
}

/// Returns the space of the file system; `None` where the system does not report it.
type Query = Box<dyn Fn() -> Option<FileSystemSpace> + Send>;

/// The last answer of the file system, and the reserve file.
pub(crate) struct DiskSpace {
    query: Query,
    reserve: PathBuf,
    wal: PathBuf,
    polled: Option<Instant>,
    /// Bytes that may be accepted before the next poll.
    bytes_until_poll: u64,
    /// Why deliveries are rejected, while disk space is low.
    low: Option<StoreError>,
    has_reserve: bool,
    /// When the reserve was removed, or last allocated.
    reserve_changed: Option<Instant>,
}

impl DiskSpace {
    /// The disk of the store at `path`.
    pub(crate) fn new(path: &Path) -> Self {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Self::with_query(path, Box::new(move || file_system_space(&folder)))
    }

    /// Like [`new`](Self::new), but asks `query` instead of the file system.
    pub(crate) fn with_query(path: &Path, query: Query) -> Self {
        let file_beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (reserve, wal) = (file_beside(".reserve"), file_beside("-wal"));
        let space = query();
        // A killed owner leaves its reserve. On a full disk this start needs the space itself.
        let is_needed = space.is_some_and(|space| space.free < space.reserve_size());
        if is_needed {
            let _ = std::fs::remove_file(&reserve);
        }
        // An owner that was killed while it allocated the reserve leaves a shorter file.
        let is_complete = |length| space.is_none_or(|space| length == space.reserve_size());
        let has_reserve = std::fs::metadata(&reserve).is_ok_and(|found| is_complete(found.len()));
        Self {
            query,
            reserve,
            wal,
            polled: None,
            bytes_until_poll: 0,
            low: None,
            has_reserve,
            reserve_changed: is_needed.then(Instant::now),
        }
    }

    /// Starts once the store is open: allocates the reserve if there is space. Not earlier, because
    /// a file of another program must not get a reserve beside it.
    pub(crate) fn begin(&mut self) {
        if !self.has_reserve {
            let _ = std::fs::remove_file(&self.reserve);
        }
        self.poll();
    }

    /// Why `incoming` more bytes must not be accepted now.
    pub(crate) fn check(&mut self, incoming: u64) -> Option<StoreError> {
        let is_recent = self.polled.is_some_and(|at| at.elapsed() < DISK_POLL_INTERVAL);
        // Hundreds of megabytes can arrive within one interval, so bytes count as well as time.
        if !is_recent || self.bytes_until_poll < incoming {
            self.poll();
        }
        self.bytes_until_poll = self.bytes_until_poll.saturating_sub(incoming);
        self.low.clone()
    }

    /// Why deliveries were rejected at the last poll.
    pub(crate) fn low(&self) -> Option<StoreError> {
        self.low.clone()
    }

    /// Removes the reserve, because a commit found the disk full. The next group can use its space.
    pub(crate) fn free_reserve(&mut self) {
        if self.has_reserve && std::fs::remove_file(&self.reserve).is_ok() {
            telemetry::reserve_released();
        }
        // Even if the removal failed: the next poll with enough space allocates it again.
        self.has_reserve = false;
        self.reserve_changed = Some(Instant::now());
        // The last answer was wrong, or the disk was filled since. Ask before the next group.
        self.polled = None;
    }

    fn poll(&mut self) {
        self.polled = Some(Instant::now());
        if let Ok(found) = std::fs::metadata(&self.wal) {
            // Here, because a poll is regular and already a system call.
            telemetry::set_wal_bytes(found.len());
        }
        // Where the system does not report its space, the store relies on SQLite's own `full`.
        let Some(space) = (self.query)() else {
            (self.low, self.bytes_until_poll) = (None, u64::MAX);
            return;
        };
        let minimum = space.min_free();
        // Hysteresis: a quarter more is needed to accept again, so that the state does not change
        // with each purge.
        let needed = if self.low.is_some() { minimum + minimum / 4 } else { minimum };
        let low = (space.free < needed).then(|| {
            StoreError::Full(format!(
                "{} MiB are free on its disk, and below {} MiB nothing new is accepted",
                space.free / MIB,
                minimum.div_ceil(MIB)
            ))
        });
        match (&self.low, &low) {
            (None, Some(_)) => telemetry::disk_space_low(space.free, minimum),
            (Some(_), None) => telemetry::disk_space_recovered(space.free),
            _ => {}
        }
        self.low = low;
        // A quarter of the rest at most: pages, log and index take more space than the bytes of the
        // deliveries.
        self.bytes_until_poll = space.free.saturating_sub(minimum) / 4;
        if !self.has_reserve && self.low.is_none() {
            self.allocate_reserve(space);
        }
    }

    fn allocate_reserve(&mut self, space: FileSystemSpace) {
        // On a disk that another program keeps filling, the reserve would come and go with each
        // poll.
        let may_retry =
            self.reserve_changed.is_none_or(|at| at.elapsed() >= RESERVE_RETRY_INTERVAL);
        if may_retry && space.free >= space.min_free() + space.reserve_size() {
            self.has_reserve = allocate(&self.reserve, space.reserve_size()).is_ok();
            self.reserve_changed = Some(Instant::now());
        }
    }
}

/// Removes the reserve: after a regular end it serves nobody, and after a failed start the next
/// attempt may need its space.
impl Drop for DiskSpace {
    fn drop(&mut self) {
        if self.has_reserve {
            let _ = std::fs::remove_file(&self.reserve);
        }
    }
}

impl fmt::Debug for DiskSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskSpace").field("low", &self.low).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
