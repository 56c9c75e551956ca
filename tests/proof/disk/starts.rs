//! Starts that must fail on a disk that cannot be used. Each ends immediately and says what to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::mount::Disk;
use super::routes_yaml;
use crate::effect_sink::EffectSink;
use crate::failed_start::{FailedStart, start_failing};
use crate::server::ServerDir;

/// User id of `nobody`.
const NOBODY_UID: u32 = 65534;
/// Lines that an error message may have.
const MAX_MESSAGE_LINES: usize = 12;

/// Tries each of these starts; returns how many failed as they must.
pub(super) fn check_failing_starts() -> Result<String, String> {
    let place = ServerDir(tempfile::tempdir().unwrap());
    let sink = EffectSink::start();
    let text = routes_yaml(&sink, Path::new("go"));
    place.write("routes.yaml", &text);
    let set_mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(place.0.path(), 0o755);
    let mut count = 0;
    let mut case = |what: &str, user, wanted: &[&str]| {
        let failed = start_failing(place.0.path(), user)?;
        count += 1;
        check_message(what, &failed, wanted)
    };
    case("without the store's folder", None, &["does not exist", "mkdir -p"])?;

    let disk = Disk::memory(place.path("disk"), 64)?;
    disk.remount("ro")?;
    case("on a read-only disk", None, &["cannot be written", "this user may"])?;
    disk.remount("rw")?;

    std::fs::create_dir(disk.at.join("x")).map_err(|e| e.to_string())?;
    set_mode(&disk.at, 0o755);
    case("in another user's folder", Some(NOBODY_UID), &["cannot be written", "this user may"])?;

    let owner = place.start();
    let pid = owner.pid().to_string();
    case("while another process owns the store", None, &["in use", &pid, "stop that process"])?;
    owner.kill();
    set_mode(&disk.at, 0o777);
    set_mode(&disk.at.join("events.db"), 0o644);
    let _ = std::fs::remove_file(disk.at.join("events.db.lock"));
    case("on another user's file", Some(NOBODY_UID), &["cannot be", "this user may"])?;

    disk.fill()?;
    for name in
        ["events.db", "events.db-wal", "events.db-shm", "events.db.reserve", "events.db.mark"]
    {
        let _ = std::fs::remove_file(disk.at.join(name));
    }
    disk.fill()?;
    case("on a full disk", None, &["no disk space"])?;
    Ok(format!("{count} failing starts with a helpful message"))
}

/// Checks the exit code, 1 or 70, and that the short message contains each of these texts.
pub(super) fn check_message(
    what: &str,
    failed: &FailedStart,
    wanted: &[&str],
) -> Result<(), String> {
    let FailedStart { code, message } = failed;
    if !matches!(code, Some(1 | 70)) {
        return Err(format!("a start {what} ended with {code:?}, expected 1 or 70: {message}"));
    }
    let lines = message.lines().count();
    match wanted.iter().find(|wanted| !message.contains(**wanted)) {
        Some(missing) => Err(format!("the message of a start {what} lacks `{missing}`: {message}")),
        None if lines > MAX_MESSAGE_LINES || message.contains("panicked") => {
            Err(format!("the message of a start {what} is too long or a panic: {message}"))
        }
        None => Ok(()),
    }
}
