//! Disks that a test may fill, abort and freeze: a file system in memory, and one in a file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; thawed and unmounted when dropped.
pub(crate) struct Disk {
    /// The mount point.
    pub(crate) at: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// Mounts a file system in memory, of this size.
    pub(crate) fn memory(at: PathBuf, mib: usize) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        run_command(
            "mount",
            &["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs", path_str(&at)],
        )?;
        Ok(Self { at, image: None })
    }

    /// Mounts an ext4 file system in a file.
    pub(crate) fn ext4(at: PathBuf) -> Result<Self, String> {
        let image = at.with_extension("img");
        run_command("truncate", &["-s", "256M", path_str(&image)])?;
        run_command("mkfs.ext4", &["-q", "-F", path_str(&image)])?;
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        run_command("mount", &["-o", "loop", path_str(&image), path_str(&at)])?;
        Ok(Self { at, image: Some(image) })
    }

    /// Checks and repairs the file system, as an operator does.
    pub(crate) fn repair(&self) -> Result<(), String> {
        let image = self.image.as_ref().ok_or("only a file system in a file can be repaired")?;
        run_command("umount", &[path_str(&self.at)])?;
        // Exit code 1: errors were found and corrected.
        let code = Command::new("e2fsck").args(["-fy", path_str(image)]).output();
        let code = code.map_err(|e| format!("e2fsck: {e}"))?.status.code();
        if !matches!(code, Some(0 | 1)) {
            return Err(format!("e2fsck ended with {code:?}"));
        }
        run_command("mount", &["-o", "loop", path_str(image), path_str(&self.at)])
    }

    /// Remounts with these options: `ro`, `rw`, or `abort`, after which ext4 is read-only.
    pub(crate) fn remount(&self, how: &str) -> Result<(), String> {
        run_command("mount", &["-o", &format!("remount,{how}"), path_str(&self.at)])
    }

    /// Fills the disk to the last byte.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let mut filler = std::fs::File::create(self.filler()).map_err(|e| e.to_string())?;
        let mut block = vec![0x5a_u8; 1 << 20];
        while !block.is_empty() {
            if std::io::Write::write_all(&mut filler, &block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        Ok(())
    }

    /// Fills the disk except for this number of bytes.
    pub(crate) fn fill_except(&self, left: u64) -> Result<(), String> {
        let free = self.available()?;
        let mut filler = std::fs::File::create(self.filler()).map_err(|e| e.to_string())?;
        let block = vec![0x5a_u8; 1 << 16];
        for _ in 0..free.saturating_sub(left) >> 16 {
            std::io::Write::write_all(&mut filler, &block).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Frees what was filled.
    pub(crate) fn free(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    fn available(&self) -> Result<u64, String> {
        let output = run_command_for_output("df", &["--output=avail", "-B1", path_str(&self.at)])?;
        let free = output.lines().nth(1).and_then(|line| line.trim().parse().ok());
        free.ok_or_else(|| format!("df printed {output}"))
    }

    /// Makes every write wait until the returned guard is dropped.
    pub(crate) fn freeze(&self) -> Result<Frozen<'_>, String> {
        run_command("fsfreeze", &["-f", path_str(&self.at)])?;
        Ok(Frozen(self))
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run_command("umount", &["-l", path_str(&self.at)]);
    }
}

/// Thaws the disk when it is dropped.
pub(crate) struct Frozen<'a>(&'a Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = run_command("fsfreeze", &["-u", path_str(&self.0.at)]);
    }
}

/// Returns why such disks cannot be used here.
pub(crate) fn missing_requirement() -> Option<String> {
    for (program, args) in
        [("mkfs.ext4", "-V"), ("fsfreeze", "--version"), ("e2fsck", "-V"), ("setpriv", "--version")]
    {
        if run_command(program, &[args]).is_err() {
            return Some(format!("no {program}"));
        }
    }
    let folder = tempfile::tempdir().ok()?;
    let tried = Disk::memory(folder.path().join("memory"), 1)
        .and_then(|_| Disk::ext4(folder.path().join("ext4")));
    tried.err().map(|e| format!("no mounts (needs root): {e}"))
}

fn path_str(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

fn run_command(program: &str, args: &[&str]) -> Result<(), String> {
    run_command_for_output(program, args).map(drop)
}

fn run_command_for_output(program: &str, args: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
