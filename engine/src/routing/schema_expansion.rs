//! How often a schema applies subschemas to one and the same value.
//!
//! A validation reads a value once for each of them, and the budget counts reads; but a few
//! definitions of which each refers to the next one twice apply 2^n subschemas that read nothing.
//! That depends on the schema alone, so it is counted when the schema is compiled.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Keywords whose value is a subschema for the same value.
const SCHEMA_KEYWORDS: &[&str] = &["not", "if", "then", "else"];
/// Keywords whose value is a list of them.
const LIST_KEYWORDS: &[&str] = &["allOf", "anyOf", "oneOf"];
/// Keywords whose value is an object of them.
const OBJECT_KEYWORDS: &[&str] = &["dependentSchemas", "dependencies"];
/// Keywords that name another subschema.
const REFERENCE_KEYWORDS: &[&str] = &["$ref", "$dynamicRef", "$recursiveRef"];
/// Keywords that give a subschema a name.
const NAME_KEYWORDS: &[&str] = &["$id", "id", "$anchor", "$dynamicAnchor"];

/// The largest number of subschemas that a schema applies to one value, itself included. References
/// that come back to a subschema end there, as the validation does.
pub(super) fn max_expansion(schema: &Value) -> u64 {
    let mut counter = Counter { root: schema, named: HashMap::new(), counted: HashMap::new() };
    let mut all = Vec::new();
    collect_objects(schema, &mut all);
    for object in &all {
        for name in NAME_KEYWORDS.iter().filter_map(|keyword| object.get(*keyword)?.as_str()) {
            counter.named.entry(name.trim_start_matches('#')).or_default().push(object);
        }
    }
    all.into_iter().map(|object| counter.expansion(object)).max().unwrap_or(1)
}

/// All objects of a document: each may be a subschema that something refers to.
fn collect_objects<'a>(value: &'a Value, all: &mut Vec<&'a Map<String, Value>>) {
    match value {
        Value::Object(members) => {
            all.push(members);
            members.values().for_each(|member| collect_objects(member, all));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_objects(item, all)),
        _ => {}
    }
}

struct Counter<'a> {
    root: &'a Value,
    /// The subschemas by their `$id` or anchor.
    named: HashMap<&'a str, Vec<&'a Map<String, Value>>>,
    /// The expansion of each subschema by its address; `None` while it is counted.
    counted: HashMap<usize, Option<u64>>,
}

impl<'a> Counter<'a> {
    fn expansion(&mut self, schema: &'a Map<String, Value>) -> u64 {
        let address = std::ptr::from_ref(schema) as usize;
        if let Some(counted) = self.counted.get(&address) {
            return counted.unwrap_or(1);
        }
        self.counted.insert(address, None);
        let mut total = 1_u64;
        for (keyword, value) in schema {
            let keyword = keyword.as_str();
            let sum = if SCHEMA_KEYWORDS.contains(&keyword) {
                self.expansion_of_value(value)
            } else if LIST_KEYWORDS.contains(&keyword) {
                let list = value.as_array().into_iter().flatten();
                list.fold(0, |sum: u64, item| sum.saturating_add(self.expansion_of_value(item)))
            } else if OBJECT_KEYWORDS.contains(&keyword) {
                let members = value.as_object().into_iter().flat_map(|members| members.values());
                members.fold(0, |sum: u64, item| sum.saturating_add(self.expansion_of_value(item)))
            } else if REFERENCE_KEYWORDS.contains(&keyword) {
                let targets = value.as_str().map(|text| self.resolve(text)).unwrap_or_default();
                targets.into_iter().map(|target| self.expansion(target)).max().unwrap_or(0)
            } else {
                0
            };
            total = total.saturating_add(sum);
        }
        self.counted.insert(address, Some(total));
        total
    }

    fn expansion_of_value(&mut self, schema: &'a Value) -> u64 {
        schema.as_object().map_or(1, |schema| self.expansion(schema))
    }

    /// The subschemas that a reference may mean. Names are not resolved against each other, so
    /// that more than one may be found, and too many are counted rather than too few.
    fn resolve(&self, reference: &str) -> Vec<&'a Map<String, Value>> {
        let (base, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let is_base = |name: &&str| name.split('#').next().is_some_and(|n| n.ends_with(base));
        let roots: Vec<&'a Map<String, Value>> = match base {
            "" => self.root.as_object().into_iter().collect(),
            _ => {
                let named = self.named.iter().filter(|(name, _)| is_base(name));
                named.flat_map(|(_, schemas)| schemas.iter().copied()).collect()
            }
        };
        if fragment.is_empty() {
            return roots;
        }
        let Some(pointer) = fragment.strip_prefix('/') else {
            return self.named.get(fragment).cloned().unwrap_or_default();
        };
        let decode = |token: &str| {
            let token = token.replace("%25", "%").replace("%7E", "~").replace("%24", "$");
            token.replace("~1", "/").replace("~0", "~")
        };
        let walk = |root: &'a Map<String, Value>| {
            let mut tokens = pointer.split('/').map(decode);
            let first = root.get(&tokens.next()?)?;
            let found = tokens.try_fold(first, |at, token| match at {
                Value::Array(items) => items.get(token.parse::<usize>().ok()?),
                _ => at.get(&token),
            });
            found?.as_object()
        };
        roots.into_iter().filter_map(walk).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subschemas_of_one_value_are_counted_through_references() {
        for (schema, expected) in [
            (json!({"type": "object"}), 1),
            (json!({"properties": {"a": {"properties": {"b": {}}}}}), 1),
            (json!({"anyOf": [{"type": "object"}, {"type": "array"}, true]}), 4),
            (json!({"properties": {"a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}), 5),
            (json!({"anyOf": [{"$ref": "#"}, {"not": {"$ref": "#"}}]}), 6),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{}, {}]}}}), 4),
            (json!({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "if": {}, "then": {}}}}), 4),
            (json!({"$ref": "y", "$defs": {"x": {"$id": "https://x/y", "not": {}}}}), 3),
        ] {
            assert_eq!(max_expansion(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn references_that_double_at_each_level_are_counted_in_full() {
        let mut definitions = Map::new();
        for n in 0..80 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            definitions.insert(format!("d{n}"), json!({"anyOf": [next, next]}));
        }
        let schema = json!({"$defs": definitions, "$ref": "#/$defs/d0"});
        assert_eq!(max_expansion(&schema), u64::MAX);
    }
}
