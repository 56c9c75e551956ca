//! The TCP socket of a connection, with two protections that tokio and hyper leave out: a peer that
//! stops reading is cut off, and closing waits for the last answer to arrive. TLS, where there is
//! TLS, runs on top.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long a write may make no progress before the connection is reset. Without it, a peer that
/// never reads its answer would hold a connection permit for ever.
const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long closing waits for the peer to close its side.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// How many bytes of a peer that still sends are read and dropped while closing; at more, the
/// socket is closed. A sender of a large rejected body gets its answer, and a flood gets a reset.
const MAX_LINGER_BYTES: usize = 256 * 1024;

/// The bytes that one `read` drops while closing, on the stack.
const LINGER_CHUNK_BYTES: usize = 8192;

/// A TCP stream with a write timeout and a lingering close.
pub(crate) struct Socket {
    stream: TcpStream,
    /// Runs while a write is pending.
    write_stall: Option<Pin<Box<Sleep>>>,
    /// The end of the lingering close and the bytes dropped so far; set once the close has begun.
    lingering: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, write_stall: None, lingering: None }
    }

    /// Passes the result of a write on; starts the timer of a pending one and fails when it
    /// elapses. Any progress clears the timer.
    fn poll_write_stall<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_stall = None;
            return polled;
        }
        // Allocated only while a write waits, so that a connection at rest carries no timer.
        let timer = self.write_stall.get_or_insert_with(|| Box::pin(sleep(WRITE_STALL_TIMEOUT)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                // Reset instead of close: the kernel would keep the unread answer for minutes.
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
        self.poll_write_stall(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_write_stall(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Closes the sending side, then reads and drops until the peer closes too.
    ///
    /// A socket that is closed with unread bytes sends a reset, which can overtake the answer: the
    /// peer would see a broken connection instead of, say, 413.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.lingering = Some((Box::pin(sleep(LINGER_TIMEOUT)), 0));
        }
        let Some((timer, dropped)) = &mut this.lingering else { return Poll::Ready(Ok(())) };
        // The deadline as well: to a task that has used up its cooperative budget, as one that
        // reads from a flooding peer does, tokio shows an elapsed timer as pending.
        if timer.as_mut().poll(cx).is_ready() || timer.deadline() <= Instant::now() {
            return Poll::Ready(Ok(()));
        }
        let mut chunk = [0; LINGER_CHUNK_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() && *dropped < MAX_LINGER_BYTES => {
                    *dropped += buf.filled().len();
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
