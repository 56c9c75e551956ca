//! Handlers that are plain functions of an app: no crate, no registration.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use async_trait::async_trait;
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError};
use serde::de::DeserializeOwned;

/// An event's body, decoded as `T`, and the event itself. A body that is not a `T` sends the job to
/// the dead letters: trying again would not change it.
#[derive(Debug, Clone)]
pub struct Payload<T> {
    data: T,
    event: Event,
}

impl<T> Payload<T> {
    /// The event that it came in.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The decoded body.
    pub fn into_inner(self) -> T {
        self.data
    }
}

impl<T: DeserializeOwned> Payload<T> {
    fn of(event: Event) -> Result<Self, HandlerError> {
        let value = event.json().map_err(HandlerError::fatal)?;
        let misfit = |e: serde_json::Error| misfit(std::any::type_name::<T>(), &e.to_string());
        let data = T::deserialize(value).map_err(|e| HandlerError::fatal(misfit(e)))?;
        Ok(Self { data, event })
    }
}

impl<T> Deref for Payload<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.data
    }
}

/// What a handler function may return: nothing, or a [`Flow`].
pub trait IntoFlow {
    /// As a flow.
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

/// An async function of a [`Payload`] or an [`Event`], and a [`HandlerCx`].
///
/// Together with what it works with (clients, a pool, settings) it is a pair. Each call gets a clone
/// of the first part, so put what is not cheap to clone into an `Arc`:
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
    note = "write `async fn(Payload<T>, HandlerCx) -> Result<(), HandlerError>`; `Event` may stand for `Payload<T>`, and `Flow` for `()`",
    note = "a function that takes something before these is given with it: `(something, function)`, where `something` is `Clone + Send + Sync`"
)]
pub trait HandlerFn<Args>: Send + Sync + 'static {
    /// Calls it.
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
        self(Payload::of(event)?, cx).await.map(R::into_flow)
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
        function(state.clone(), Payload::of(event)?, cx).await.map(R::into_flow)
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

/// Says what of a type a body lacks. The decoder quotes what it found, and payloads belong neither
/// into the record nor into the log; what it expected is the type's own words.
fn misfit(type_name: &str, decoder: &str) -> String {
    let lacks = decoder.strip_prefix("missing field ").map(|field| format!("{field} is missing"));
    let expected = || {
        let found = ["invalid type: ", "invalid value: ", "invalid length "];
        let quoted = found.iter().any(|start| decoder.starts_with(start));
        let (_, words) = decoder.rsplit_once(", expected ").filter(|_| quoted)?;
        Some(format!("somewhere {words} is expected"))
    };
    match lacks.or_else(expected) {
        Some(reason) => format!("the body is not a `{type_name}`: {reason}"),
        None => format!("the body is not a `{type_name}`"),
    }
}

/// A function as a handler.
pub(crate) struct Function<F, Args> {
    name: String,
    function: F,
    args: PhantomData<fn(Args)>,
}

impl<F, Args> Function<F, Args> {
    pub(crate) fn new(name: &str, function: F) -> Self {
        Self { name: name.to_owned(), function, args: PhantomData }
    }
}

impl<F, Args> fmt::Debug for Function<F, Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Function({})", self.name)
    }
}

#[async_trait]
impl<F: HandlerFn<Args>, Args: 'static> Handler for Function<F, Args> {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        self.function.call(event, cx.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use super::misfit;

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
    fn a_misfit_names_what_is_missing_or_expected_and_quotes_nothing() {
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
        for (body, said) in cases {
            let value: serde_json::Value = serde_json::from_str(body).unwrap();
            let error = serde_json::from_value::<Paid>(value).unwrap_err();
            assert_eq!(misfit("Paid", &error.to_string()), said, "{body}: {error}");
        }
    }
}
