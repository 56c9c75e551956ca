//! One writer per path and process: whole lines, one write each, one fsync for all who wrote
//! before it began. Called from blocking threads by the steps.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Appends to one path. Opens the file on first use.
#[derive(Debug)]
pub(crate) struct Appender {
    path: PathBuf,
    opened: Mutex<Option<Arc<Opened>>>,
}

/// A file as it was opened. A line belongs to the file that took it: its durability is that of
/// this file, whatever stands at the path later.
#[derive(Debug)]
struct Opened {
    file: File,
    tail: Mutex<Tail>,
    synced: Mutex<Synced>,
}

#[derive(Debug)]
struct Tail {
    /// Lines written so far.
    lines: u64,
    /// Whether the file ends within a line, as a crash or a full disc leaves it.
    torn: bool,
}

/// How many lines are on the disc. After a failed fsync the kernel may have dropped what it could
/// not write, and a second fsync would not tell: from then on this file proves nothing more.
#[derive(Debug)]
enum Synced {
    Lines(u64),
    Broken,
}

impl Appender {
    /// The appender of this path; all steps and all generations of the configuration share it.
    pub(crate) fn shared(path: &Path) -> Arc<Self> {
        static ALL: Mutex<Option<HashMap<PathBuf, Weak<Appender>>>> = Mutex::new(None);
        let path: PathBuf = path.components().filter(|c| *c != Component::CurDir).collect();
        let mut all = lock(&ALL);
        let all = all.get_or_insert_default();
        if let Some(appender) = all.get(&path).and_then(Weak::upgrade) {
            return appender;
        }
        all.retain(|_, appender| appender.strong_count() > 0);
        let appender = Arc::new(Self { path: path.clone(), opened: Mutex::new(None) });
        all.insert(path, Arc::downgrade(&appender));
        appender
    }

    /// Appends `line`, which ends in a line end, and returns once it is on the disc.
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let opened = self.current()?;
        let done = opened.write(line).and_then(|number| opened.sync(number));
        if done.is_err() {
            self.forget(&opened);
        }
        done
    }

    /// The open file, or a fresh one where the path now leads elsewhere (rotation, removal).
    fn current(&self) -> io::Result<Arc<Opened>> {
        let mut slot = lock(&self.opened);
        if let Some(opened) = slot.as_ref()
            && opened.is_at(&self.path)
        {
            return Ok(opened.clone());
        }
        let opened = Arc::new(Opened::open(&self.path)?);
        *slot = Some(opened.clone());
        Ok(opened)
    }

    fn forget(&self, failed: &Arc<Opened>) {
        let mut slot = lock(&self.opened);
        if slot.as_ref().is_some_and(|opened| Arc::ptr_eq(opened, failed)) {
            *slot = None;
        }
    }
}

impl Opened {
    fn open(path: &Path) -> io::Result<Self> {
        // Reading too: to see how the file ends, and so that a pipe without a reader does not block.
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        if found.len() == 0 {
            sync_folder(path)?;
        }
        let torn = ends_within_a_line(&file, found.len())?;
        let tail = Mutex::new(Tail { lines: 0, torn });
        Ok(Self { file, tail, synced: Mutex::new(Synced::Lines(0)) })
    }

    fn is_at(&self, path: &Path) -> bool {
        match (fs::metadata(path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            _ => false,
        }
    }

    /// Writes the line at once and returns its number.
    fn write(&self, line: &str) -> io::Result<u64> {
        let mut tail = lock(&self.tail);
        let ended;
        let bytes = if tail.torn {
            ended = ["\n", line].concat();
            ended.as_bytes()
        } else {
            line.as_bytes()
        };
        let written = (&self.file).write(bytes)?;
        tail.torn = written < bytes.len();
        if tail.torn {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disc took only a part"));
        }
        tail.lines += 1;
        Ok(tail.lines)
    }

    /// Returns once line `number` is on the disc. Who waits here while another syncs finds its own
    /// line covered more often than not.
    fn sync(&self, number: u64) -> io::Result<()> {
        let mut synced = lock(&self.synced);
        match *synced {
            Synced::Lines(lines) if number <= lines => return Ok(()),
            Synced::Lines(_) => {}
            Synced::Broken => return Err(io::Error::other("a write did not reach the disc")),
        }
        let covered = lock(&self.tail).lines;
        match self.file.sync_data() {
            Ok(()) => *synced = Synced::Lines(covered),
            Err(error) => {
                *synced = Synced::Broken;
                return Err(error);
            }
        }
        Ok(())
    }
}

fn ends_within_a_line(file: &File, len: u64) -> io::Result<bool> {
    let Some(last) = len.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// A new file's name is on the disc only once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A panic while the lock was held leaves nothing half-done that the next write would not mend.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
