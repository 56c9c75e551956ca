//! Measures the disk: the time of one sync is the floor of every durable answer, so the latencies
//! in the report mean little without it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes 4 KiB and syncs it, up to 300 times or for a second. Returns the durations, unsorted.
pub(crate) fn probe(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(folder.join("fsync.probe"))?;
    let block = [0xa5; 4096];
    // Allocates the blocks first, because SQLite overwrites its write-ahead log in place as well: a
    // sync that also grows the file is slower.
    for _ in 0..64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let started = Instant::now();
    let mut durations = Vec::new();
    for n in 0..300 {
        file.seek(SeekFrom::Start(n % 64 * 4096))?;
        let write_start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        durations.push(write_start.elapsed());
        if started.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    Ok(durations)
}
