//! What the disk can do: the floor under every durable answer, without which no latency here can be read.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes 4 KiB and syncs it, up to 300 times or for a second; the spans, unsorted.
pub(crate) fn probe(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(folder.join("fsync.probe"))?;
    let block = [0xa5; 4096];
    // Room first: a log that was written before does not grow either.
    for _ in 0..64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let started = Instant::now();
    let mut spans = Vec::new();
    for n in 0..300 {
        file.seek(SeekFrom::Start(n % 64 * 4096))?;
        let one = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        spans.push(one.elapsed());
        if started.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    Ok(spans)
}
