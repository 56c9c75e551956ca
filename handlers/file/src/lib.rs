//! `handler: file` appends each event to a file, one JSON object a line. A step is done once its
//! line is on the disc.
//!
//! A step that runs twice appends twice: readers tell a repetition by `id` and `route`.

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
    /// The file; made where it is missing, in a folder that exists. A relative path starts at the
    /// folder of routes.yaml.
    path: PathBuf,
}

impl HandlerConfig for FileConfig {
    const NAME: &'static str = "file";
    const SUMMARY: &'static str = "Appends events to a file, one JSON object a line";

    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        let written = self.path.to_string_lossy();
        if written.is_empty() || written.ends_with('/') || self.path.file_name().is_none() {
            return Err(BuildError::at("/path", format!("`{written}` names no file"))
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
        // Not on the runtime's threads: the fsync takes as long as the disc wants. Given up at the
        // step timeout, the line is still written, and written again by the next attempt.
        match tokio::task::spawn_blocking(move || appender.append(&line)).await {
            Ok(Ok(())) => Ok(Flow::Next),
            Ok(Err(error)) => Err(self.failed("append to", &error)),
            Err(_) => Err(HandlerError::retry("the write was abandoned while shutting down")),
        }
    }

    async fn probe(&self) -> Result<(), ProbeError> {
        let path = self.path.clone();
        let probe = tokio::task::spawn_blocking(move || writable(path)).await;
        probe
            .map_err(|_| ProbeError::new("the probe was cancelled, because the process stops"))?
            .map_err(ProbeError::new)
    }
}

/// Whether a line could be appended now; makes nothing.
fn writable(path: PathBuf) -> Result<(), String> {
    let shown = path.display();
    if path.exists() {
        let opened = OpenOptions::new().append(true).open(&path);
        return opened.map(drop).map_err(|e| format!("cannot append to {shown}: {e}"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let shown = folder.display();
    match fs::metadata(&folder) {
        Ok(found) if !found.is_dir() => Err(format!("{shown} is no folder")),
        Ok(_) => access(&folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|e| format!("cannot make files in {shown}: {e}")),
        Err(e) => Err(format!("the folder {shown} cannot be used: {e}")),
    }
}
