//! Where a new crate takes Hookward's crates from: the published crates, or a checkout.

use std::path::{Path, PathBuf};

/// The source of a new crate's dependencies on Hookward.
#[derive(Debug, Clone)]
pub(super) struct DependencySource {
    checkout: Option<PathBuf>,
    /// Whether the new crate is a member of the checkout's workspace.
    member: bool,
}

impl DependencySource {
    /// The given checkout; otherwise the checkout that this program was built from, if it still exists;
    /// otherwise the published crates.
    pub(super) fn find(named: Option<&Path>, folder: &Path) -> Result<Self, String> {
        let is_checkout =
            |dir: &Path| dir.join("core/Cargo.toml").exists() && dir.join("engine").is_dir();
        let checkout = match named {
            Some(dir) if !is_checkout(dir) => {
                return Err(format!(
                    "{} is not a checkout of Hookward: it has no core/ and engine/",
                    dir.display()
                ));
            }
            Some(dir) => Some(dir.to_owned()),
            None => built_from().filter(|dir| is_checkout(dir)),
        };
        let absolute = |dir: &Path| dir.canonicalize().ok();
        let checkout = checkout.as_deref().and_then(absolute);
        let family = folder.parent().filter(|p| !p.as_os_str().is_empty());
        let family = absolute(family.unwrap_or_else(|| Path::new(".")));
        let member = checkout.as_ref().is_some_and(|checkout| {
            ["providers", "handlers"].iter().any(|f| family.as_ref() == Some(&checkout.join(f)))
        });
        Ok(Self { checkout, member })
    }

    /// The line of Cargo.toml for the dependency on one of Hookward's crates; `crate_dir` is its folder in the
    /// checkout.
    pub(super) fn dependency(&self, name: &str, crate_dir: &str) -> String {
        format!("{name} = {{ {} }}", self.location(crate_dir))
    }

    /// Like [`Self::dependency`], without the crate's default features.
    pub(super) fn featureless_dependency(&self, name: &str, crate_dir: &str) -> String {
        format!("{name} = {{ {}, default-features = false }}", self.location(crate_dir))
    }

    /// The keys of the dependency that say where the crate is.
    fn location(&self, crate_dir: &str) -> String {
        match &self.checkout {
            Some(_) if self.member => format!("path = \"../../{crate_dir}\""),
            Some(checkout) => {
                let path = checkout.join(crate_dir).display().to_string();
                format!("path = {}", toml_text(&path))
            }
            None => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
        }
    }

    /// The `[workspace]` section of a crate outside the checkout: it must not join a workspace above its folder.
    pub(super) fn workspace(&self) -> &'static str {
        if self.member { "" } else { "\n[workspace]\n" }
    }
}

/// The folder above this package, on the machine where it was built.
fn built_from() -> Option<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned)
}

/// A TOML string; every JSON string is one.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_inside_the_checkout_uses_relative_paths() {
        let checkout = built_from().unwrap();
        let outside = DependencySource::find(Some(&checkout), Path::new("/nowhere/acme")).unwrap();
        assert!(outside.dependency("hookward-core", "core").contains("/core\" }"));
        assert_eq!(outside.workspace(), "\n[workspace]\n");
        let inside =
            DependencySource::find(Some(&checkout), &checkout.join("providers/acme")).unwrap();
        let line = "hookward-core = { path = \"../../core\" }";
        assert_eq!(inside.dependency("hookward-core", "core"), line);
        let line = "hookward-core = { path = \"../../core\", default-features = false }";
        assert_eq!(inside.featureless_dependency("hookward-core", "core"), line);
        assert_eq!(inside.workspace(), "");
    }

    #[test]
    fn a_folder_that_is_not_a_checkout_is_an_error() {
        let text = DependencySource::find(Some(Path::new("/")), Path::new("acme")).unwrap_err();
        assert!(text.contains("not a checkout"), "{text}");
    }
}
