//! Disks that a test may fill, break and freeze: a file system in memory, one in a file, and servers
//! that are started on them. Used by the suite `disk`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::HOOKWARD;

/// A mounted file system; thawed and unmounted when dropped.
pub(crate) struct Disk {
    pub(crate) at: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// In memory, of this size.
    pub(crate) fn memory(at: PathBuf, mib: usize) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        call("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs", text(&at)])?;
        Ok(Self { at, image: None })
    }

    /// ext4 in a file.
    pub(crate) fn ext4(at: PathBuf) -> Result<Self, String> {
        let image = at.with_extension("img");
        call("truncate", &["-s", "256M", text(&image)])?;
        call("mkfs.ext4", &["-q", "-F", text(&image)])?;
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        call("mount", &["-o", "loop", text(&image), text(&at)])?;
        Ok(Self { at, image: Some(image) })
    }

    /// Repairs it, as an operator would do it.
    pub(crate) fn repair(&self) -> Result<(), String> {
        let image = self.image.as_ref().ok_or("not a file system in a file")?;
        call("umount", &[text(&self.at)])?;
        // 1: it found something and mended it.
        let code = Command::new("e2fsck").args(["-fy", text(image)]).output();
        let code = code.map_err(|e| format!("e2fsck: {e}"))?.status.code();
        if !matches!(code, Some(0 | 1)) {
            return Err(format!("e2fsck ended with {code:?}"));
        }
        call("mount", &["-o", "loop", text(image), text(&self.at)])
    }

    pub(crate) fn remount(&self, how: &str) -> Result<(), String> {
        call("mount", &["-o", &format!("remount,{how}"), text(&self.at)])
    }

    /// Takes all of its room.
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

    /// Leaves so many bytes.
    pub(crate) fn fill_but(&self, left: u64) -> Result<(), String> {
        let free = self.free()?;
        let mut filler = std::fs::File::create(self.filler()).map_err(|e| e.to_string())?;
        let block = vec![0x5a_u8; 1 << 16];
        for _ in 0..free.saturating_sub(left) >> 16 {
            std::io::Write::write_all(&mut filler, &block).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    pub(crate) fn make_room(&self) {
        let _ = std::fs::remove_file(self.filler());
    }

    pub(crate) fn free(&self) -> Result<u64, String> {
        let told = call_for("df", &["--output=avail", "-B1", text(&self.at)])?;
        let free = told.lines().nth(1).and_then(|line| line.trim().parse().ok());
        free.ok_or_else(|| format!("df said {told}"))
    }

    pub(crate) fn freeze(&self) -> Result<Frozen<'_>, String> {
        call("fsfreeze", &["-f", text(&self.at)])?;
        Ok(Frozen(self))
    }

    fn filler(&self) -> PathBuf {
        self.at.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = call("umount", &["-l", text(&self.at)]);
    }
}

/// A disk on which every write waits, until this is dropped.
pub(crate) struct Frozen<'a>(&'a Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = call("fsfreeze", &["-u", text(&self.0.at)]);
    }
}

/// Why disks cannot be had here.
pub(crate) fn missing() -> Option<String> {
    for (program, args) in
        [("mkfs.ext4", "-V"), ("fsfreeze", "--version"), ("e2fsck", "-V"), ("setpriv", "--version")]
    {
        if call(program, &[args]).is_err() {
            return Some(format!("no {program}"));
        }
    }
    let folder = tempfile::tempdir().ok()?;
    let tried = Disk::memory(folder.path().join("memory"), 1)
        .and_then(|_| Disk::ext4(folder.path().join("ext4")));
    tried.err().map(|e| format!("no mounts (needs root): {e}"))
}

/// How a server ended that was not to run: its exit code, and what it said.
pub(crate) struct Refused {
    pub(crate) code: Option<i32>,
    pub(crate) words: String,
}

/// Starts a server on `folder`, as this user where one is given, and waits for its end.
pub(crate) fn refused(folder: &Path, user: Option<u32>) -> Result<Refused, String> {
    let binary = folder.join("hookward");
    let mut command = match user {
        None => Command::new(HOOKWARD),
        Some(user) => {
            // Where the other user can get at it.
            if !binary.exists() && std::fs::hard_link(HOOKWARD, &binary).is_err() {
                std::fs::copy(HOOKWARD, &binary).map_err(|e| e.to_string())?;
            }
            let mut command = Command::new("setpriv");
            let user = user.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&binary);
            command
        }
    };
    let args = ["serve", "routes.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let child = command
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (code, words) = ended(child, Duration::from_secs(10))?;
    Ok(Refused { code, words })
}

fn ended(mut child: Child, within: Duration) -> Result<(Option<i32>, String), String> {
    let start = Instant::now();
    while start.elapsed() < within {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            let mut words = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                let _ = stderr.read_to_string(&mut words);
            }
            return Ok((status.code(), words));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("it started, or did not end".to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

pub(crate) fn call(program: &str, args: &[&str]) -> Result<(), String> {
    call_for(program, args).map(drop)
}

fn call_for(program: &str, args: &[&str]) -> Result<String, String> {
    let output =
        Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
