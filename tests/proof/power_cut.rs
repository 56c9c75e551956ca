//! Suite `power-cut`: the store lies on an ext4 file system in an image. The server is stopped, the
//! image is copied as it is on the disk, and a new server opens the copy, as after a power failure.
//! The copy contains only synced data, so this proves that every acknowledged event was synced.
//!
//! The oracle compares what the copy contains with what was acknowledged before it was made. The
//! canary is a server whose syncs do nothing. The suite needs root, loop mounts and strace (for the
//! canary).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::RunOptions;
use crate::checker::stored_events;
use crate::effect_sink::EffectSink;
use crate::kill::routes_yaml;
use crate::load::{Load, SentEvents};
use crate::server::{Server, ServerDir};

/// Size of the image; a run needs far less.
const IMAGE_SIZE: &str = "256M";
/// Cuts within which the canary must lose an event.
const CANARY_CUTS: u64 = 5;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = missing_requirement() {
        return Ok(format!("SKIP: {missing}"));
    }
    let mut lost_by_canary = 0;
    for n in 0..CANARY_CUTS {
        lost_by_canary += cut_power(options.seed + n, true)?.lost;
        if lost_by_canary > 0 {
            break;
        }
    }
    if lost_by_canary == 0 {
        return Err(format!(
            "the canary, syncs that do nothing, lost nothing in {CANARY_CUTS} cuts"
        ));
    }
    let (mut cuts, mut acknowledged) = (0, 0);
    while options.wants_another(cuts) {
        let cut = cut_power(options.seed.wrapping_add(cuts as u64), false)?;
        if cut.lost > 0 {
            return Err(format!(
                "cut {cuts}: {} of {} acknowledged events lost",
                cut.lost, cut.acknowledged
            ));
        }
        acknowledged += cut.acknowledged;
        cuts += 1;
    }
    Ok(format!("{cuts} cuts, {acknowledged} acknowledged, 0 lost; canary lost {lost_by_canary}"))
}

/// Counts of one power cut.
struct CutResult {
    acknowledged: usize,
    lost: usize,
}

/// Returns why the suite cannot run here.
fn missing_requirement() -> Option<&'static str> {
    let works = |program: &str, args: &[&str]| {
        let mut run = Command::new(program);
        run.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        run.status().is_ok_and(|s| s.success())
    };
    if !works("strace", &["-V"]) {
        return Some("no strace");
    }
    if !works("mkfs.ext4", &["-V"]) {
        return Some("no mkfs.ext4");
    }
    let folder = tempfile::tempdir().ok()?;
    match MountedImage::new(folder.path().join("try.img"), folder.path().join("try")) {
        Ok(_) => None,
        Err(_) => Some("no loop mounts (needs root)"),
    }
}

fn cut_power(seed: u64, canary: bool) -> Result<CutResult, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let disk = MountedImage::new(folder.path().join("disk.img"), folder.path().join("disk"))?;
    let sink = EffectSink::start();
    let text = routes_yaml("sqlite:disk/events.db", &sink);
    std::fs::write(folder.path().join("routes.yaml"), &text).map_err(|e| e.to_string())?;
    let sent = Arc::new(Mutex::new(SentEvents::default()));
    let server = Server::start(folder.path(), &[]);
    // The canary starts after the first real syncs, which make the creation of the file durable: a
    // store without a file would be no proof that lost events are found.
    let strace = if canary { Some(DisabledSyncs::attach(server.pid())?) } else { None };
    let load = Load::start(&server.addr, 16, 0, &sent);
    std::thread::sleep(Duration::from_millis(rng.u64(100..500)));
    // Events that are acknowledged while the image is copied may or may not be in the copy.
    let acknowledged = sent.lock().unwrap().acknowledged.clone();
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

    let after = ServerDir::new(&text);
    let _mounted = MountedImage::mount(copy, after.path("disk"))?;
    let server = after.start();
    let stored = stored_events(&server)?;
    let lost = acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    server.kill();
    Ok(CutResult { acknowledged: acknowledged.len(), lost })
}

/// A mounted ext4 image, unmounted when dropped. `commit=60` keeps the file system's timer from
/// hiding a missing sync.
struct MountedImage {
    image: PathBuf,
    at: PathBuf,
}

impl MountedImage {
    fn new(image: PathBuf, at: PathBuf) -> Result<Self, String> {
        run_command("truncate", &["-s", IMAGE_SIZE, path_str(&image)])?;
        run_command("mkfs.ext4", &["-q", "-F", path_str(&image)])?;
        Self::mount(image, at)
    }

    fn mount(image: PathBuf, at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|e| e.to_string())?;
        run_command("mount", &["-o", "loop,commit=60", path_str(&image), path_str(&at)])?;
        Ok(Self { image, at })
    }
}

impl Drop for MountedImage {
    fn drop(&mut self) {
        let _ = run_command("umount", &["-l", path_str(&self.at)]);
    }
}

/// An strace of a server that turns its syncs into calls that succeed without effect.
struct DisabledSyncs(std::process::Child);

impl DisabledSyncs {
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

impl Drop for DisabledSyncs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn path_str(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

fn run_command(program: &str, args: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
