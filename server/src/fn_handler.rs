//! Handlers that are plain functions of an app: no crate of their own, no registration. Used
//! through [`App::handler`](crate::App::handler).

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use async_trait::async_trait;
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError};
use serde::de::DeserializeOwned;

/// The body of an event decoded as `T`, and the event itself: the argument of a handler function.
///
/// It derefs to `T`. A body that cannot be decoded as `T` sends the job to the dead letters without
/// calling the function, because a retry would find the same body.
///
/// ```
/// use hookward::{HandlerCx, HandlerError, Payload};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: String,
/// }
///
/// async fn fulfil(order: Payload<Order>, _cx: HandlerCx) -> Result<(), HandlerError> {
///     println!("{} ({:?})", order.id, order.event().event_type());
///     Ok(())
/// }
/// # let _ = fulfil;
/// ```
#[derive(Debug, Clone)]
pub struct Payload<T> {
    data: T,
    event: Event,
}

impl<T> Payload<T> {
    /// The event whose body was decoded: its id, source, type, headers and raw bytes.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Returns the decoded body by value and drops the event.
    pub fn into_inner(self) -> T {
        self.data
    }
}

impl<T: DeserializeOwned> Payload<T> {
    fn decode(event: Event) -> Result<Self, HandlerError> {
        let json = event.body().exact_json().map_err(HandlerError::fatal)?;
        // A value rounds numbers over 64 bits, and a type such as `u128` takes none that is
        // rounded. The bytes are parsed again for it alone.
        let exact = json
            .has_rounded_numbers()
            .then(|| serde_json::from_slice(event.body().content().ok()?).ok());
        let data = match exact.flatten() {
            Some(data) => data,
            None => T::deserialize(json.value()).map_err(|e| {
                HandlerError::fatal(describe_mismatch(std::any::type_name::<T>(), &e.to_string()))
            })?,
        };
        Ok(Self { data, event })
    }
}

impl<T> Deref for Payload<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.data
    }
}

/// What a handler function may return on success: `()`, after which the next step runs, or a
/// [`Flow`].
pub trait IntoFlow {
    /// Converts the value into the flow that it stands for.
    fn into_flow(self) -> Flow;
}

impl IntoFlow for () {
    fn into_flow(self) -> Flow {
        Flow::Next
    }
}

impl IntoFlow for Flow {
    fn into_flow(self) -> Flow {
        self
    }
}

/// An async function that can be a handler: its arguments are a [`Payload`] or an [`Event`], and a
/// [`HandlerCx`].
///
/// A function that needs a state (clients, a pool, settings) is given as the pair `(state,
/// function)` and takes the state as its first argument. Each call gets a clone of the state, so
/// put what is expensive to clone into an `Arc`:
///
/// ```
/// # use hookward::{App, AppError, HandlerCx, HandlerError, Payload};
/// # #[derive(serde::Deserialize)] struct Order { id: String }
/// #[derive(Clone)]
/// struct Shop { /* clients of other services */ }
///
/// async fn fulfil(shop: Shop, order: Payload<Order>, cx: HandlerCx) -> Result<(), HandlerError> {
///     Ok(())
/// }
///
/// # fn example(shop: Shop) -> Result<App, AppError> {
/// let app = App::from_file("routes.yaml")?.handler("fulfil_order", (shop, fulfil));
/// # Ok(app) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a handler",
    note = "write `async fn(Payload<T>, HandlerCx) -> Result<(), HandlerError>`; `Event` may take the place of `Payload<T>`, and `Flow` of `()`",
    note = "a function that takes a state as its first argument is given as `(state, function)`, where `state` is `Clone + Send + Sync`"
)]
pub trait HandlerFn<Args>: Send + Sync + 'static {
    /// Decodes the event as the function's argument requires and calls the function.
    fn call(
        &self,
        event: Event,
        cx: HandlerCx,
    ) -> impl Future<Output = Result<Flow, HandlerError>> + Send;
}

impl<F, Fut, T, R> HandlerFn<(Payload<T>, R)> for F
where
    F: Fn(Payload<T>, HandlerCx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    T: DeserializeOwned + Send + 'static,
    R: IntoFlow,
{
    async fn call(&self, event: Event, cx: HandlerCx) -> Result<Flow, HandlerError> {
        self(Payload::decode(event)?, cx).await.map(R::into_flow)
    }
}

impl<F, Fut, R> HandlerFn<(Event, R)> for F
where
    F: Fn(Event, HandlerCx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    R: IntoFlow,
{
    async fn call(&self, event: Event, cx: HandlerCx) -> Result<Flow, HandlerError> {
        self(event, cx).await.map(R::into_flow)
    }
}

impl<S, F, Fut, T, R> HandlerFn<(S, Payload<T>, R)> for (S, F)
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, Payload<T>, HandlerCx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    T: DeserializeOwned + Send + 'static,
    R: IntoFlow,
{
    async fn call(&self, event: Event, cx: HandlerCx) -> Result<Flow, HandlerError> {
        let (state, function) = self;
        function(state.clone(), Payload::decode(event)?, cx).await.map(R::into_flow)
    }
}

impl<S, F, Fut, R> HandlerFn<(S, Event, R)> for (S, F)
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, Event, HandlerCx) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, HandlerError>> + Send,
    R: IntoFlow,
{
    async fn call(&self, event: Event, cx: HandlerCx) -> Result<Flow, HandlerError> {
        let (state, function) = self;
        function(state.clone(), event, cx).await.map(R::into_flow)
    }
}

/// Describes why a body is not a `type_name`, from serde's error.
///
/// serde quotes the value that it found, and payloads belong neither into the store's record nor
/// into the log. What it expected comes from the type, so only that is repeated.
fn describe_mismatch(type_name: &str, serde_error: &str) -> String {
    let missing =
        serde_error.strip_prefix("missing field ").map(|field| format!("{field} is missing"));
    let expected = || {
        let quoting = ["invalid type: ", "invalid value: ", "invalid length "];
        let quotes = quoting.iter().any(|start| serde_error.starts_with(start));
        let (_, expected) = serde_error.rsplit_once(", expected ").filter(|_| quotes)?;
        Some(format!("somewhere {expected} is expected"))
    };
    match missing.or_else(expected) {
        Some(reason) => format!("the body is not a `{type_name}`: {reason}"),
        None => format!("the body is not a `{type_name}`"),
    }
}

/// A [`Handler`] that calls a function.
pub(crate) struct FnHandler<F, Args> {
    name: String,
    function: F,
    args: PhantomData<fn(Args)>,
}

impl<F, Args> FnHandler<F, Args> {
    pub(crate) fn new(name: &str, function: F) -> Self {
        Self { name: name.to_owned(), function, args: PhantomData }
    }
}

impl<F, Args> fmt::Debug for FnHandler<F, Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FnHandler({})", self.name)
    }
}

#[async_trait]
impl<F: HandlerFn<Args>, Args: 'static> Handler for FnHandler<F, Args> {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        self.function.call(event, cx.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use super::{Payload, describe_mismatch};
    use hookward_core::{Body, Event, EventId, EventParts, Timestamp};

    #[test]
    fn integers_of_128_bits_reach_the_function_with_all_their_digits() {
        #[derive(serde::Deserialize)]
        struct Transfer {
            amount: u128,
        }
        let decode = |body: &'static str| {
            let id = EventId::from_bytes([7; 16]);
            let parts = EventParts::new(id, "bank", Timestamp::from_secs(0), Body::new(body));
            Payload::<Transfer>::decode(Event::new(parts))
        };
        let payload = decode(r#"{"amount":18446744073709551617,"fee":0.1}"#).unwrap();
        assert_eq!(payload.amount, 18_446_744_073_709_551_617);
        let error = decode(r#"{"amount":"secret","fee":1e999}"#).map(|_| ()).unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains("somewhere u128 is expected"), "{error}");
    }

    #[derive(Debug, serde::Deserialize)]
    #[allow(dead_code, reason = "read by the decoder alone")]
    struct Paid {
        amount: u64,
        currency: Currency,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Currency {
        Usd,
    }

    #[test]
    fn a_mismatch_names_the_missing_field_or_expected_type_and_quotes_no_value() {
        let cases = [
            (r#"{"currency":"usd"}"#, "the body is not a `Paid`: `amount` is missing"),
            (
                r#"{"amount":"4111, expected x"}"#,
                "the body is not a `Paid`: somewhere u64 is expected",
            ),
            (r#"{"amount":-5}"#, "the body is not a `Paid`: somewhere u64 is expected"),
            (r#"{"amount":1,"currency":"secret"}"#, "the body is not a `Paid`"),
            ("[]", "the body is not a `Paid`: somewhere struct Paid with 2 elements is expected"),
        ];
        for (body, expected) in cases {
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            let error = serde_json::from_value::<Paid>(value).unwrap_err();
            assert_eq!(describe_mismatch("Paid", &error.to_string()), expected, "{body}: {error}");
        }
    }
}
