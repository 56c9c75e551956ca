//! The files of a new crate, made from templates.

use std::collections::BTreeMap;
use std::path::Path;

/// The files of a new crate, by their path within it.
#[derive(Debug, Default)]
pub(super) struct CrateFiles(BTreeMap<&'static str, String>);

impl CrateFiles {
    /// Adds a file made from a template: each `%KEY%` of `values` is replaced.
    pub(super) fn add_template(
        &mut self,
        path: &'static str,
        template: &str,
        values: &[(&str, &str)],
    ) {
        let fill = |text: String, (key, value): &(&str, &str)| text.replace(key, value);
        self.0.insert(path, values.iter().fold(template.to_owned(), fill));
    }

    /// Adds a file without filling placeholders.
    pub(super) fn add_text(&mut self, path: &'static str, text: String) {
        self.0.insert(path, text);
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Writes the files into a new folder; an existing folder is an error.
    pub(super) fn write(&self, folder: &Path) -> Result<(), String> {
        if folder.exists() {
            let shown = folder.display();
            return Err(format!("{shown} already exists; choose another folder with --dir"));
        }
        for (path, text) in &self.0 {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok(())
    }
}
