//! The plugins that a program has, sorted by name. Made from what is linked, or filled by hand.

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
    /// `provider`, `handler` or `store`.
    pub kind: &'static str,
    /// The name.
    pub name: &'static str,
    /// One crate.
    pub first: Origin,
    /// The other.
    pub second: Origin,
}

/// Looks plugins up by name.
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<(&'static str, &'static str), Plugin>);

impl Registry {
    /// With nothing in it.
    pub fn empty() -> Self {
        Self::default()
    }

    /// With everything that is linked into this program.
    pub fn linked() -> Result<Self, DuplicatePlugin> {
        let mut registry = Self::empty();
        registry.add(inventory::iter::<Plugin>())?;
        Ok(registry)
    }

    /// Adds plugins by hand: `registry.add(hookward_provider_github::PLUGINS)`.
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

    /// All, by kind and name.
    pub fn all(&self) -> impl Iterator<Item = &Plugin> {
        self.0.values()
    }

    /// The names of a kind, sorted.
    pub fn names(&self, kind: &str) -> Vec<&'static str> {
        self.0.keys().filter(|(k, _)| *k == kind).map(|(_, name)| *name).collect()
    }

    /// A provider by its name.
    pub fn provider(&self, name: &str) -> Option<&ProviderDescriptor> {
        self.find("provider", name).and_then(|p| match p {
            Plugin::Provider(p) => Some(p),
            _ => None,
        })
    }

    /// A handler by its name.
    pub fn handler(&self, name: &str) -> Option<&HandlerDescriptor> {
        self.find("handler", name).and_then(|p| match p {
            Plugin::Handler(h) => Some(h),
            _ => None,
        })
    }

    /// A store by the scheme of its URL.
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
