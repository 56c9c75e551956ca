//! A connection's socket, with what libraries leave out: a peer that reads nothing is cut off, and
//! closing lingers long enough for the last answer to arrive. Under TLS, where there is TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A write that makes no progress for this long ends the connection.
const WRITE: Duration = Duration::from_secs(10);
/// Closing waits this long for the peer to close, too.
const LINGER: Duration = Duration::from_secs(1);
/// What a peer still sends while closing is dropped, up to so many bytes.
const DROPPED: usize = 256 * 1024;

/// The socket.
pub(crate) struct Socket {
    stream: TcpStream,
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, stalled: None, closing: None }
    }

    /// Progress clears the timer; the lack of it runs into it.
    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                // What the peer did not read would be kept for minutes after the end.
                let _ = self.stream.set_zero_linger();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Says that no more comes, then drops what still arrives until the peer closes: a socket closed
    /// with unread bytes sends a reset, which can overtake the answer that explains it.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.closing = Some((Box::pin(sleep(LINGER)), 0));
        }
        let Some((timer, dropped)) = &mut this.closing else { return Poll::Ready(Ok(())) };
        if timer.as_mut().poll(cx).is_ready() || timer.deadline() <= Instant::now() {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0; 8192];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() && *dropped < DROPPED => {
                    *dropped += buf.filled().len();
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
