//! IdentityRules: where a proven delivery says what happened. Used by compiled schemes, and on its own by
//! providers that have no signature.

use serde_json::Value;

use crate::prove::Verified;
use crate::provider::{IdentifyError, Identity, ProviderEventId};
use crate::request::Head;
use crate::scheme::field_location::FieldLocation;
use crate::scheme::spec::{OneOrMore, SchemeError};
use crate::verify_error::VerifyError;

/// The largest batch that is taken apart.
const MAX_BATCH: usize = 10_000;
/// The event type where no place is given for one.
const UNNAMED: &str = "event";

/// The places of event type, event id and batch, read and checked.
#[derive(Debug, Clone)]
pub struct IdentityRules {
    event_type: Option<Vec<FieldLocation>>,
    event_id: Option<Vec<FieldLocation>>,
    batch: Option<String>,
}

impl IdentityRules {
    /// Reads the three keys as they stand in a scheme.
    pub fn new(
        event_type: Option<OneOrMore>,
        event_id: Option<OneOrMore>,
        batch: Option<String>,
    ) -> Result<Self, SchemeError> {
        let addresses = |texts: Option<OneOrMore>, at: &str| {
            let parse = |list: OneOrMore| {
                list.0
                    .iter()
                    .map(|text| FieldLocation::parse(text, at))
                    .collect::<Result<Vec<_>, _>>()
            };
            texts.map(parse).transpose()
        };
        if let Some(pointer) = batch.as_deref().filter(|p| !p.is_empty() && !p.starts_with('/')) {
            let message =
                format!("`{pointer}` is no pointer; write /pointer, or \"\" for the whole body");
            return Err(SchemeError::new("/batch", message));
        }
        Ok(Self {
            event_type: addresses(event_type, "/event_type")?,
            event_id: addresses(event_id, "/event_id")?,
            batch,
        })
    }

    /// Refuses a head in which a header that names the event is ambiguous or not a text. One that
    /// is absent is fine.
    pub fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.addresses().try_for_each(|address| match address {
            FieldLocation::Header(name) => head.single(name).map(drop),
            _ => Ok(()),
        })
    }

    /// Names the events of a proven delivery; `signed` says whether the proof covers a place.
    pub fn identify(
        &self,
        delivery: &Verified,
        signed: impl Fn(&FieldLocation) -> bool,
    ) -> Result<Vec<Identity>, IdentifyError> {
        let Some(batch) = &self.batch else {
            let reads_json = self.addresses().any(FieldLocation::reads_json);
            let item = if reads_json { delivery.json().ok() } else { None };
            return Ok(vec![self.identity(delivery, item, None, &signed)]);
        };
        let body = delivery.json().map_err(|e| IdentifyError { reason: e.to_string() })?;
        let items = body.pointer(batch).and_then(|v| v.as_array()).ok_or_else(|| {
            IdentifyError { reason: format!("there is no array of events at `{batch}`") }
        })?;
        if items.is_empty() || items.len() > MAX_BATCH {
            let reason = format!("a batch of {} events; allowed are 1 to {MAX_BATCH}", items.len());
            return Err(IdentifyError { reason });
        }
        let one =
            |(n, item)| self.identity(delivery, Some(item), Some(format!("{batch}/{n}")), &signed);
        Ok(items.iter().enumerate().map(one).collect())
    }

    fn identity(
        &self,
        delivery: &Verified,
        item: Option<&Value>,
        part: Option<String>,
        signed: &impl Fn(&FieldLocation) -> bool,
    ) -> Identity {
        let first = |list: &Vec<FieldLocation>| {
            list.iter().find_map(|a| a.text(delivery, item).map(|text| (signed(a), text)))
        };
        let event_type = match &self.event_type {
            None => Some(UNNAMED.to_owned()),
            Some(list) => first(list).map(|(_, text)| text),
        };
        let event_id = self.event_id.as_ref().and_then(first);
        let event_id = event_id.map(|(signed, value)| ProviderEventId { value, signed });
        Identity { event_type, event_id, part }
    }

    /// The headers that carry type and id, with these: for signing.
    pub fn headers<'a>(
        &'a self,
        event_type: &'a str,
        event_id: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let in_header = |a: &'a FieldLocation| match a {
            FieldLocation::Header(name) => Some(name.as_str()),
            _ => None,
        };
        let first =
            move |list: &'a Option<Vec<FieldLocation>>| list.iter().flatten().find_map(in_header);
        let event_type = first(&self.event_type).map(|name| (name, event_type));
        let event_id = first(&self.event_id).map(|name| (name, event_id));
        event_type.into_iter().chain(event_id)
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    pub(crate) fn type_addresses(&self) -> impl Iterator<Item = &FieldLocation> {
        self.event_type.iter().flatten()
    }

    fn addresses(&self) -> impl Iterator<Item = &FieldLocation> {
        [&self.event_type, &self.event_id].into_iter().flatten().flatten()
    }
}
