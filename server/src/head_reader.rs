//! Reads the first request head of a connection with as little memory as has arrived. hyper
//! allocates 8 to 24 KiB for the first byte of a connection, so thousands of peers that each send
//! half a head would occupy that much each; here they occupy what they have sent. Called by the
//! listener, which passes the bytes on to hyper.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// The most bytes that are read of a head, and the size of hyper's buffer. It lies above the 16 KiB
/// of `head_validation.rs`, whose sum counts differently, so that whichever of the two rejects the
/// head has enough of it to answer 431.
pub(crate) const MAX_HEAD_BUFFER: usize = 20 * 1024;

/// The bytes that one `read` may fetch, on the stack.
const READ_CHUNK_BYTES: usize = 4096;

/// Reads into `head` until it is complete, or until more of it could not change the answer: it is
/// too long, it cannot be HTTP, or the peer has closed its side.
///
/// Returns `false` if the peer closed, or the server began to stop, before the first byte. A peer
/// that has begun a request is waited for even while the server stops.
pub(crate) async fn read_first_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    head: &mut Vec<u8>,
    stopping: impl Future<Output = ()>,
) -> io::Result<bool> {
    let first = tokio::select! {
        // The read first: a request that has arrived is answered, also at the last moment.
        biased;
        read = read_some(stream, head) => read?,
        // Nothing has been asked, so nobody waits for an answer.
        () = stopping => 0,
    };
    if first == 0 {
        return Ok(false);
    }
    let mut searched = 0;
    while can_begin_request(head) && !has_head_end(head, searched) && head.len() < MAX_HEAD_BUFFER {
        searched = head.len();
        if read_some(stream, head).await? == 0 {
            break;
        }
    }
    Ok(true)
}

/// Appends the bytes that are available and returns their number; 0: the peer has closed its side.
async fn read_some<S: AsyncRead + Unpin>(stream: &mut S, head: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        // On the stack of this poll: in the future it would be allocated for every waiting peer.
        let mut chunk = [0; READ_CHUNK_BYTES];
        let mut buf = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))?;
        // Exact, because doubling would allocate up to twice what the peer has sent.
        head.reserve_exact(buf.filled().len());
        head.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    })
    .await
}

/// Whether these bytes can be the start of a request: a letter, after any number of empty lines
/// (RFC 9112, 2.2). Anything else, such as a TLS handshake on a plain port, is rejected without
/// waiting.
fn can_begin_request(head: &[u8]) -> bool {
    let first = head.iter().find(|byte| !matches!(byte, b'\r' | b'\n'));
    first.is_none_or(u8::is_ascii_alphabetic)
}

/// Whether an empty line ends the head at or after `searched`. Bare line feeds count, as in hyper's
/// parser: a head that hyper would find complete must not wait for more here.
fn has_head_end(head: &[u8], searched: usize) -> bool {
    let new = head.get(searched.saturating_sub(2)..).unwrap_or_default();
    new.windows(2).any(|w| w == b"\n\n") || new.windows(3).any(|w| w == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Sends these pieces; returns the head that was read and whether reading waited for the peer
    /// to close.
    fn read_pieces(pieces: &[&[u8]]) -> (Option<Vec<u8>>, bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut peer, mut stream) = tokio::io::duplex(64 * 1024);
            let reading = tokio::spawn(async move {
                let mut head = Vec::new();
                let any = read_first_head(&mut stream, &mut head, pending()).await.unwrap();
                any.then_some(head)
            });
            for piece in pieces {
                peer.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let waits = !reading.is_finished();
            drop(peer);
            (reading.await.unwrap(), waits)
        })
    }

    #[test]
    fn a_complete_head_is_returned_with_the_bytes_after_it() {
        let whole = b"POST / HTTP/1.1\r\nhost: x\r\n\r\nbody";
        assert_eq!(read_pieces(&[whole]), (Some(whole.to_vec()), false));
        let pieces: &[&[u8]] = &[b"P", b"OST / HTTP/1.1\r", b"\nhost: x\r\n", b"\r", b"\nb"];
        assert_eq!(read_pieces(pieces).0.unwrap(), b"POST / HTTP/1.1\r\nhost: x\r\n\r\nb");
        assert!(!read_pieces(&[b"GET / HTTP/1.1\nhost: x\n", b"\n"]).1);
        assert!(!read_pieces(&[b"GET / HTTP/1.1\nhost: x\n\r", b"\n"]).1);
    }

    #[test]
    fn half_a_head_is_waited_for_until_its_peer_closes() {
        let half = b"POST / HTTP/1.1\r\nhost: x\r\n";
        assert_eq!(read_pieces(&[half]), (Some(half.to_vec()), true));
        assert_eq!(read_pieces(&[b"\r\n"]), (Some(b"\r\n".to_vec()), true));
        assert_eq!(read_pieces(&[]), (None, true));
    }

    #[test]
    fn a_head_that_is_not_http_or_too_long_is_returned_immediately() {
        assert!(!read_pieces(&[b"\x16\x03\x01\x02\x00"]).1);
        assert!(!read_pieces(&[b"\r\n\x00"]).1);
        static LONG: [u8; MAX_HEAD_BUFFER] = [b'a'; MAX_HEAD_BUFFER];
        assert!(!read_pieces(&[&LONG]).1);
    }

    #[test]
    fn a_stopping_server_does_not_wait_for_a_silent_peer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_peer, mut stream) = tokio::io::duplex(64);
        let head = runtime.block_on(read_first_head(&mut stream, &mut Vec::new(), ready(())));
        assert!(!head.unwrap());
    }
}
