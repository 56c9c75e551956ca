//! What the HTTP library reads and writes: first what was read while its head was waited for, then
//! the connection; and an answer of the library's own gets a body like any other refusal.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error_rewrite::{ErrorRewrite, ResponseOrigin};
use crate::tls::Stream;

/// A connection whose first head is there.
pub(crate) struct PrefixedIo {
    stream: Stream,
    read_before: Bytes,
    turn: ResponseOrigin,
    own: Option<ErrorRewrite>,
}

impl PrefixedIo {
    /// `turn` is the service's side of telling its answers from the library's.
    pub(crate) fn new(stream: Stream, read_before: Bytes, turn: ResponseOrigin) -> Self {
        Self { stream, read_before, turn, own: None }
    }

    /// Writes our words in the place of the library's, if these are its own: `None`, they are not.
    fn in_place_of(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.own.is_none() && self.turn.is_the_librarys() {
            self.own = ErrorRewrite::in_place_of(buf);
        }
        let own = self.own.as_mut()?;
        while !own.left().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, own.left()) {
                Poll::Ready(Ok(n)) => own.written(n),
                Poll::Ready(Err(e)) => return Some(Poll::Ready(Err(e))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        self.own = None;
        Some(Poll::Ready(Ok(buf.len())))
    }
}

impl AsyncRead for PrefixedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.read_before.len().min(buf.remaining());
        buf.put_slice(&self.read_before.split_to(n));
        if !self.read_before.has_remaining() {
            // Its memory is free before the request is answered.
            self.read_before = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PrefixedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.in_place_of(cx, buf) {
            Some(polled) => polled,
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |buf| buf);
        match self.in_place_of(cx, first) {
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
