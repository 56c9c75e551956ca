//! The plugins that a program has, by kind and name: those that are linked, or those that were
//! added.

use std::collections::BTreeMap;

use crate::plugin::descriptor::{
    HandlerDescriptor, Origin, Plugin, ProviderDescriptor, StoreDescriptor,
};

/// Two linked crates register plugins of the same kind and name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "two crates bring the {kind} `{name}`: {} {} and {} {}; link only one of them",
    .first.crate_name, .first.version, .second.crate_name, .second.version
)]
pub struct DuplicatePlugin {
    /// The kind that both have: `provider`, `handler` or `store`.
    pub kind: &'static str,
    /// The name that both have.
    pub name: &'static str,
    /// The crate that was added first.
    pub first: Origin,
    /// The crate that was added second.
    pub second: Origin,
}

/// Finds plugins by kind and name. The configuration is loaded against one, so a test can load
/// routes.yaml with the plugins that it names.
///
/// ```
/// use hookward_core::plugin::Registry;
///
/// let registry = Registry::empty();
/// assert!(registry.provider("github").is_none());
/// assert!(registry.names("handler").is_empty());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<(&'static str, &'static str), Plugin>);

impl Registry {
    /// A registry without plugins, to which [`add`](Self::add) adds.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A registry of every plugin that is linked into this program.
    ///
    /// # Errors
    /// [`DuplicatePlugin`] where two of them have the same kind and name.
    pub fn linked() -> Result<Self, DuplicatePlugin> {
        let mut registry = Self::empty();
        registry.add(inventory::iter::<Plugin>())?;
        Ok(registry)
    }

    /// Adds plugins explicitly: `registry.add(hookward_provider_github::PLUGINS)`.
    ///
    /// # Errors
    /// [`DuplicatePlugin`] where one has the kind and name of a plugin that is there already.
    pub fn add<'a>(
        &mut self,
        plugins: impl IntoIterator<Item = &'a Plugin>,
    ) -> Result<(), DuplicatePlugin> {
        for plugin in plugins {
            let (kind, name) = (plugin.kind(), plugin.name());
            if let Some(other) = self.0.insert((kind, name), *plugin) {
                let (first, second) = (other.origin(), plugin.origin());
                return Err(DuplicatePlugin { kind, name, first, second });
            }
        }
        Ok(())
    }

    /// Every plugin, sorted by kind and name.
    pub fn all(&self) -> impl Iterator<Item = &Plugin> {
        self.0.values()
    }

    /// The names of every plugin of a kind (`provider`, `handler` or `store`), sorted.
    pub fn names(&self, kind: &str) -> Vec<&'static str> {
        self.0.keys().filter(|(k, _)| *k == kind).map(|(_, name)| *name).collect()
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&ProviderDescriptor> {
        self.find("provider", name).and_then(|p| match p {
            Plugin::Provider(p) => Some(p),
            _ => None,
        })
    }

    /// The handler of this name.
    pub fn handler(&self, name: &str) -> Option<&HandlerDescriptor> {
        self.find("handler", name).and_then(|p| match p {
            Plugin::Handler(h) => Some(h),
            _ => None,
        })
    }

    /// The store of this name, which is the scheme of its URL.
    pub fn store(&self, name: &str) -> Option<&StoreDescriptor> {
        self.find("store", name).and_then(|p| match p {
            Plugin::Store(s) => Some(s),
            _ => None,
        })
    }

    fn find(&self, kind: &str, name: &str) -> Option<&Plugin> {
        self.0.iter().find(|((k, n), _)| *k == kind && *n == name).map(|(_, p)| p)
    }
}
