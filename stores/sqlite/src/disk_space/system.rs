//! The system calls: free space of a file system, and a file with blocks of its own.

use std::path::Path;

use super::FileSystemSpace;

/// Space of the file system of a folder; `None` where the system does not say.
#[cfg(unix)]
pub(super) fn file_system_space(folder: &Path) -> Option<FileSystemSpace> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    // Some network file systems report a size of zero: they do not know it.
    (stat.f_blocks > 0)
        .then(|| FileSystemSpace { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

#[cfg(not(unix))]
pub(super) fn file_system_space(_: &Path) -> Option<FileSystemSpace> {
    None
}

/// Creates a file of this size with allocated blocks. A sparse file would reserve nothing.
#[cfg(unix)]
pub(super) fn allocate(path: &Path, bytes: u64) -> std::io::Result<()> {
    let file = crate::private_file::options().write(true).create(true).truncate(true).open(path)?;
    let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    if allocated.is_err() {
        let _ = std::fs::remove_file(path);
    }
    Ok(allocated?)
}

#[cfg(not(unix))]
pub(super) fn allocate(_: &Path, _: u64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
