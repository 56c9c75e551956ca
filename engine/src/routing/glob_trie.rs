//! The routing table: a hash by source, then a trie by segment. Finding all routes of a type costs
//! the same with ten routes and with ten thousand.

use std::collections::HashMap;
use std::sync::Arc;

use crate::compiled::Route;
use crate::routing::glob::{Segment, segments_of};

/// A longer type than this is cut for matching; no sender has one.
const MAX_SEGMENTS: usize = 64;

/// Finds the routes whose globs let an event through.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    by_source: HashMap<String, Trie>,
    any_source: Trie,
}

#[derive(Debug)]
struct Trie(Vec<Node>);

#[derive(Debug, Default)]
struct Node {
    literal: HashMap<String, usize>,
    one: Option<usize>,
    /// The node behind `**`; it is entered without a segment and stays for any number of them.
    any: Option<usize>,
    stays: bool,
    routes: Vec<usize>,
}

impl Default for Trie {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

impl RouteTable {
    /// Takes the routes in the order of the file, which is the order in which they are asked.
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

    /// The routes for a type, in the order of the file.
    pub fn find(&self, source: &str, event_type: &str) -> Vec<&Arc<Route>> {
        let mut found = Vec::new();
        let tries = self.by_source.get(source).into_iter().chain([&self.any_source]);
        tries.for_each(|trie| trie.find(event_type, &mut found));
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|index| self.routes.get(index)).collect()
    }

    /// All routes, in the order of the file.
    pub fn all(&self) -> &[Arc<Route>] {
        &self.routes
    }
}

impl Trie {
    fn insert(&mut self, segments: &[Segment], route: usize) {
        let mut at = 0;
        for segment in segments {
            let fresh = self.0.len();
            let Some(node) = self.0.get_mut(at) else { return };
            let next = match segment {
                Segment::Literal(text) => *node.literal.entry(text.clone()).or_insert(fresh),
                Segment::One => *node.one.get_or_insert(fresh),
                Segment::Any => *node.any.get_or_insert(fresh),
            };
            if next == fresh {
                let stays = *segment == Segment::Any;
                self.0.push(Node { stays, ..Node::default() });
            }
            at = next;
        }
        if let Some(node) = self.0.get_mut(at) {
            node.routes.push(route);
        }
    }

    /// Walks all matching paths side by side, so that no type can make it slow.
    fn find(&self, event_type: &str, found: &mut Vec<usize>) {
        let mut active = Vec::new();
        self.enter(0, &mut active);
        for segment in segments_of(event_type).take(MAX_SEGMENTS) {
            let mut next = Vec::new();
            for node in active.iter().filter_map(|at: &usize| self.0.get(*at).map(|n| (*at, n))) {
                let (at, node) = node;
                let reached = node.literal.get(segment).copied().into_iter().chain(node.one);
                reached.for_each(|n| self.enter(n, &mut next));
                if node.stays {
                    self.enter(at, &mut next);
                }
            }
            active = next;
            if active.is_empty() {
                return;
            }
        }
        found.extend(active.iter().filter_map(|at| self.0.get(*at)).flat_map(|n| &n.routes));
    }

    fn enter(&self, at: usize, active: &mut Vec<usize>) {
        let mut at = Some(at);
        while let Some(node) = at.filter(|at| !active.contains(at)) {
            active.push(node);
            at = self.0.get(node).and_then(|n| n.any);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::TypeGlob;

    fn hits(globs: &[&str], event_type: &str) -> Vec<usize> {
        let mut trie = Trie::default();
        for (n, glob) in globs.iter().enumerate() {
            trie.insert(TypeGlob::parse(&format!("s/{glob}")).unwrap().segments(), n);
        }
        let mut found = Vec::new();
        trie.find(event_type, &mut found);
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_number() {
        let globs = [
            "invoice.paid",
            "invoice.*",
            "**",
            "*",
            "**.deleted",
            "customer.**.deleted",
            "invoice.**",
        ];
        assert_eq!(hits(&globs, "invoice.paid"), [0, 1, 2, 6]);
        assert_eq!(hits(&globs, "push"), [2, 3]);
        assert_eq!(hits(&globs, "invoice"), [2, 3, 6]);
        assert_eq!(hits(&globs, "customer.subscription.deleted"), [2, 4, 5]);
        assert_eq!(hits(&globs, "customer.deleted"), [2, 4, 5]);
        assert_eq!(hits(&globs, "invoice.paid.late"), [2, 6]);
    }

    #[test]
    fn slashes_and_dots_both_part_segments() {
        assert_eq!(hits(&["orders/create", "orders/*"], "orders/create"), [0, 1]);
    }

    #[test]
    fn a_type_made_to_be_slow_is_not() {
        let globs: Vec<String> = (1..40).map(|n| format!("{}**", "**.a.".repeat(n))).collect();
        let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
        let before = std::time::Instant::now();
        hits(&globs, &"a.".repeat(8000));
        assert!(before.elapsed().as_secs() < 5);
    }

    #[test]
    fn globs_that_no_one_means_are_refused() {
        for wrong in ["stripe", "/x", "stripe/", "str*/x", "stripe/inv*", "stripe/a..b"] {
            assert!(TypeGlob::parse(wrong).is_err(), "{wrong}");
        }
    }
}
