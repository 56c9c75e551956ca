//! Power cuts: the store lies on a file system in an image; the server is stopped, the image is copied
//! as it is on the disk, and the copy is what a machine finds after the power came back. Only what was
//! synced is in it. Needs root, loop mounts and strace (for the canary).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::RunOptions;
use crate::checker::stored;
use crate::effect_sink::Sink;
use crate::kill::routes;
use crate::load::{Known, Load};
use crate::server::{Place, Server};

/// Of the image; a run stays far below it.
const SIZE: &str = "256M";

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = missing() {
        return Ok(format!("SKIP: {missing}"));
    }
    let mut lost_by_canary = 0;
    for n in 0..5 {
        lost_by_canary += cut(options.seed + n, true)?.lost;
        if lost_by_canary > 0 {
            break;
        }
    }
    if lost_by_canary == 0 {
        return Err("the canary, syncs that do nothing, lost nothing in 5 cuts".to_owned());
    }
    let (mut cuts, mut acknowledged) = (0, 0);
    while options.wants_another(cuts) {
        let seen = cut(options.seed.wrapping_add(cuts as u64), false)?;
        if seen.lost > 0 {
            return Err(format!("cut {cuts}: {} of {} lost", seen.lost, seen.acknowledged));
        }
        acknowledged += seen.acknowledged;
        cuts += 1;
    }
    Ok(format!("{cuts} cuts, {acknowledged} acknowledged, 0 lost; canary lost {lost_by_canary}"))
}

/// What one cut showed.
struct Seen {
    acknowledged: usize,
    lost: usize,
}

fn missing() -> Option<&'static str> {
    let there = |program: &str, args: &[&str]| {
        let mut run = Command::new(program);
        run.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        run.status().is_ok_and(|s| s.success())
    };
    if !there("strace", &["-V"]) {
        return Some("no strace");
    }
    if !there("mkfs.ext4", &["-V"]) {
        return Some("no mkfs.ext4");
    }
    let folder = tempfile::tempdir().ok()?;
    match Mounted::new(folder.path().join("try.img"), folder.path().join("try")) {
        Ok(_) => None,
        Err(_) => Some("no loop mounts (needs root)"),
    }
}

fn cut(seed: u64, canary: bool) -> Result<Seen, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let disk = Mounted::new(folder.path().join("disk.img"), folder.path().join("disk"))?;
    let sink = Sink::start();
    let text = routes("sqlite:disk/events.db", &sink);
    std::fs::write(folder.path().join("routes.yaml"), &text).map_err(|e| e.to_string())?;
    let known = Arc::new(Mutex::new(Known::default()));
    let server = Server::start(folder.path(), &[]);
    // The file's creation is made durable by the first real syncs; the canary starts behind them.
    let strace = if canary { Some(Tampered::attach(server.pid())?) } else { None };
    let load = Load::start(&server.addr, 16, 0, &known);
    std::thread::sleep(Duration::from_millis(chance.u64(100..500)));
    // Only what was acknowledged before the copy begins counts.
    let acknowledged = known.lock().unwrap().acknowledged.clone();
    server.signal("-STOP");
    let copy = folder.path().join("copy.img");
    let copied = Command::new("cp").arg("--sparse=always").arg(&disk.image).arg(&copy).status();
    if !copied.is_ok_and(|s| s.success()) {
        return Err("the image could not be copied".to_owned());
    }
    drop(strace);
    server.signal("-CONT");
    server.kill();
    load.stop();

    let after = Place::new(&text);
    let _found = Mounted::existing(copy, after.path("disk"))?;
    let server = after.start();
    let stored = stored(&server)?;
    let lost = acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    server.kill();
    Ok(Seen { acknowledged: acknowledged.len(), lost })
}

/// An ext4 image, mounted; unmounted when dropped. `commit=60`: the file system's own timer must not
/// hide a sync that is missing.
struct Mounted {
    image: PathBuf,
    at: PathBuf,
}

impl Mounted {
    fn new(image: PathBuf, at: PathBuf) -> Result<Self, String> {
        call("truncate", &["-s", SIZE, path(&image)])?;
        call("mkfs.ext4", &["-q", "-F", path(&image)])?;
        Self::existing(image, at)
    }

    fn existing(image: PathBuf, at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        call("mount", &["-o", "loop,commit=60", path(&image), path(&at)])?;
        Ok(Self { image, at })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = call("umount", &["-l", path(&self.at)]);
    }
}

/// strace on a server, its syncs made to do nothing and to say that all is well.
struct Tampered(std::process::Child);

impl Tampered {
    fn attach(pid: u32) -> Result<Self, String> {
        let pid = pid.to_string();
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &pid])
            .args(["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(Self(child))
    }
}

impl Drop for Tampered {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

fn call(program: &str, args: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
