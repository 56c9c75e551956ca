//! What conditions see of an event, before it is stored and after.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use hookward_core::{Body, BodyError, ClientCertificate, Event, ExactJson};
use hookward_core::{TLS_CLIENT_SAN, TLS_CLIENT_SUBJECT};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::evaluation_budget::{BudgetSpent, EvaluationBudget};

/// One event as conditions see it.
///
/// The value that `when` expressions read is built on first use and shared by all routes.
#[derive(Debug)]
pub struct EventView<'a> {
    /// The name of the source that received the event.
    pub source: &'a str,
    /// The event type, in the provider's own words.
    pub event_type: &'a str,
    /// The event id that the provider gave, where there is one.
    pub event_id: Option<&'a str>,
    /// The stored headers; their names are in lower case.
    pub headers: &'a [(String, String)],
    /// The body of the delivery.
    body: &'a Body,
    /// The event's item where the delivery holds a batch.
    item: Option<ExactJson<'a>>,
    /// What the conditions may still cost.
    budget: &'a EvaluationBudget,
    expression_context: OnceCell<minijinja::Value>,
}

impl<'a> EventView<'a> {
    /// Makes a view of an event that is not stored yet. Whatever its conditions read is taken from
    /// the budget.
    pub fn new(
        source: &'a str,
        event_type: &'a str,
        event_id: Option<&'a str>,
        headers: &'a [(String, String)],
        body: &'a Body,
        budget: &'a EvaluationBudget,
    ) -> Self {
        let (item, expression_context) = (None, OnceCell::new());
        Self { source, event_type, event_id, headers, body, item, budget, expression_context }
    }

    /// The same view, in which conditions see one item of a batch in place of the whole body.
    #[must_use]
    pub(crate) fn with_item(self, item: Option<ExactJson<'a>>) -> Self {
        Self { item, ..self }
    }

    /// Makes a view of a stored event; `None` where its type is not known, for such an event
    /// matches no glob.
    pub fn of_event(event: &'a Event, budget: &'a EvaluationBudget) -> Option<Self> {
        let event_type = event.event_type()?;
        let (source, id) = (event.source(), event.event_id());
        Some(Self::new(source, event_type, id, event.headers(), event.body(), budget))
    }

    /// Returns the body, or the event's item of a batch.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON.
    pub fn json(&self) -> Result<ExactJson<'a>, &'a BodyError> {
        self.item.map_or_else(|| self.body.exact_json(), Ok)
    }

    /// Returns what the conditions may still cost.
    pub fn budget(&self) -> &'a EvaluationBudget {
        self.budget
    }

    /// Returns the value of a stored header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns `body`, `headers`, `event` and `tls` as expressions see them; an error where building them
    /// costs more than the budget.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON.
    pub(crate) fn expression_context(
        &self,
    ) -> Result<Result<&minijinja::Value, BudgetSpent>, &'a BodyError> {
        let body = self.json()?;
        if let Some(context) = self.expression_context.get() {
            return Ok(Ok(context));
        }
        if !charge_values(body.value(), self.budget) {
            return Ok(Err(BudgetSpent));
        }
        Ok(Ok(self.expression_context.get_or_init(|| {
            let headers: BTreeMap<&str, &str> =
                self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let names = self.header(TLS_CLIENT_SAN).map(ClientCertificate::split_names);
            let names: Vec<&str> = names.into_iter().flatten().collect();
            minijinja::context! {
                body => minijinja::Value::from(minijinja::value::Serde(ExpressionJson(body))),
                headers => minijinja::Value::from(minijinja::value::Serde(headers)),
                event => minijinja::context! {
                    type => self.event_type, id => self.event_id, source => self.source,
                },
                tls => minijinja::context! {
                    client_subject => self.header(TLS_CLIENT_SUBJECT), client_san => minijinja::value::Value::from(minijinja::value::Serde(names)),
                },
            }
        })))
    }
}

/// Takes a step for each value, before all of them are copied. Returns whether there were enough.
fn charge_values(value: &Value, budget: &EvaluationBudget) -> bool {
    match value {
        Value::String(text) => budget.charge(1 + text_steps(text)),
        Value::Array(items) => {
            budget.charge(1) && items.iter().all(|item| charge_values(item, budget))
        }
        Value::Object(members) => {
            let charge_member = |(name, value): (&String, &Value)| {
                budget.charge(1 + text_steps(name)) && charge_values(value, budget)
            };
            budget.charge(1) && members.iter().all(charge_member)
        }
        _ => budget.charge(1),
    }
}

/// The steps for copying a text, which is much cheaper than looking at it.
fn text_steps(text: &str) -> u64 {
    const BYTES_PER_STEP: usize = 256;
    u64::try_from(text.len() / BYTES_PER_STEP).unwrap_or(u64::MAX)
}

/// A body as expressions see it: integers keep their digits up to 128 bits.
struct ExpressionJson<'a>(ExactJson<'a>);

impl Serialize for ExpressionJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.0.has_rounded_numbers() {
            return self.0.value().serialize(serializer);
        }
        match self.0.value() {
            Value::Array(items) => {
                let mut out = serializer.serialize_seq(Some(items.len()))?;
                for item in self.0.items() {
                    out.serialize_element(&ExpressionJson(item))?;
                }
                out.end()
            }
            Value::Object(members) => {
                let mut out = serializer.serialize_map(Some(members.len()))?;
                for name in members.keys() {
                    if let Some(member) = self.0.member(name) {
                        out.serialize_entry(name, &ExpressionJson(member))?;
                    }
                }
                out.end()
            }
            rounded => {
                let text = self.0.number_text().unwrap_or_default();
                if let Ok(integer) = text.parse::<i128>() {
                    serializer.serialize_i128(integer)
                } else if let Ok(integer) = text.parse::<u128>() {
                    serializer.serialize_u128(integer)
                } else {
                    rounded.serialize(serializer)
                }
            }
        }
    }
}
