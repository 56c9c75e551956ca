//! Maps each place of a YAML document to its bytes in the text.
//!
//! serde_yaml keeps no positions, so saphyr-parser reads the text a second time. This pass also
//! finds the mistakes in the YAML itself: syntax errors, repeated keys, tags, several documents,
//! and aliases that expand without bound.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};

use super::pointer;
use super::text::SourceText;

/// The maximum nesting. Deeper documents are rejected before anything recurses over them, which
/// could overflow the stack.
const MAX_DEPTH: usize = 64;

/// The maximum number of values with all aliases expanded: a few lines of nested aliases can expand
/// to billions.
const MAX_EXPANDED_VALUES: u64 = 100_000;

/// The nodes of a document with their spans.
#[derive(Debug, Default)]
pub(super) struct SourceMap {
    nodes: Vec<Node>,
    root: Option<usize>,
}

/// One value: a scalar, a mapping, a list or an alias.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: NodeKind,
    /// The number of values in it, itself included and aliases expanded.
    value_count: u64,
}

/// The kind of a node. Children are node ids.
#[derive(Debug)]
pub(super) enum NodeKind {
    Scalar(String),
    Map(Vec<MapEntry>),
    List(Vec<usize>),
    Alias(usize),
}

/// A key of a mapping, with the node of its value.
#[derive(Debug)]
pub(super) struct MapEntry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: usize,
}

/// A mistake in the YAML itself.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// A second place that the mistake involves, with its label.
    pub(super) related: Option<(Range<usize>, &'static str)>,
    /// Whether loading must stop, because the rest of the file cannot be read.
    pub(super) fatal: bool,
}

/// The result of [`SourceMap::find`]: a node, and its key where it has one.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    pub(super) node: &'a Node,
    pub(super) key_span: Option<Range<usize>>,
}

impl SourceMap {
    /// Reads a text, and returns its map with the mistakes in its YAML.
    pub(super) fn read(text: &SourceText) -> (Self, Vec<YamlError>) {
        let mut builder = SourceMapBuilder {
            text,
            map: Self::default(),
            open: vec![],
            anchors: HashMap::new(),
            errors: vec![],
        };
        let mut documents = 0;
        for event in Parser::new_from_str(&text.text) {
            let (event, span) = match event {
                Ok((Event::DocumentStart(_), span)) if documents > 0 => {
                    let help = "a file holds one document; remove the `---`, and write all keys in one mapping";
                    builder.stop(span, "a second document starts here", help);
                    break;
                }
                Ok(ok) => ok,
                Err(e) => {
                    builder.syntax_error(&e);
                    break;
                }
            };
            documents += usize::from(matches!(event, Event::DocumentStart(_)));
            builder.event(event, span);
            if builder.errors.iter().any(|f| f.fatal) {
                break;
            }
        }
        (builder.map, builder.errors)
    }

    /// Returns the node of the whole document.
    pub(super) fn root(&self) -> Option<&Node> {
        self.root.and_then(|id| self.nodes.get(id))
    }

    /// Returns the node of an id; of an alias, its target.
    pub(super) fn resolved(&self, id: usize) -> Option<&Node> {
        match self.nodes.get(id) {
            Some(Node { kind: NodeKind::Alias(target), .. }) => self.resolved(*target),
            found => found,
        }
    }

    /// Returns the node of an id, also where it is an alias.
    pub(super) fn node(&self, id: usize) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Finds the node at a JSON pointer, or else the nearest node around it.
    pub(super) fn find(&self, pointer: &str) -> Option<Lookup<'_>> {
        let mut found = Lookup { node: self.root()?, key_span: None };
        for token in pointer::tokens(pointer) {
            let next = match &self.resolve_alias(found.node).kind {
                NodeKind::Map(entries) => self.member(entries, &token),
                NodeKind::List(items) => {
                    token.parse().ok().and_then(|n: usize| items.get(n)).map(|id| (*id, None))
                }
                NodeKind::Scalar(_) | NodeKind::Alias(_) => None,
            };
            let Some((node, key_span)) =
                next.and_then(|(id, key)| Some((self.nodes.get(id)?, key)))
            else {
                return Some(found);
            };
            found = Lookup { node, key_span };
        }
        Some(found)
    }

    /// Like [`find`](Self::find), without aliases: the value that stands at the place.
    pub(super) fn find_value(&self, pointer: &str) -> Option<&Node> {
        self.find(pointer).map(|found| self.resolve_alias(found.node))
    }

    fn resolve_alias<'a>(&'a self, node: &'a Node) -> &'a Node {
        match node.kind {
            NodeKind::Alias(target) => self.resolved(target).unwrap_or(node),
            _ => node,
        }
    }

    /// Finds a member of a mapping, its own or a merged one. Of repeated keys the last one is used,
    /// as serde_yaml does.
    fn member(&self, entries: &[MapEntry], key: &str) -> Option<(usize, Option<Range<usize>>)> {
        if let Some(own) = entries.iter().rev().find(|e| e.key == key) {
            return Some((own.node, Some(own.key_span.clone())));
        }
        let merge = entries.iter().find(|e| e.key == "<<")?;
        let inside = |id: usize| match &self.resolved(id)?.kind {
            NodeKind::Map(entries) => self.member(entries, key),
            _ => None,
        };
        match &self.resolved(merge.node)?.kind {
            NodeKind::List(items) => items.iter().find_map(|id| inside(*id)),
            _ => inside(merge.node),
        }
    }
}

/// Builds the map from parser events. Open nodes are on a stack of its own, so that a deep document
/// does not overflow the thread's stack.
struct SourceMapBuilder<'a> {
    text: &'a SourceText,
    map: SourceMap,
    open: Vec<OpenNode>,
    anchors: HashMap<usize, usize>,
    errors: Vec<YamlError>,
}

/// A mapping or list whose end has not come yet.
struct OpenNode {
    node: usize,
    /// In a mapping: the key whose value comes next.
    key: Option<(String, Range<usize>)>,
}

impl SourceMapBuilder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, _, anchor, tag) => {
                (NodeKind::Scalar(text.into_owned()), anchor, tag)
            }
            Event::MappingStart(anchor, tag) => (NodeKind::Map(vec![]), anchor, tag),
            Event::SequenceStart(anchor, tag) => (NodeKind::List(vec![]), anchor, tag),
            Event::Alias(anchor) => match self.anchors.get(&anchor).copied() {
                Some(target) if self.open.iter().any(|open| open.node == target) => {
                    let message = "this alias refers to a value that contains it";
                    return self.stop(span, message, "write the value itself instead of the alias");
                }
                Some(target) => (NodeKind::Alias(target), 0, None),
                None => return,
            },
            Event::MappingEnd | Event::SequenceEnd => return self.close(span),
            _ => return,
        };
        if let Some(tag) = tag.filter(|t| !t.is_yaml_core_schema()) {
            let message = format!("the tag `{tag}` is not allowed");
            let help = "tags have no meaning in routes.yaml; write the value without it";
            self.error(span, &message, help);
        }
        if self.expects_key() {
            self.take_key(kind, span);
        } else {
            self.add_node(kind, anchor, span);
        }
    }

    /// Whether the next node is a key of the innermost open mapping.
    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| {
            let node = self.map.nodes.get(open.node);
            let is_map = matches!(node, Some(Node { kind: NodeKind::Map(_), .. }));
            is_map && open.key.is_none()
        })
    }

    fn take_key(&mut self, kind: NodeKind, span: Span) {
        let key = match kind {
            NodeKind::Scalar(text) => text,
            NodeKind::Alias(id) => match self.map.nodes.get(id).map(|n| &n.kind) {
                Some(NodeKind::Scalar(text)) => text.clone(),
                _ => {
                    let message = "a key must be text, and this alias is a list or a mapping";
                    return self.stop(span, message, "write a name before the `:`");
                }
            },
            NodeKind::Map(_) | NodeKind::List(_) => {
                let message = "a key must be text, and this is a list or a mapping";
                let help =
                    "write a name before the `:`; text that starts with `{` or `[` needs quotes";
                return self.stop(span, message, help);
            }
        };
        let range = self.range(span);
        if let Some(open) = self.open.last_mut() {
            open.key = Some((key, range));
        }
    }

    fn add_node(&mut self, kind: NodeKind, anchor: usize, span: Span) {
        let is_container = matches!(kind, NodeKind::Map(_) | NodeKind::List(_));
        let value_count = match &kind {
            NodeKind::Alias(target) => self.map.nodes.get(*target).map_or(1, |n| n.value_count),
            _ => 1,
        };
        let id = self.map.nodes.len();
        self.map.nodes.push(Node { span: self.range(span), kind, value_count });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id, value_count, span);
        if !is_container {
            return;
        }
        if self.open.len() >= MAX_DEPTH {
            let message = format!("this is nested deeper than {MAX_DEPTH} levels");
            let help = "routes.yaml needs fewer levels; look for an unclosed `[` or `{` before it";
            return self.stop(span, &message, help);
        }
        self.open.push(OpenNode { node: id, key: None });
    }

    /// Adds a node to the open node around it, and its value count to all of them.
    fn attach(&mut self, id: usize, value_count: u64, span: Span) {
        let Some(open) = self.open.last_mut() else {
            self.map.root = Some(id);
            return;
        };
        let key = open.key.take();
        let parent = open.node;
        let mut repeated = None;
        match self.map.nodes.get_mut(parent).map(|n| &mut n.kind) {
            Some(NodeKind::List(items)) => items.push(id),
            Some(NodeKind::Map(entries)) => {
                if let Some((key, key_span)) = key {
                    repeated = entries
                        .iter()
                        .find(|e| e.key == key)
                        .map(|first| (first.key_span.clone(), key.clone(), key_span.clone()));
                    entries.push(MapEntry { key, key_span, node: id });
                }
            }
            _ => {}
        }
        if let Some((first, key, span)) = repeated {
            self.errors.push(YamlError {
                span,
                message: format!("the key `{key}` is written twice"),
                help: Some("remove one of the two; each key may be written once".into()),
                related: Some((first, "first written here")),
                fatal: false,
            });
        }
        for open in &self.open {
            if let Some(node) = self.map.nodes.get_mut(open.node) {
                node.value_count = node.value_count.saturating_add(value_count);
            }
        }
        let document = self.open.first().and_then(|o| self.map.nodes.get(o.node));
        if document.is_some_and(|n| n.value_count > MAX_EXPANDED_VALUES) {
            self.stop(
                span,
                &format!(
                    "with its aliases expanded, the file has more than {MAX_EXPANDED_VALUES} values"
                ),
                "write the values themselves instead of aliases that contain aliases",
            );
        }
    }

    fn close(&mut self, span: Span) {
        let range = self.range(span);
        let Some(open) = self.open.pop() else { return };
        if let Some(node) = self.map.nodes.get_mut(open.node) {
            node.span.end = range.end.max(node.span.end);
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.text.offset(span.start.line(), span.start.col());
        let end = self.text.offset(span.end.line(), span.end.col());
        start..end.max(start)
    }

    /// Records an error after which the rest of the file is still read.
    fn error(&mut self, span: Span, message: &str, help: &str) {
        let (span, message) = (self.range(span), message.to_owned());
        let help = Some(help.into());
        self.errors.push(YamlError { span, message, help, related: None, fatal: false });
    }

    /// Records an error after which the rest of the file cannot be read.
    fn stop(&mut self, span: Span, message: &str, help: &str) {
        let (span, message) = (self.range(span), message.to_owned());
        let help = Some(help.into());
        self.errors.push(YamlError { span, message, help, related: None, fatal: true });
    }

    fn syntax_error(&mut self, error: &saphyr_parser::ScanError) {
        let mark = *error.marker();
        let (message, help) = super::syntax::explain(error.info(), self.text, mark);
        let span = self.range(Span::empty(mark));
        self.errors.push(YamlError { span, message, help: Some(help), related: None, fatal: true });
    }
}
