//! Room on the disk. A disk that runs full takes the writer's last page, and then nothing that was
//! taken in could be finished. So nothing new is taken in once little room is left, and a reserve
//! is kept aside: where others fill the disk to its last byte, it is given up, and what was begun
//! is still written down. Asked by the writer before each group.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hookward_core::store::StoreError;

use crate::telemetry;

const MIB: u64 = 1024 * 1024;

/// Below this, or below [`SHARE`] of the disk where that is less, nothing new is taken in.
const MARK: u64 = 256 * MIB;
const SHARE: u64 = 20;

/// Kept aside: four times what the log grows to between two checkpoints, or [`RESERVED`] of a small
/// disk. Always less than the mark, so that giving it up does not look like room.
const RESERVE: u64 = 16 * MIB;
const RESERVED: u64 = 32;

/// The disk is looked at this often, and not per commit.
const LOOK: Duration = Duration::from_millis(250);

/// A reserve that was given up is not made again sooner.
const REST: Duration = Duration::from_secs(5);

/// Of the file system on which the store lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

impl Space {
    fn mark(self) -> u64 {
        MARK.min(self.total / SHARE)
    }

    fn reserve(self) -> u64 {
        RESERVE.min(self.total / RESERVED)
    }
}

type Ask = Box<dyn Fn() -> Option<Space> + Send>;

/// What is known of the room, and the reserve.
pub(crate) struct Room {
    ask: Ask,
    reserve: PathBuf,
    log: PathBuf,
    looked: Option<Instant>,
    /// Bytes that may still be taken in before the disk is looked at again.
    until_look: u64,
    /// Why nothing is taken in.
    low: Option<StoreError>,
    kept: bool,
    given_up: Option<Instant>,
}

impl Room {
    /// For the store at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Self::asking(path, Box::new(move || space(&folder)))
    }

    pub(crate) fn asking(path: &Path, ask: Ask) -> Self {
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let (reserve, log) = (beside(".reserve"), beside("-wal"));
        // One of an owner who was killed. On a disk that is full it is what this start needs.
        let space = ask();
        let left = space.is_some_and(|space| space.free < space.reserve());
        if left {
            let _ = std::fs::remove_file(&reserve);
        }
        // Killed while making it, that owner left less.
        let whole = |length| space.is_none_or(|space| length == space.reserve());
        let kept = std::fs::metadata(&reserve).is_ok_and(|found| whole(found.len()));
        Self {
            ask,
            reserve,
            log,
            looked: None,
            until_look: 0,
            low: None,
            kept,
            given_up: left.then(Instant::now),
        }
    }

    /// The store is open, and ours. Makes the reserve, where there is room for it.
    pub(crate) fn begin(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.reserve);
        }
        self.look();
    }

    /// Why nothing new is taken in now. `coming` bytes are about to be.
    pub(crate) fn refusal(&mut self, coming: u64) -> Option<StoreError> {
        let fresh = self.looked.is_some_and(|at| at.elapsed() < LOOK);
        if !fresh || self.until_look < coming {
            self.look();
        }
        self.until_look = self.until_look.saturating_sub(coming);
        self.low.clone()
    }

    /// Why nothing was taken in when the disk was last looked at.
    pub(crate) fn low(&self) -> Option<StoreError> {
        self.low.clone()
    }

    /// A group found no room: what is kept aside is for the next one.
    pub(crate) fn ran_out(&mut self) {
        if self.kept && std::fs::remove_file(&self.reserve).is_ok() {
            telemetry::reserve_given_up();
        }
        self.kept = false;
        self.given_up = Some(Instant::now());
        self.looked = None;
    }

    fn look(&mut self) {
        self.looked = Some(Instant::now());
        if let Ok(found) = std::fs::metadata(&self.log) {
            telemetry::log_is(found.len());
        }
        // Where the system does not say, SQLite's own word has to do.
        let Some(space) = (self.ask)() else {
            (self.low, self.until_look) = (None, u64::MAX);
            return;
        };
        let mark = space.mark();
        // Once it is low, a little more is wanted, so that it does not change to and fro.
        let wanted = if self.low.is_some() { mark + mark / 4 } else { mark };
        let low = (space.free < wanted).then(|| {
            StoreError::Full(format!(
                "{} MiB are free on its disk, and below {} MiB nothing new is taken in",
                space.free / MIB,
                mark.div_ceil(MIB)
            ))
        });
        match (&self.low, &low) {
            (None, Some(_)) => telemetry::room_low(space.free, mark),
            (Some(_), None) => telemetry::room_again(space.free),
            _ => {}
        }
        self.low = low;
        // A quarter of what is left at most: pages, log and index take more than the bytes.
        self.until_look = space.free.saturating_sub(mark) / 4;
        if !self.kept && self.low.is_none() {
            self.keep(space);
        }
    }

    fn keep(&mut self, space: Space) {
        let rested = self.given_up.is_none_or(|at| at.elapsed() >= REST);
        if rested && space.free >= space.mark() + space.reserve() {
            self.kept = allocate(&self.reserve, space.reserve()).is_ok();
            self.given_up = Some(Instant::now());
        }
    }
}

/// After a clean end nothing needs to be kept aside; and where a store could not be opened, what was
/// kept may be what the next try needs.
impl Drop for Room {
    fn drop(&mut self) {
        if self.kept {
            let _ = std::fs::remove_file(&self.reserve);
        }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("low", &self.low).finish_non_exhaustive()
    }
}

#[cfg(unix)]
fn space(folder: &Path) -> Option<Space> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let of = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    // Some file systems do not know their size.
    (stat.f_blocks > 0).then(|| Space { free: of(stat.f_bavail), total: of(stat.f_blocks) })
}

#[cfg(not(unix))]
fn space(_: &Path) -> Option<Space> {
    None
}

/// Blocks that are the file's own, and not a hole.
#[cfg(unix)]
fn allocate(path: &Path, bytes: u64) -> std::io::Result<()> {
    let file = std::fs::File::create(path)?;
    let made = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    if made.is_err() {
        let _ = std::fs::remove_file(path);
    }
    Ok(made?)
}

#[cfg(not(unix))]
fn allocate(_: &Path, _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;

    const GIB: u64 = 1024 * MIB;

    /// A disk whose room the test says, and how often it was asked.
    fn disk(total: u64, free: u64) -> (Arc<AtomicU64>, Arc<AtomicUsize>, Ask) {
        let (left, asked) = (Arc::new(AtomicU64::new(free)), Arc::new(AtomicUsize::new(0)));
        let (l, a) = (left.clone(), asked.clone());
        let ask = move || {
            a.fetch_add(1, Ordering::Relaxed);
            Some(Space { free: l.load(Ordering::Relaxed), total })
        };
        (left, asked, Box::new(ask))
    }

    /// As if time had gone by.
    fn later(room: &mut Room) {
        (room.looked, room.given_up) = (None, None);
    }

    #[test]
    fn the_mark_is_a_twentieth_of_the_disk_or_256_mib() {
        for (total, mark, reserve) in [
            (64 * MIB, 64 * MIB / 20, 2 * MIB),
            (GIB, GIB / 20, 16 * MIB),
            (100 * GIB, 256 * MIB, 16 * MIB),
        ] {
            let space = Space { free: 0, total };
            assert_eq!((space.mark(), space.reserve()), (mark, reserve));
        }
    }

    #[test]
    fn little_room_refuses_and_more_room_takes_in_again() {
        let folder = tempfile::tempdir().unwrap();
        let (left, _, ask) = disk(GIB, GIB);
        let mut room = Room::asking(&folder.path().join("a.db"), ask);
        assert_eq!(room.refusal(0), None);
        left.store(40 * MIB, Ordering::Relaxed);
        later(&mut room);
        let words = room.refusal(0).unwrap().to_string();
        assert!(words.contains("full") && words.contains("40 MiB") && words.contains("52 MiB"));
        left.store(55 * MIB, Ordering::Relaxed);
        later(&mut room);
        assert!(room.refusal(0).is_some(), "a little over the mark is not yet enough");
        left.store(70 * MIB, Ordering::Relaxed);
        later(&mut room);
        assert_eq!(room.refusal(0), None);
    }

    #[test]
    fn the_disk_is_not_asked_for_each_commit_and_soon_where_much_comes() {
        let folder = tempfile::tempdir().unwrap();
        let (_, asked, ask) = disk(GIB, GIB / 20 + 40 * MIB);
        let mut room = Room::asking(&folder.path().join("a.db"), ask);
        let before = asked.load(Ordering::Relaxed);
        (0..1_000).for_each(|_| drop(room.refusal(1_000)));
        assert!(asked.load(Ordering::Relaxed) <= before + 1);
        (0..30).for_each(|_| drop(room.refusal(MIB)));
        assert!(asked.load(Ordering::Relaxed) >= before + 3);
    }

    #[test]
    fn the_reserve_is_given_up_where_there_is_no_room_and_made_again_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let reserve = folder.path().join("a.db.reserve");
        let size = || std::fs::metadata(&reserve).map(|m| m.len()).ok();
        let (left, _, ask) = disk(64 * MIB, 32 * MIB);
        let mut room = Room::asking(&path, ask);
        room.begin();
        assert_eq!(size(), Some(2 * MIB));
        left.store(0, Ordering::Relaxed);
        room.ran_out();
        assert_eq!(size(), None);
        assert!(room.refusal(0).is_some());
        left.store(32 * MIB, Ordering::Relaxed);
        room.looked = None;
        assert_eq!((room.refusal(0), size()), (None, None), "not at once");
        later(&mut room);
        assert_eq!((room.refusal(0), size()), (None, Some(2 * MIB)));
        drop(room);
        assert_eq!(size(), None);
    }

    #[test]
    fn a_reserve_that_was_not_made_to_its_end_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let reserve = folder.path().join("a.db.reserve");
        let size = || std::fs::metadata(&reserve).map(|m| m.len()).ok();
        for left in [0, 100, 2 * MIB] {
            std::fs::write(&reserve, vec![0; usize::try_from(left).unwrap()]).unwrap();
            let (_, _, ask) = disk(64 * MIB, 32 * MIB);
            let mut room = Room::asking(&path, ask);
            assert_eq!(size(), Some(left), "nothing is touched before the store is open");
            room.begin();
            assert_eq!(size(), Some(2 * MIB));
            room.ran_out();
            assert_eq!(size(), None);
        }
    }

    #[test]
    fn a_start_on_a_full_disk_takes_what_the_killed_owner_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let reserve = folder.path().join("a.db.reserve");
        std::fs::write(&reserve, [0; 100]).unwrap();
        let (_, _, ask) = disk(64 * MIB, 0);
        let mut room = Room::asking(&path, ask);
        assert!(!reserve.exists() && room.refusal(0).is_some());
    }

    #[cfg(unix)]
    #[test]
    fn the_system_knows_the_room() {
        let folder = tempfile::tempdir().unwrap();
        let space = space(folder.path()).unwrap();
        assert!(space.total > 0 && space.free <= space.total);
    }
}
