//! An index over the globs of many routes: a trie by segment, one for each source.

use std::collections::HashMap;

use super::glob::{Segment, segments_of};

/// The number of segments of an event type that are compared; the rest is ignored. No sender has a
/// type of this length, so the bound only limits what a hostile type can cost.
const MAX_SEGMENTS: usize = 64;

/// Maps event types to the route numbers whose globs match.
#[derive(Debug)]
pub(crate) struct GlobTrie(Vec<Node>);

#[derive(Debug, Default)]
struct Node {
    /// The children behind literal segments.
    literals: HashMap<String, usize>,
    /// The child behind `*`, which consumes one segment.
    one: Option<usize>,
    /// The child behind `**`. It is entered without consuming a segment.
    any: Option<usize>,
    /// Whether this node is behind `**` and therefore also consumes any segment.
    repeats: bool,
    /// The routes whose glob ends here.
    routes: Vec<usize>,
}

impl Default for GlobTrie {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

impl GlobTrie {
    /// Adds the type part of a glob of route number `route`.
    pub(crate) fn insert(&mut self, segments: &[Segment], route: usize) {
        let mut at = 0;
        for segment in segments {
            let next_free = self.0.len();
            let Some(node) = self.0.get_mut(at) else { return };
            let child = match segment {
                Segment::Literal(text) => *node.literals.entry(text.clone()).or_insert(next_free),
                Segment::One => *node.one.get_or_insert(next_free),
                Segment::Any => *node.any.get_or_insert(next_free),
            };
            if child == next_free {
                let repeats = *segment == Segment::Any;
                self.0.push(Node { repeats, ..Node::default() });
            }
            at = child;
        }
        if let Some(node) = self.0.get_mut(at) {
            node.routes.push(route);
        }
    }

    /// Appends the numbers of the routes that match, in no order and possibly repeated.
    ///
    /// All matching paths advance together, one segment at a time, so the cost is bounded by
    /// segments × nodes. Backtracking would let a type made for it take exponential time.
    pub(crate) fn find(&self, event_type: &str, found: &mut Vec<usize>) {
        let mut active = Vec::new();
        self.enter(0, &mut active);
        for segment in segments_of(event_type).take(MAX_SEGMENTS) {
            let mut next = Vec::new();
            for node in active.iter().filter_map(|at: &usize| self.0.get(*at).map(|n| (*at, n))) {
                let (at, node) = node;
                let reached = node.literals.get(segment).copied().into_iter().chain(node.one);
                reached.for_each(|n| self.enter(n, &mut next));
                if node.repeats {
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

    /// Activates a node and every `**` node that is reachable from it without a segment.
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

    fn matching_globs(globs: &[&str], event_type: &str) -> Vec<usize> {
        let mut trie = GlobTrie::default();
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
    fn one_star_matches_one_segment_and_two_match_any_number() {
        let globs = [
            "invoice.paid",
            "invoice.*",
            "**",
            "*",
            "**.deleted",
            "customer.**.deleted",
            "invoice.**",
        ];
        assert_eq!(matching_globs(&globs, "invoice.paid"), [0, 1, 2, 6]);
        assert_eq!(matching_globs(&globs, "push"), [2, 3]);
        assert_eq!(matching_globs(&globs, "invoice"), [2, 3, 6]);
        assert_eq!(matching_globs(&globs, "customer.subscription.deleted"), [2, 4, 5]);
        assert_eq!(matching_globs(&globs, "customer.deleted"), [2, 4, 5]);
        assert_eq!(matching_globs(&globs, "invoice.paid.late"), [2, 6]);
    }

    #[test]
    fn slashes_and_dots_both_separate_segments() {
        assert_eq!(matching_globs(&["orders/create", "orders/*"], "orders/create"), [0, 1]);
    }

    #[test]
    fn a_hostile_event_type_is_matched_in_bounded_time() {
        let globs: Vec<String> = (1..40).map(|n| format!("{}**", "**.a.".repeat(n))).collect();
        let globs: Vec<&str> = globs.iter().map(String::as_str).collect();
        let before = std::time::Instant::now();
        matching_globs(&globs, &"a.".repeat(8000));
        assert!(before.elapsed().as_secs() < 5);
    }

    #[test]
    fn malformed_globs_are_rejected() {
        for wrong in ["stripe", "/x", "stripe/", "str*/x", "stripe/inv*", "stripe/a..b"] {
            assert!(TypeGlob::parse(wrong).is_err(), "{wrong}");
        }
    }
}
