//! The outline of a YAML text: which place of the document stands where. Built with saphyr-parser
//! beside the reading proper, because serde_yaml keeps no positions. Also finds what is wrong with
//! the YAML itself: syntax, double keys, tags, several documents, expansions without bound.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, Span};

use super::pointer;
use super::text::SourceText;

/// Deeper nesting is refused before anything recurses over it.
const MAX_DEPTH: usize = 64;
/// Aliases may make the document this large, in values.
const MAX_VALUES: u64 = 100_000;

/// The places of a document.
#[derive(Debug, Default)]
pub(super) struct Outline {
    nodes: Vec<Node>,
    root: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    /// With everything in it, aliases expanded.
    values: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(String),
    Map(Vec<Entry>),
    List(Vec<usize>),
    Alias(usize),
}

#[derive(Debug)]
pub(super) struct Entry {
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
    /// Another place that has to do with it.
    pub(super) related: Option<(Range<usize>, &'static str)>,
    /// Nothing more can be said of this file.
    pub(super) fatal: bool,
}

/// A place that was looked up.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) node: &'a Node,
    pub(super) key_span: Option<Range<usize>>,
}

impl Outline {
    /// Reads a text.
    pub(super) fn read(text: &SourceText) -> (Self, Vec<YamlError>) {
        let mut builder = Builder {
            text,
            outline: Self::default(),
            open: vec![],
            anchors: HashMap::new(),
            flaws: vec![],
        };
        let mut documents = 0;
        for event in Parser::new_from_str(&text.text) {
            let (event, span) = match event {
                Ok((Event::DocumentStart(_), span)) if documents > 0 => {
                    builder.flaw(span, true, "a second document starts here", "a file holds one document; put everything below one set of keys, without `---` in between");
                    break;
                }
                Ok(ok) => ok,
                Err(e) => {
                    builder.syntax(&e);
                    break;
                }
            };
            documents += usize::from(matches!(event, Event::DocumentStart(_)));
            builder.event(event, span);
            if builder.flaws.iter().any(|f| f.fatal) {
                break;
            }
        }
        (builder.outline, builder.flaws)
    }

    /// The whole document.
    pub(super) fn root(&self) -> Option<&Node> {
        self.root.and_then(|id| self.nodes.get(id))
    }

    /// A node by its number, through aliases.
    pub(super) fn node(&self, id: usize) -> Option<&Node> {
        match self.nodes.get(id) {
            Some(Node { kind: Kind::Alias(target), .. }) => self.node(*target),
            found => found,
        }
    }

    /// A node by its number, an alias as itself.
    pub(super) fn raw(&self, id: usize) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The place of a pointer, or the nearest around it.
    pub(super) fn find(&self, pointer: &str) -> Option<Found<'_>> {
        let mut found = Found { node: self.root()?, key_span: None };
        for token in pointer::tokens(pointer) {
            let next = match &self.through(found.node).kind {
                Kind::Map(entries) => self.member(entries, &token),
                Kind::List(items) => {
                    token.parse().ok().and_then(|n: usize| items.get(n)).map(|id| (*id, None))
                }
                Kind::Scalar(_) | Kind::Alias(_) => None,
            };
            let Some((node, key_span)) =
                next.and_then(|(id, key)| Some((self.nodes.get(id)?, key)))
            else {
                return Some(found);
            };
            found = Found { node, key_span };
        }
        Some(found)
    }

    fn through<'a>(&'a self, node: &'a Node) -> &'a Node {
        match node.kind {
            Kind::Alias(target) => self.node(target).unwrap_or(node),
            _ => node,
        }
    }

    /// Its own member, or one that a merge key brings in. Of double keys the last one counts, as
    /// in the reading proper.
    fn member(&self, entries: &[Entry], key: &str) -> Option<(usize, Option<Range<usize>>)> {
        if let Some(own) = entries.iter().rev().find(|e| e.key == key) {
            return Some((own.node, Some(own.key_span.clone())));
        }
        let merge = entries.iter().find(|e| e.key == "<<")?;
        let inside = |id: usize| match &self.node(id)?.kind {
            Kind::Map(entries) => self.member(entries, key),
            _ => None,
        };
        match &self.node(merge.node)?.kind {
            Kind::List(items) => items.iter().find_map(|id| inside(*id)),
            _ => inside(merge.node),
        }
    }
}

/// Takes events in and keeps what is open on a stack of its own, so that depth costs no stack.
struct Builder<'a> {
    text: &'a SourceText,
    outline: Outline,
    open: Vec<Open>,
    anchors: HashMap<usize, usize>,
    flaws: Vec<YamlError>,
}

struct Open {
    node: usize,
    /// In a mapping: the key whose value comes next.
    key: Option<(String, Range<usize>)>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        let range = self.range(span);
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, _, anchor, tag) => (Kind::Scalar(text.into_owned()), anchor, tag),
            Event::MappingStart(anchor, tag) => (Kind::Map(vec![]), anchor, tag),
            Event::SequenceStart(anchor, tag) => (Kind::List(vec![]), anchor, tag),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) if self.open.iter().any(|o| o.node == *node) => {
                    return self.flaw(
                        span,
                        true,
                        "this alias refers to what it is part of",
                        "write the value out",
                    );
                }
                Some(node) => (Kind::Alias(*node), 0, None),
                None => return,
            },
            Event::MappingEnd | Event::SequenceEnd => return self.close(&range),
            _ => return,
        };
        if let Some(tag) = tag.filter(|t| !t.is_yaml_core_schema()) {
            self.flaw(
                span,
                false,
                &format!("`{tag}` is a tag, and tags mean nothing here"),
                "write the value without it",
            );
        }
        let key_wanted = self.open.last().is_some_and(|o| o.key.is_none() && self.is_map(o.node));
        if key_wanted {
            return self.key(kind, range, span);
        }
        let container = matches!(kind, Kind::Map(_) | Kind::List(_));
        let values = match &kind {
            Kind::Alias(target) => self.outline.nodes.get(*target).map_or(1, |n| n.values),
            _ => 1,
        };
        let id = self.outline.nodes.len();
        self.outline.nodes.push(Node { span: range, kind, values });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id, values, span);
        if container {
            if self.open.len() >= MAX_DEPTH {
                let message = format!("this is nested deeper than {MAX_DEPTH} levels");
                return self.flaw(
                    span,
                    true,
                    &message,
                    "no key of routes.yaml needs that; look for an unclosed `[` or `{` before it",
                );
            }
            self.open.push(Open { node: id, key: None });
        }
    }

    fn is_map(&self, id: usize) -> bool {
        matches!(self.outline.nodes.get(id), Some(Node { kind: Kind::Map(_), .. }))
    }

    fn key(&mut self, kind: Kind, range: Range<usize>, span: Span) {
        let key = match kind {
            Kind::Scalar(text) => text,
            Kind::Alias(id) => match self.outline.nodes.get(id).map(|n| &n.kind) {
                Some(Kind::Scalar(text)) => text.clone(),
                _ => return self.flaw(span, true, "a key must be text", "write a word before the `:`"),
            },
            _ => return self.flaw(span, true, "a key must be text, and this is a list or a mapping", "write a word before the `:`; a value that starts with `{` or `[` needs quotes if it is meant as text"),
        };
        if let Some(open) = self.open.last_mut() {
            open.key = Some((key, range));
        }
    }

    fn attach(&mut self, id: usize, values: u64, span: Span) {
        let Some(open) = self.open.last_mut() else {
            self.outline.root = Some(id);
            return;
        };
        let key = open.key.take();
        let parent = open.node;
        let mut double = None;
        match self.outline.nodes.get_mut(parent).map(|n| &mut n.kind) {
            Some(Kind::List(items)) => items.push(id),
            Some(Kind::Map(entries)) => {
                if let Some((key, key_span)) = key {
                    double = entries
                        .iter()
                        .find(|e| e.key == key)
                        .map(|first| (first.key_span.clone(), key.clone(), key_span.clone()));
                    entries.push(Entry { key, key_span, node: id });
                }
            }
            _ => {}
        }
        if let Some((first, key, span)) = double {
            self.flaws.push(YamlError {
                span,
                message: format!("the key `{key}` is written twice"),
                help: Some("keep one of the two; YAML would silently drop the other".into()),
                related: Some((first, "first written here")),
                fatal: false,
            });
        }
        for open in &self.open {
            if let Some(node) = self.outline.nodes.get_mut(open.node) {
                node.values = node.values.saturating_add(values);
            }
        }
        let whole = self.open.first().and_then(|o| self.outline.nodes.get(o.node));
        if whole.is_some_and(|n| n.values > MAX_VALUES) {
            self.flaw(
                span,
                true,
                &format!("with its aliases expanded, the file has more than {MAX_VALUES} values"),
                "write out what the aliases stand for, or split the configuration",
            );
        }
    }

    fn close(&mut self, range: &Range<usize>) {
        let Some(open) = self.open.pop() else { return };
        if let Some(node) = self.outline.nodes.get_mut(open.node) {
            node.span.end = range.end.max(node.span.end);
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.text.offset(span.start.line(), span.start.col());
        let end = self.text.offset(span.end.line(), span.end.col());
        start..end.max(start)
    }

    fn flaw(&mut self, span: Span, fatal: bool, message: &str, help: &str) {
        let (span, message) = (self.range(span), message.to_owned());
        self.flaws.push(YamlError { span, message, help: Some(help.into()), related: None, fatal });
    }

    fn syntax(&mut self, error: &saphyr_parser::ScanError) {
        let mark = *error.marker();
        let (message, help) = super::syntax::explain(error.info(), self.text, mark);
        let span = self.range(Span::empty(mark));
        self.flaws.push(YamlError { span, message, help: Some(help), related: None, fatal: true });
    }
}
