//! What a new crate builds on: the published crates, or a checkout of Hookward.

use std::path::{Path, PathBuf};

/// Where a new crate takes Hookward's crates from.
#[derive(Debug, Clone)]
pub(super) struct House {
    checkout: Option<PathBuf>,
    /// The new crate is a member of the checkout's own workspace.
    member: bool,
}

impl House {
    /// A checkout that was named, or the one that this program was built from where it is still there;
    /// else what is published.
    pub(super) fn find(named: Option<&Path>, folder: &Path) -> Result<Self, String> {
        let is_house =
            |dir: &Path| dir.join("core/Cargo.toml").exists() && dir.join("engine").is_dir();
        let checkout = match named {
            Some(dir) if !is_house(dir) => {
                return Err(format!(
                    "{} is no checkout of Hookward: it has no core/ and engine/",
                    dir.display()
                ));
            }
            Some(dir) => Some(dir.to_owned()),
            None => built_from().filter(|dir| is_house(dir)),
        };
        let absolute = |dir: &Path| dir.canonicalize().ok();
        let checkout = checkout.as_deref().and_then(absolute);
        let family = folder.parent().filter(|p| !p.as_os_str().is_empty());
        let family = absolute(family.unwrap_or_else(|| Path::new(".")));
        let member = checkout.as_ref().is_some_and(|house| {
            ["providers", "handlers"].iter().any(|f| family.as_ref() == Some(&house.join(f)))
        });
        Ok(Self { checkout, member })
    }

    /// The dependency on one crate of the house, as it stands in Cargo.toml; `room` is its folder.
    pub(super) fn dependency(&self, name: &str, room: &str) -> String {
        match &self.checkout {
            Some(_) if self.member => format!("{name} = {{ path = \"../../{room}\" }}"),
            Some(house) => {
                let path = house.join(room).display().to_string();
                format!("{name} = {{ path = {} }}", toml_text(&path))
            }
            None => format!("{name} = \"{}\"", env!("CARGO_PKG_VERSION")),
        }
    }

    /// A crate of its own is its own workspace, wherever its folder is.
    pub(super) fn workspace(&self) -> &'static str {
        if self.member { "" } else { "\n[workspace]\n" }
    }
}

/// The folder above the one of this package, on the machine where it was built.
fn built_from() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned)
}

/// A TOML text; a JSON text is one.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_builds_on_the_checkout_and_within_it_by_relative_paths() {
        let house = built_from().unwrap();
        let outside = House::find(Some(&house), Path::new("/nowhere/acme")).unwrap();
        assert!(outside.dependency("hookward-core", "core").contains("/core\" }"));
        assert_eq!(outside.workspace(), "\n[workspace]\n");
        let inside = House::find(Some(&house), &house.join("providers/acme")).unwrap();
        let line = "hookward-core = { path = \"../../core\" }";
        assert_eq!(inside.dependency("hookward-core", "core"), line);
        assert_eq!(inside.workspace(), "");
    }

    #[test]
    fn what_is_no_checkout_is_refused() {
        let text = House::find(Some(Path::new("/")), Path::new("acme")).unwrap_err();
        assert!(text.contains("no checkout"), "{text}");
    }
}
