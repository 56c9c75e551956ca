//! A request body that reports to the connection table when it is complete. From then on the server owes
//! the answer, and the connection keeps its place.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::connection_table::ConnectionProgress;

/// The body of a request on a connection of the listener.
pub(crate) struct TrackedBody {
    body: Incoming,
    /// `None` once the body is complete.
    progress: Option<ConnectionProgress>,
    /// Whether a part of it had to be waited for.
    waited: bool,
}

impl TrackedBody {
    /// The head of the request has been reported as complete.
    pub(crate) fn new(body: Incoming, progress: ConnectionProgress) -> Self {
        let mut tracked = Self { body, progress: Some(progress), waited: false };
        if tracked.body.is_end_stream() {
            tracked.report_end();
        }
        tracked
    }

    fn report_end(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.body_complete(self.waited);
        }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.waited = true;
            return Poll::Pending;
        };
        if frame.is_none() || self.body.is_end_stream() {
            self.report_end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
