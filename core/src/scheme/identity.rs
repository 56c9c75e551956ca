//! Where a proven delivery names its events. Part of every compiled scheme, and used alone by
//! providers whose signature is not a scheme.

use crate::exact_json::ExactJson;
use crate::identity::{IdentifyError, Identity, ProviderEventId};
use crate::prove::Verified;
use crate::request::Head;
use crate::scheme::error::SchemeError;
use crate::scheme::field_location::FieldLocation;
use crate::scheme::one_or_more::OneOrMore;
use crate::verify_error::VerifyError;

/// Most events of one batch.
const MAX_BATCH_EVENTS: usize = 10_000;

/// Type of every event of a sender that names no types.
const DEFAULT_EVENT_TYPE: &str = "event";

/// Where event type, event id and batch stand in a delivery.
///
/// ```
/// use hookward_core::scheme::{IdentityRules, OneOrMore};
///
/// let one = |place: &str| Some(OneOrMore(vec![place.to_owned()]));
/// let rules = IdentityRules::new(one("header:X-Event"), one("/id"), None)?;
/// let headers: Vec<_> = rules.headers("order.paid", "evt_1").collect();
/// assert_eq!(headers, [("x-event", "order.paid")]);
/// # Ok::<(), hookward_core::scheme::SchemeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct IdentityRules {
    event_type: Option<Vec<FieldLocation>>,
    event_id: Option<Vec<FieldLocation>>,
    /// JSON pointer to the array of events.
    batch: Option<String>,
}

impl IdentityRules {
    /// Parses the keys `event_type`, `event_id` and `batch` of a scheme. Without `event_type` every
    /// event has the type `event`; without `event_id` none has an id; without `batch` a delivery is
    /// one event.
    ///
    /// # Errors
    /// [`SchemeError`] for a text that is not a place in a request.
    pub fn new(
        event_type: Option<OneOrMore>,
        event_id: Option<OneOrMore>,
        batch: Option<String>,
    ) -> Result<Self, SchemeError> {
        let locations = |texts: Option<OneOrMore>, at: &str| {
            let parse = |list: OneOrMore| {
                let parse_one = |text: &String| FieldLocation::parse(text, at);
                list.0.iter().map(parse_one).collect::<Result<Vec<_>, _>>()
            };
            texts.map(parse).transpose()
        };
        if let Some(pointer) = batch.as_deref().filter(|p| !p.is_empty() && !p.starts_with('/')) {
            let message = format!(
                "`{pointer}` is not a JSON pointer; write /pointer, or \"\" for the whole body"
            );
            return Err(SchemeError::new("/batch", message));
        }
        Ok(Self {
            event_type: locations(event_type, "/event_type")?,
            event_id: locations(event_id, "/event_id")?,
            batch,
        })
    }

    /// Rejects a head in which a header that names the event has several values or is not visible
    /// ASCII. A header that is absent is accepted.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`].
    pub fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.locations().try_for_each(|location| match location {
            FieldLocation::Header(name) => head.single(name).map(drop),
            _ => Ok(()),
        })
    }

    /// Names the events of a proven delivery. `is_signed` says whether the proof covers a location;
    /// an id from elsewhere is marked as unsigned.
    ///
    /// # Errors
    /// [`IdentifyError`] for a batch whose body is not strict JSON, has no array at the batch's
    /// pointer, or has more than 10,000 events. An empty batch has no identities.
    pub fn identify(
        &self,
        delivery: &Verified,
        is_signed: impl Fn(&FieldLocation) -> bool,
    ) -> Result<Vec<Identity>, IdentifyError> {
        let Some(batch) = &self.batch else {
            let reads_json = self.locations().any(FieldLocation::reads_json);
            let item = if reads_json { delivery.exact_json().ok() } else { None };
            return Ok(vec![self.identity(delivery, item, None, &is_signed)]);
        };
        let body = delivery.exact_json().map_err(|e| IdentifyError::new(e.to_string()))?;
        // Stores find an item by its place in the text.
        if delivery.body().is_form() {
            return Err(IdentifyError::new("the body is a form, which cannot hold a batch"));
        }
        let items =
            body.pointer(batch).filter(|list| list.value().is_array()).ok_or_else(|| {
                IdentifyError::new(format!("there is no array of events at `{batch}`"))
            })?;
        let events = items.value().as_array().map_or(0, Vec::len);
        if events > MAX_BATCH_EVENTS {
            let reason =
                format!("the batch has {events} events; at most {MAX_BATCH_EVENTS} are allowed");
            return Err(IdentifyError::new(reason));
        }
        let identity_of = |(n, item)| {
            self.identity(delivery, Some(item), Some(format!("{batch}/{n}")), &is_signed)
        };
        Ok(items.items().enumerate().map(identity_of).collect())
    }

    fn identity(
        &self,
        delivery: &Verified,
        item: Option<ExactJson<'_>>,
        item_pointer: Option<String>,
        is_signed: &impl Fn(&FieldLocation) -> bool,
    ) -> Identity {
        let first = |list: &Vec<FieldLocation>| {
            let read = |l: &FieldLocation| l.read(delivery, item).map(|text| (is_signed(l), text));
            list.iter().find_map(read)
        };
        let (type_signed, event_type) = match &self.event_type {
            None => (true, Some(DEFAULT_EVENT_TYPE.to_owned())),
            Some(list) => match first(list) {
                Some((signed, text)) => (signed, Some(text)),
                // A signed body cannot be made to lack its type; a header can be left out.
                None => (list.iter().all(is_signed), None),
            },
        };
        let event_id = self.event_id.as_ref().and_then(first);
        let event_id = event_id.map(|(signed, value)| ProviderEventId::new(value, signed));
        Identity::new()
            .with_event_type(event_type)
            .with_event_id(event_id)
            .with_item_pointer(item_pointer)
            .with_names_signed(type_signed)
    }

    /// The headers that name an event of this type and id, as name and value: what a signer sets.
    pub fn headers<'a>(
        &'a self,
        event_type: &'a str,
        event_id: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let header_name = |location: &'a FieldLocation| match location {
            FieldLocation::Header(name) => Some(name.as_str()),
            _ => None,
        };
        let first =
            move |list: &'a Option<Vec<FieldLocation>>| list.iter().flatten().find_map(header_name);
        let event_type = first(&self.event_type).map(|name| (name, event_type));
        let event_id = first(&self.event_id).map(|name| (name, event_id));
        event_type.into_iter().chain(event_id)
    }

    /// The header from which the event type is read first, in lower case; `None` where it is read
    /// from the body, or every event has the same type.
    pub fn type_header(&self) -> Option<&str> {
        header_name(self.first_type_location())
    }

    /// The header from which the event id is read first, in lower case.
    pub fn id_header(&self) -> Option<&str> {
        header_name(self.first_id_location())
    }

    pub(super) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    pub(super) fn first_type_location(&self) -> Option<&FieldLocation> {
        self.event_type.iter().flatten().next()
    }

    pub(super) fn first_id_location(&self) -> Option<&FieldLocation> {
        self.event_id.iter().flatten().next()
    }

    fn locations(&self) -> impl Iterator<Item = &FieldLocation> {
        [&self.event_type, &self.event_id].into_iter().flatten().flatten()
    }
}

fn header_name(location: Option<&FieldLocation>) -> Option<&str> {
    match location? {
        FieldLocation::Header(name) => Some(name),
        _ => None,
    }
}
