//! What routes look at: an event before or after it was stored.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use hookward_core::{Body, BodyError, Event};

/// One event as conditions see it. Its value for expressions is made once, on first use, and
/// shared by all routes.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The provider's type.
    pub event_type: &'a str,
    /// The provider's id.
    pub event_id: Option<&'a str>,
    /// The kept headers, lower-case names.
    pub headers: &'a [(String, String)],
    /// The body, or the event's item of a batch.
    pub body: &'a Body,
    value: OnceCell<minijinja::Value>,
}

impl<'a> Subject<'a> {
    /// Puts one together.
    pub fn new(
        source: &'a str,
        event_type: &'a str,
        event_id: Option<&'a str>,
        headers: &'a [(String, String)],
        body: &'a Body,
    ) -> Self {
        Self { source, event_type, event_id, headers, body, value: OnceCell::new() }
    }

    /// That of a stored event; `None` where its type is not known.
    pub fn of(event: &'a Event) -> Option<Self> {
        let event_type = event.event_type()?;
        let (source, id) = (event.source(), event.event_id());
        Some(Self::new(source, event_type, id, event.headers(), event.body()))
    }

    /// One kept header.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// `body`, `headers` and `event`, for expressions. A body that is not JSON is an error.
    pub(crate) fn value(&self) -> Result<&minijinja::Value, &'a BodyError> {
        let body = self.body.json()?;
        Ok(self.value.get_or_init(|| {
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
