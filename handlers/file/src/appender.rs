//! Appends lines to files, with one appender per path and process. Each line is one write; one
//! fsync covers all lines written before it began. Steps call this module from blocking threads.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Appends lines to one path. Opens the file on first use.
#[derive(Debug)]
pub(crate) struct Appender {
    path: PathBuf,
    open_file: Mutex<Option<Arc<OpenFile>>>,
}

/// An open file. A line is durable once this file is synced, even if the path leads to another file
/// later.
#[derive(Debug)]
struct OpenFile {
    file: File,
    tail: Mutex<Tail>,
    synced: Mutex<Synced>,
}

/// Count of lines and the state of the end of a file.
#[derive(Debug)]
struct Tail {
    /// Number of lines written so far.
    lines: u64,
    /// Whether the file ends within a line, after a crash or a full disk.
    torn: bool,
}

/// Durability of the lines of a file. After a failed fsync the kernel may have dropped the pages
/// that it could not write, and a second fsync may succeed without them. So one failed fsync makes
/// every later sync of this file fail.
#[derive(Debug)]
enum Synced {
    Lines(u64),
    Broken,
}

impl Appender {
    /// Returns the appender of a path. All steps share it, also across reloads of the
    /// configuration.
    pub(crate) fn shared(path: &Path) -> Arc<Self> {
        static ALL: Mutex<Option<HashMap<PathBuf, Weak<Appender>>>> = Mutex::new(None);
        let path: PathBuf = path.components().filter(|c| *c != Component::CurDir).collect();
        let mut all = lock(&ALL);
        let all = all.get_or_insert_default();
        if let Some(appender) = all.get(&path).and_then(Weak::upgrade) {
            return appender;
        }
        all.retain(|_, appender| appender.strong_count() > 0);
        let appender = Arc::new(Self { path: path.clone(), open_file: Mutex::new(None) });
        all.insert(path, Arc::downgrade(&appender));
        appender
    }

    /// Appends `line`, which ends with a line feed, and returns once it is on disk.
    pub(crate) fn append(&self, line: &str) -> io::Result<()> {
        let open_file = self.current_file()?;
        let done = open_file.write(line).and_then(|number| open_file.sync(number));
        if done.is_err() {
            self.discard(&open_file);
        }
        done
    }

    /// Returns the open file, or opens a new one if the path leads to another file now (rotation,
    /// removal).
    fn current_file(&self) -> io::Result<Arc<OpenFile>> {
        let mut slot = lock(&self.open_file);
        if let Some(open_file) = slot.as_ref()
            && open_file.is_at(&self.path)
        {
            return Ok(open_file.clone());
        }
        let open_file = Arc::new(OpenFile::open(&self.path)?);
        *slot = Some(open_file.clone());
        Ok(open_file)
    }

    fn discard(&self, failed: &Arc<OpenFile>) {
        let mut slot = lock(&self.open_file);
        if slot.as_ref().is_some_and(|open_file| Arc::ptr_eq(open_file, failed)) {
            *slot = None;
        }
    }
}

impl OpenFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Opened for reading too: to read the last byte, and so that opening a pipe without a
        // reader does not block.
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is not a regular file"));
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

    /// Writes a line with one write and returns its number.
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
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the disk is full: only a part of the line was written",
            ));
        }
        tail.lines += 1;
        Ok(tail.lines)
    }

    /// Returns once line `number` is on disk. A caller that waits here for another caller's fsync
    /// mostly finds its own line covered by it.
    fn sync(&self, number: u64) -> io::Result<()> {
        let mut synced = lock(&self.synced);
        match *synced {
            Synced::Lines(lines) if number <= lines => return Ok(()),
            Synced::Lines(_) => {}
            Synced::Broken => {
                return Err(io::Error::other("an earlier write did not reach the disk"));
            }
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

/// The name of a new file is durable only after its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Ignores poisoning: a panic with the lock held leaves no state that the next write does not
/// repair.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
