//! Warns where other users of the machine can read the secrets of a configuration, or change what
//! the server obeys.

use std::path::Path;

use super::compile_cx::CompileCx;
use crate::config::document::Location;
use crate::config::environment::AccessOfOthers;
use crate::config::pointer;

/// A file of variables that shells and process managers read, beside routes.yaml.
const ENV_FILE: &str = ".env";

/// Warns about routes.yaml, the files of its `${file:…}` references, and the `.env` beside it. Keys
/// of TLS and secret files are checked where they are read.
pub(super) fn warn(cx: &mut CompileCx<'_>, file: &Path) {
    warn_config_file(cx, file);
    let env_file = cx.base_dir.join(ENV_FILE);
    warn_secret(cx, Location::Key(""), &env_file, ENV_FILE);
    for (at, path) in file_references(cx) {
        let file = cx.base_dir.join(&path);
        warn_secret(cx, Location::Value(&at), &file, &path);
    }
}

/// Warns where others can read or change a file that holds a secret. `shown` is its path as
/// written.
pub(super) fn warn_secret(
    cx: &mut CompileCx<'_>,
    location: Location<'_>,
    file: &Path,
    shown: &str,
) {
    let AccessOfOthers { read, write } = cx.load.environment.access_of_others(file);
    let verb = match (read, write) {
        (false, false) => return,
        (true, false) => "read",
        (false, true) => "change",
        (true, true) => "read and change",
    };
    cx.document
        .warn(location, format!("every user of this machine can {verb} `{shown}`"))
        .help(format!("it holds a secret; {}", how_to_close(shown, write)));
}

/// Warns where others can change routes.yaml, or read it while it holds secrets.
fn warn_config_file(cx: &mut CompileCx<'_>, file: &Path) {
    let AccessOfOthers { read, write } = cx.load.environment.access_of_others(file);
    let shown = file.display().to_string();
    if write {
        cx.document
            .warn(Location::Key(""), format!("every user of this machine can change `{shown}`"))
            .help(format!(
                "whoever changes it chooses which commands the server runs; {}",
                how_to_close(&shown, write)
            ));
    } else if read && has_literal_secret(cx) {
        cx.document
            .warn(
                Location::Key(""),
                format!("every user of this machine can read the secrets in `{shown}`"),
            )
            .help(format!(
                "write `${{NAME}}` or `${{file:path}}` for each secret; or {}",
                how_to_close(&shown, write)
            ));
    }
}

fn how_to_close(shown: &str, write: bool) -> String {
    let folders = if write { ", and `chmod o-w` the folders above it" } else { "" };
    format!("take the right away: `chmod o-rwx {shown}`{folders}")
}

/// Whether a secret is written into the file itself. The default of a reference does not count: it
/// is for a first try.
fn has_literal_secret(cx: &CompileCx<'_>) -> bool {
    let names: Vec<String> = cx.keys("/sources");
    let paths: Vec<_> = names
        .iter()
        .map(|name| format!("{}/secret_file", pointer::join("/sources", name)))
        .filter(|at| cx.contains(at))
        .map(|at| cx.document.value_span(&at))
        .collect();
    // `secret_file` is masked by its name, and holds a path.
    let is_path = |start: usize, end: usize| paths.iter().any(|p| p.start <= start && end <= p.end);
    cx.document.masked.iter().any(|mask| {
        let written = cx.document.text.slice(mask);
        let is_empty = written.trim_matches(['"', '\'', ' ']).is_empty();
        !is_empty && !written.contains("${") && !is_path(mask.start, mask.end)
    })
}

/// The files of all `${file:…}` references that were filled in, with the place of each.
fn file_references(cx: &CompileCx<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, filled) in &cx.document.filled {
        for (_, reference) in &filled.hidden_values {
            let path = reference.strip_prefix("${file:").and_then(|rest| rest.strip_suffix('}'));
            let place = path.map(|path| (at.clone(), path.trim().to_owned()));
            found.extend(place.filter(|place| !found.contains(place)));
        }
    }
    found
}
