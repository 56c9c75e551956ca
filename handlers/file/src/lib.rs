//! `handler: file` appends each event to a file, one JSON object per line. A step is done once its
//! line is on disk.
//!
//! A step that runs twice appends twice: readers detect duplicates by `id` and `route`.

mod appender;

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError, ProbeError, event_json};
use rustix::fs::{Access, access};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::appender::Appender;

hookward_core::register_handler!(FileConfig);

/// Settings of the handler: the keys of its `with:` block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// The file; created if missing, in an existing folder. A relative path starts at the folder of
    /// routes.yaml.
    path: PathBuf,
}

impl HandlerConfig for FileConfig {
    const NAME: &'static str = "file";
    const SUMMARY: &'static str = "Appends events to a file, one JSON object per line";

    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        let written = self.path.to_string_lossy();
        if written.is_empty() || written.ends_with('/') || self.path.file_name().is_none() {
            return Err(BuildError::at("/path", format!("`{written}` is not the path of a file"))
                .help("write the path of a file, such as events.jsonl"));
        }
        let path = cx.base_dir.join(&self.path);
        Ok(Arc::new(File { appender: Appender::shared(&path), path }))
    }
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    appender: Arc<Appender>,
}

impl File {
    fn failed(&self, what: &str, error: &std::io::Error) -> HandlerError {
        HandlerError::retry(format!("cannot {what} {}: {error}", self.path.display()))
    }
}

#[async_trait]
impl Handler for File {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let mut line = event_json(&event, cx);
        line.push('\n');
        let appender = self.appender.clone();
        // A blocking thread, because an fsync can take seconds. If the step times out, the line is
        // still written, and the next attempt writes it again.
        match tokio::task::spawn_blocking(move || appender.append(&line)).await {
            Ok(Ok(())) => Ok(Flow::Next),
            Ok(Err(error)) => Err(self.failed("append to", &error)),
            Err(_) => Err(HandlerError::retry("the write was abandoned while shutting down")),
        }
    }

    async fn probe(&self) -> Result<(), ProbeError> {
        let path = self.path.clone();
        let probe = tokio::task::spawn_blocking(move || check_writable(path)).await;
        probe
            .map_err(|_| ProbeError::new("the probe was cancelled, because the process stops"))?
            .map_err(ProbeError::new)
    }
}

/// Checks that a line could be appended now, without creating the file.
fn check_writable(path: PathBuf) -> Result<(), String> {
    let display = path.display();
    if path.exists() {
        let opened = OpenOptions::new().append(true).open(&path);
        return opened.map(drop).map_err(|e| format!("cannot append to {display}: {e}"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let display = folder.display();
    match fs::metadata(&folder) {
        Ok(found) if !found.is_dir() => Err(format!("{display} is not a folder")),
        Ok(_) => access(&folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|e| format!("cannot create files in {display}: {e}")),
        Err(e) => Err(format!("the folder {display} cannot be read: {e}")),
    }
}
