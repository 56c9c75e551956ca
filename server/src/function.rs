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
        let value = event.json().map_err(HandlerError::fatal)?;
        // The decoder's words can hold values of the body; the place is enough to find them.
        let data = T::deserialize(value).map_err(|e| {
            let what = std::any::type_name::<T>();
            tracing::debug!(event = %event.id(), reason = %e, "a body does not fit its type");
            HandlerError::fatal(format!("the body is not a {what}"))
        })?;
        self(Payload { data, event }, cx).await.map(R::into_flow)
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
