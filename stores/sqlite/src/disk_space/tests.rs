//! The thresholds and the reserve file, on a disk whose numbers the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;

const GIB: u64 = 1024 * MIB;

/// A simulated disk: its free bytes, the number of queries, and the query.
fn disk(total: u64, free: u64) -> (Arc<AtomicU64>, Arc<AtomicUsize>, Query) {
    let (left, queries) = (Arc::new(AtomicU64::new(free)), Arc::new(AtomicUsize::new(0)));
    let (l, q) = (left.clone(), queries.clone());
    let query = move || {
        q.fetch_add(1, Ordering::Relaxed);
        Some(FileSystemSpace { free: l.load(Ordering::Relaxed), total })
    };
    (left, queries, Box::new(query))
}

/// As if both intervals had passed.
fn pass_time(disk_space: &mut DiskSpace) {
    (disk_space.polled, disk_space.reserve_changed) = (None, None);
}

#[test]
fn the_minimum_of_free_space_is_a_twentieth_of_the_disk_or_256_mib() {
    for (total, minimum, reserve) in [
        (64 * MIB, 64 * MIB / 20, 2 * MIB),
        (GIB, GIB / 20, 16 * MIB),
        (100 * GIB, 256 * MIB, 16 * MIB),
    ] {
        let space = FileSystemSpace { free: 0, total };
        assert_eq!((space.min_free(), space.reserve_size()), (minimum, reserve));
    }
}

#[test]
fn low_disk_space_rejects_deliveries_and_a_quarter_more_accepts_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let (left, _, query) = disk(GIB, GIB);
    let mut disk_space = DiskSpace::with_query(&folder.path().join("a.db"), query);
    assert_eq!(disk_space.check(0), None);
    left.store(40 * MIB, Ordering::Relaxed);
    pass_time(&mut disk_space);
    let message = disk_space.check(0).unwrap().to_string();
    assert!(message.contains("full") && message.contains("40 MiB") && message.contains("52 MiB"));
    left.store(55 * MIB, Ordering::Relaxed);
    pass_time(&mut disk_space);
    assert!(disk_space.check(0).is_some(), "slightly above the minimum is not enough");
    left.store(70 * MIB, Ordering::Relaxed);
    pass_time(&mut disk_space);
    assert_eq!(disk_space.check(0), None);
}

#[test]
fn the_disk_is_not_polled_for_each_commit_but_soon_under_a_large_inflow() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queries, query) = disk(GIB, GIB / 20 + 40 * MIB);
    let mut disk_space = DiskSpace::with_query(&folder.path().join("a.db"), query);
    let before = queries.load(Ordering::Relaxed);
    (0..1_000).for_each(|_| drop(disk_space.check(1_000)));
    assert!(queries.load(Ordering::Relaxed) <= before + 1);
    (0..30).for_each(|_| drop(disk_space.check(MIB)));
    assert!(queries.load(Ordering::Relaxed) >= before + 3);
}

#[test]
fn the_reserve_is_removed_on_a_full_disk_and_allocated_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let reserve = folder.path().join("a.db.reserve");
    let size = || std::fs::metadata(&reserve).map(|m| m.len()).ok();
    let (left, _, query) = disk(64 * MIB, 32 * MIB);
    let mut disk_space = DiskSpace::with_query(&path, query);
    disk_space.begin();
    assert_eq!(size(), Some(2 * MIB));
    left.store(0, Ordering::Relaxed);
    disk_space.free_reserve();
    assert_eq!(size(), None);
    assert!(disk_space.check(0).is_some());
    left.store(32 * MIB, Ordering::Relaxed);
    disk_space.polled = None;
    assert_eq!((disk_space.check(0), size()), (None, None), "not immediately");
    pass_time(&mut disk_space);
    assert_eq!((disk_space.check(0), size()), (None, Some(2 * MIB)));
    drop(disk_space);
    assert_eq!(size(), None);
}

#[test]
fn an_incomplete_reserve_of_a_killed_owner_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let reserve = folder.path().join("a.db.reserve");
    let size = || std::fs::metadata(&reserve).map(|m| m.len()).ok();
    for left in [0, 100, 2 * MIB] {
        std::fs::write(&reserve, vec![0; usize::try_from(left).unwrap()]).unwrap();
        let (_, _, query) = disk(64 * MIB, 32 * MIB);
        let mut disk_space = DiskSpace::with_query(&path, query);
        assert_eq!(size(), Some(left), "no file is changed before the store is open");
        disk_space.begin();
        assert_eq!(size(), Some(2 * MIB));
        disk_space.free_reserve();
        assert_eq!(size(), None);
    }
}

#[test]
fn a_start_on_a_full_disk_removes_the_reserve_of_a_killed_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let reserve = folder.path().join("a.db.reserve");
    std::fs::write(&reserve, [0; 100]).unwrap();
    let (_, _, query) = disk(64 * MIB, 0);
    let mut disk_space = DiskSpace::with_query(&path, query);
    assert!(!reserve.exists() && disk_space.check(0).is_some());
}

#[cfg(unix)]
#[test]
fn the_system_reports_the_space_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let space = file_system_space(folder.path()).unwrap();
    assert!(space.total > 0 && space.free <= space.total);
}
