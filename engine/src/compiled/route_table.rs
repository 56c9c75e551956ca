//! The route table: from source and event type to the routes whose globs match.

use std::collections::HashMap;
use std::sync::Arc;

use super::route::Route;
use crate::routing::GlobTrie;

/// All routes, indexed by source and then by the segments of the event type.
///
/// A lookup costs the same with ten routes and with ten thousand.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    by_source: HashMap<String, GlobTrie>,
    any_source: GlobTrie,
}

impl RouteTable {
    /// Builds the table from the routes in the order of the file, which every lookup keeps.
    pub fn new<'a>(routes: impl IntoIterator<Item = &'a Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let index = table.routes.len();
            table.routes.push(route.clone());
            for glob in &route.events {
                let trie = match glob.source() {
                    "*" => &mut table.any_source,
                    source => table.by_source.entry(source.to_owned()).or_default(),
                };
                trie.insert(glob.segments(), index);
            }
        }
        table
    }

    /// Returns the routes that have a matching glob, in the order of the file.
    pub fn find(&self, source: &str, event_type: &str) -> Vec<&Arc<Route>> {
        let mut found = Vec::new();
        let tries = self.by_source.get(source).into_iter().chain([&self.any_source]);
        tries.for_each(|trie| trie.find(event_type, &mut found));
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|index| self.routes.get(index)).collect()
    }

    /// Returns all routes in the order of the file.
    pub fn all(&self) -> &[Arc<Route>] {
        &self.routes
    }
}
