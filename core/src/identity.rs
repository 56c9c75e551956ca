//! What a proven delivery says about its events: [`Identity`], made by
//! [`Provider::identify`](crate::Provider::identify) and read by the engine for routing and dedupe.

/// Names one event of a delivery. Which events are the same is decided by it: the engine makes the
/// dedupe key from `event_id` and `scope`, or from the bytes where there is no signed id.
///
/// ```
/// use hookward_core::{Identity, ProviderEventId};
///
/// let identity = Identity::new()
///     .with_event_type("invoice.paid".to_owned())
///     .with_event_id(ProviderEventId::signed("evt_1"));
/// assert_eq!(identity.event_id.unwrap().value, "evt_1");
/// assert_eq!(identity.scope, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The provider's own word for what happened, such as `invoice.paid`. Routes match it. `None`
    /// where the delivery does not say it.
    pub event_type: Option<String>,
    /// The provider's id of the event. `None` where the provider gives none: the engine then
    /// recognises repetitions by the bytes, unless
    /// [`dedupe_by_content`](crate::Provider::dedupe_by_content) is false.
    pub event_id: Option<ProviderEventId>,
    /// JSON pointer to the event's own item in the body of a batch; `None` where the delivery is
    /// one event. Handlers receive that item as the event's body.
    pub item_pointer: Option<String>,
    /// What `event_id` is unique within, where that is less than the whole source: a sender that
    /// relays for others may give each of them ids of its own. Two events are the same only where
    /// their scopes are equal too.
    pub scope: Option<String>,
    /// Whether the proof covers both `event_type` and `scope`. Where it does not, whoever captured
    /// one delivery could make any number of events by inventing types, so the engine accepts at
    /// most eight events of the same bytes. Without effect for an event with a signed id.
    pub names_are_signed: bool,
}

impl Identity {
    /// An event without type, id, item or scope.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        with_event_type => event_type: into Option<String>;
        with_event_id => event_id: into Option<ProviderEventId>;
        with_item_pointer => item_pointer: into Option<String>;
        with_scope => scope: into Option<String>;
        with_names_signed => names_are_signed: bool;
    }
}

/// A part of a request that a proof may cover: what [`Provider::signs`](crate::Provider::signs) is
/// asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestPart<'a> {
    /// The whole body. A bare token vouches for the body as the sender's.
    Body,
    /// The header of this lower-case name.
    Header(&'a str),
    /// The place from which the event type is read.
    EventType,
    /// The place from which the event id is read.
    EventId,
}

/// The id that a provider gives an event, and whether the proof covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderEventId {
    /// The id as the provider writes it. Never empty.
    pub value: String,
    /// Whether changing the id would break the proof. Anybody who captured a delivery could send it
    /// again under another unsigned id, or claim the id of a delivery that is still to come. Such
    /// an id therefore only confirms that two deliveries with the same bytes are the same one.
    pub signed: bool,
}

impl ProviderEventId {
    /// An id that the proof covers if `signed` is true.
    pub fn new(value: impl Into<String>, signed: bool) -> Self {
        Self { value: value.into(), signed }
    }

    /// An id that the proof covers.
    pub fn signed(value: impl Into<String>) -> Self {
        Self::new(value, true)
    }

    /// An id that anybody could change without breaking the proof, such as one in an unsigned
    /// header.
    pub fn unsigned(value: impl Into<String>) -> Self {
        Self::new(value, false)
    }
}

/// A genuine delivery whose events cannot be named: it is stored as invalid and not routed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct IdentifyError {
    /// What could not be read, and where. Never holds content of the body.
    pub reason: String,
}

impl IdentifyError {
    /// An error with this reason, which must not quote the body.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
