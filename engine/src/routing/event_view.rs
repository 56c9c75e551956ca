//! What conditions see of an event, before it is stored and after.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use hookward_core::{Body, BodyError, Event};

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
    /// The body, or the event's item where a delivery holds a batch.
    pub body: &'a Body,
    expression_context: OnceCell<minijinja::Value>,
}

impl<'a> EventView<'a> {
    /// Makes a view of an event that is not stored yet.
    pub fn new(
        source: &'a str,
        event_type: &'a str,
        event_id: Option<&'a str>,
        headers: &'a [(String, String)],
        body: &'a Body,
    ) -> Self {
        let expression_context = OnceCell::new();
        Self { source, event_type, event_id, headers, body, expression_context }
    }

    /// Makes a view of a stored event; `None` where its type is not known, for such an event
    /// matches no glob.
    pub fn of_event(event: &'a Event) -> Option<Self> {
        let event_type = event.event_type()?;
        let (source, id) = (event.source(), event.event_id());
        Some(Self::new(source, event_type, id, event.headers(), event.body()))
    }

    /// Returns the value of a stored header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns `body`, `headers` and `event` as expressions see them.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON.
    pub(crate) fn expression_context(&self) -> Result<&minijinja::Value, &'a BodyError> {
        let body = self.body.json()?;
        Ok(self.expression_context.get_or_init(|| {
            let headers: BTreeMap<&str, &str> =
                self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            minijinja::context! {
                body => minijinja::Value::from(minijinja::value::Serde(body)),
                headers => minijinja::Value::from(minijinja::value::Serde(headers)),
                event => minijinja::context! {
                    type => self.event_type, id => self.event_id, source => self.source,
                },
            }
        }))
    }
}
