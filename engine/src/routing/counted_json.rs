//! The representation of JSON that schemas validate: each read of a value takes a step of the
//! delivery's [`EvaluationBudget`], and numbers keep their digits.
//!
//! A validation cannot be interrupted. Once the budget is spent, every array and object looks empty
//! and every text too, so that the validation does not descend any more and ends; its result is then
//! dropped. Validation therefore needs memory and time for at most as many values as there are
//! steps, whatever the schema and the body are.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::ops::ControlFlow;

use hookward_core::{Decimal, ExactJson};
use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use serde_json::{Map, Number, Value};

use super::evaluation_budget::EvaluationBudget;

/// Stands for a value that is not needed: errors that quote values are masked.
static NO_VALUE: Value = Value::Null;

/// The representation; see the module.
pub(super) struct CountedJson;

/// One value of a body.
#[derive(Clone, Copy)]
pub(super) struct CountedNode<'a> {
    json: ExactJson<'a>,
    /// `None` for a member's name, whose text was charged when it was listed.
    budget: Option<&'a EvaluationBudget>,
}

impl<'a> CountedNode<'a> {
    pub(super) fn new(json: ExactJson<'a>, budget: &'a EvaluationBudget) -> Self {
        Self { json, budget: Some(budget) }
    }

    fn charge(&self, steps: u64) -> bool {
        self.budget.is_none_or(|budget| budget.charge(steps))
    }

    fn charge_text(&self, bytes: usize) -> bool {
        self.budget.is_none_or(|budget| budget.charge_text(bytes))
    }

    fn with(&self, json: ExactJson<'a>) -> Self {
        Self { json, budget: self.budget }
    }

    /// The number with all its digits; `None` for other values.
    pub(super) fn decimal(&self) -> Option<Decimal> {
        self.as_number().map(|number| number.decimal())
    }

    /// Whether the value equals another; numbers compare exactly. False once the budget is spent.
    pub(super) fn equals(&self, other: &Value) -> bool {
        if !self.charge(1) {
            return false;
        }
        match (self.json.value(), other) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a == b,
                _ => self.decimal() == Some(Decimal::from(b)),
            },
            (Value::String(a), Value::String(b)) => {
                a.len() == b.len() && self.charge_text(a.len()) && a == b
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && self.json.items().zip(b).all(|(a, b)| self.with(a).equals(b))
            }
            (Value::Object(a), Value::Object(b)) => {
                let equals = |(name, b): (&String, &Value)| {
                    self.json.member(name).is_some_and(|a| self.with(a).equals(b))
                };
                a.len() == b.len() && b.iter().all(equals)
            }
            (a, b) => a == b,
        }
    }

    /// Appends a text that is the same for equal values alone. False once the budget is spent.
    fn push_canonical(&self, out: &mut String) -> bool {
        let budget_left = match self.json.value() {
            Value::String(text) => self.charge_text(text.len()),
            _ => self.charge(1),
        };
        if !budget_left {
            return false;
        }
        match self.json.value() {
            Value::Number(_) => {
                let _ =
                    write!(out, "{}", self.decimal().map(|d| d.to_string()).unwrap_or_default());
                true
            }
            Value::Array(_) => {
                out.push('[');
                let complete = self.json.items().all(|item| {
                    let complete = self.with(item).push_canonical(out);
                    out.push(',');
                    complete
                });
                out.push(']');
                complete
            }
            Value::Object(members) => {
                out.push('{');
                // The map is sorted by name.
                let complete = members.keys().all(|name| {
                    let _ = write!(out, "{}:", Value::from(name.as_str()));
                    let member = self.json.member(name).map(|member| self.with(member));
                    let complete = self.charge_text(name.len())
                        && member.is_some_and(|member| member.push_canonical(out));
                    out.push(',');
                    complete
                });
                out.push('}');
                complete
            }
            scalar => write!(out, "{scalar}").is_ok(),
        }
    }
}

impl Json for CountedJson {
    type Node<'a> = CountedNode<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Value,
        string: &str,
        f: impl FnOnce(CountedNode<'_>) -> T,
    ) -> T {
        *buffer = Value::from(string);
        f(CountedNode { json: ExactJson::from(&*buffer), budget: None })
    }
}

impl<'a> Node<'a, CountedJson> for CountedNode<'a> {
    type Object = CountedObject<'a>;
    type Array = CountedArray<'a>;
    type Number = CountedNumber<'a>;

    fn as_object(&self) -> Option<CountedObject<'a>> {
        let members = self.json.value().as_object()?;
        Some(CountedObject { node: *self, members, is_visible: self.charge(1) })
    }

    fn as_array(&self) -> Option<CountedArray<'a>> {
        let items = self.json.value().as_array()?;
        Some(CountedArray { node: *self, length: if self.charge(1) { items.len() } else { 0 } })
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let text = self.json.value().as_str()?;
        Some(Cow::Borrowed(if self.charge_text(text.len()) { text } else { "" }))
    }

    fn as_number(&self) -> Option<CountedNumber<'a>> {
        match self.json.value() {
            Value::Number(number) => {
                self.charge(1);
                Some(CountedNumber { json: self.json, number })
            }
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.charge(1);
        self.json.value().as_bool()
    }

    fn is_null(&self) -> bool {
        self.charge(1);
        self.json.value().is_null()
    }

    fn json_type(&self) -> JsonType {
        self.charge(1);
        match self.json.value() {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        self.equals(expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Borrowed(&NO_VALUE)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        self.charge(1);
        Some(NodeIdentity::new(std::ptr::from_ref::<Value>(self.json.value()) as usize))
    }
}

/// An object, which looks empty once the budget is spent.
pub(super) struct CountedObject<'a> {
    node: CountedNode<'a>,
    members: &'a Map<String, Value>,
    is_visible: bool,
}

impl<'a> Object<'a, CountedJson> for CountedObject<'a> {
    type Node = CountedNode<'a>;
    type MemberName = &'a str;
    type MembersIter = CountedMembers<'a>;

    fn len(&self) -> usize {
        if self.is_visible { self.members.len() } else { 0 }
    }

    fn get(&self, key: &String) -> Option<CountedNode<'a>> {
        let is_visible = self.is_visible && self.node.charge(1);
        is_visible.then(|| self.node.json.member(key)).flatten().map(|json| self.node.with(json))
    }

    fn members(&self) -> CountedMembers<'a> {
        CountedMembers { node: self.node, names: self.is_visible.then(|| self.members.keys()) }
    }

    fn try_for_each_name_node<B>(
        &self,
        buffer: &mut Value,
        mut f: impl FnMut(CountedNode<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        for (name, _) in self.members() {
            *buffer = Value::from(name);
            f(CountedNode { json: ExactJson::from(&*buffer), budget: self.node.budget })?;
        }
        ControlFlow::Continue(())
    }
}

/// The members of an object; none once the budget is spent.
pub(super) struct CountedMembers<'a> {
    node: CountedNode<'a>,
    names: Option<serde_json::map::Keys<'a>>,
}

impl<'a> Iterator for CountedMembers<'a> {
    type Item = (&'a str, CountedNode<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.names.as_mut()?.next()?;
        if !self.node.charge_text(name.len()) {
            return None;
        }
        Some((name, self.node.with(self.node.json.member(name)?)))
    }
}

/// An array, which looks empty once the budget is spent.
pub(super) struct CountedArray<'a> {
    node: CountedNode<'a>,
    length: usize,
}

impl<'a> Array<'a, CountedJson> for CountedArray<'a> {
    type Node = CountedNode<'a>;
    type ElementsIter = CountedItems<'a>;

    fn len(&self) -> usize {
        self.length
    }

    fn elements(&self) -> CountedItems<'a> {
        CountedItems { node: self.node, at: 0, length: self.length }
    }

    fn is_unique(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.length.min(1024));
        self.elements().all(|item| {
            let mut text = String::new();
            // The result of a spent budget is dropped.
            !item.push_canonical(&mut text) || seen.insert(text)
        })
    }
}

/// The items of an array; none once the budget is spent.
pub(super) struct CountedItems<'a> {
    node: CountedNode<'a>,
    at: usize,
    length: usize,
}

impl<'a> Iterator for CountedItems<'a> {
    type Item = CountedNode<'a>;

    fn next(&mut self) -> Option<CountedNode<'a>> {
        if self.at >= self.length || !self.node.charge(1) {
            return None;
        }
        self.at += 1;
        self.node.json.item(self.at - 1).map(|json| self.node.with(json))
    }
}

/// A number with all its digits.
pub(super) struct CountedNumber<'a> {
    json: ExactJson<'a>,
    number: &'a Number,
}

impl CountedNumber<'_> {
    fn decimal(&self) -> Decimal {
        self.json.number().unwrap_or_else(|| Decimal::from(self.number))
    }
}

impl JsonNumber for CountedNumber<'_> {
    fn as_u64(&self) -> Option<u64> {
        self.number.as_u64()
    }
    fn as_i64(&self) -> Option<i64> {
        self.number.as_i64()
    }
    fn as_f64(&self) -> Option<f64> {
        self.number.as_f64()
    }
    fn as_str(&self) -> Cow<'_, str> {
        self.json.number_text().unwrap_or_default()
    }
    fn to_number(&self) -> Cow<'_, Number> {
        Cow::Borrowed(self.number)
    }
    fn is_integer(&self) -> bool {
        !self.number.is_f64() || self.decimal().is_integer()
    }
    fn is_written_as_integer(&self) -> bool {
        !self.number.is_f64() || {
            let text = self.as_str();
            // An integer over 64 bits that is not rounded prints with an exponent.
            !text.contains(['.', 'e', 'E'])
                || (text.contains('e') && !self.json.is_rounded_number())
        }
    }
}
