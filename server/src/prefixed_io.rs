//! The stream that hyper reads and writes: it first yields the bytes that were read while waiting
//! for the head, then those of the connection. It shows all of them to the [`FramingMonitor`]. Where
//! hyper writes an error response of its own, it sends one with a body instead
//! (`error_rewrite.rs`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error_rewrite::{ErrorRewrite, ResponseOrigin};
use crate::framing::FramingMonitor;
use crate::tls::Stream;

/// A connection together with the bytes that were read from it before hyper took it over.
pub(crate) struct PrefixedIo {
    stream: Stream,
    prefix: Bytes,
    origin: ResponseOrigin,
    framing: FramingMonitor,
    /// The replacement that is being written.
    rewrite: Option<ErrorRewrite>,
}

impl PrefixedIo {
    /// `origin` is marked by the service, and read here to recognise hyper's own responses.
    pub(crate) fn new(
        stream: Stream,
        prefix: Bytes,
        origin: ResponseOrigin,
        framing: FramingMonitor,
    ) -> Self {
        Self { stream, prefix, origin, framing, rewrite: None }
    }

    /// Reads the prefix and then the stream.
    fn poll_read_stream(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix.split_to(n));
        if !self.prefix.has_remaining() {
            // An empty slice still holds its allocation; release it before the request is answered.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a replacement if `buf` is an error response of hyper's own; `None` means that the
    /// caller writes `buf` itself.
    fn poll_rewrite(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.rewrite.is_none() && self.origin.take_is_hyper() {
            self.rewrite = ErrorRewrite::for_response(buf, self.framing.rejection());
        }
        let rewrite = self.rewrite.as_mut()?;
        while !rewrite.remaining().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, rewrite.remaining()) {
                Poll::Ready(Ok(n)) => rewrite.advance(n),
                Poll::Ready(Err(e)) => return Some(Poll::Ready(Err(e))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        self.rewrite = None;
        // To hyper its own bytes are written, and it closes the connection as it would have.
        Some(Poll::Ready(Ok(buf.len())))
    }
}

impl AsyncRead for PrefixedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read_before = buf.filled().len();
        ready!(self.poll_read_stream(cx, buf))?;
        self.framing.follow(buf.filled_mut().get_mut(read_before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PrefixedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.poll_rewrite(cx, buf) {
            Some(polled) => polled,
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A response without a body is a single buffer.
        let first = bufs.first().map_or(&[][..], |buf| buf);
        match self.poll_rewrite(cx, first) {
            Some(polled) => polled,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
