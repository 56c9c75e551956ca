//! Waiting for a connection's first head without the memory of a connection at work: the HTTP library
//! sets aside 8 to 24 KiB for the first byte that arrives, thousands of peers with half a head want as
//! much as they have sent. Called by the accept loop; what was read is handed to the library.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// A head that is longer is refused: by this, hyper's own buffer, or by `strict`, which counts otherwise.
pub(crate) const LONGEST: usize = 20 * 1024;

/// Reads until the first head is whole, or so that no more of it could change what is to be said: it
/// is too long, it is none, or its peer says no more. `false`: nothing came before the end.
pub(crate) async fn first_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    head: &mut Vec<u8>,
    stopping: impl Future<Output = ()>,
) -> io::Result<bool> {
    let first = tokio::select! {
        biased;
        read = more(stream, head) => read?,
        // Nothing has been asked, so nobody waits for an answer.
        () = stopping => 0,
    };
    if first == 0 {
        return Ok(false);
    }
    let mut looked_at = 0;
    while could_begin(head) && !ends(head, looked_at) && head.len() < LONGEST {
        looked_at = head.len();
        if more(stream, head).await? == 0 {
            break;
        }
    }
    Ok(true)
}

/// Reads what is there, and takes no more room than that; 0: the peer says no more.
async fn more<S: AsyncRead + Unpin>(stream: &mut S, head: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| {
        // On the stack of this poll, not in the future, which is kept for each peer.
        let mut scrap = [0; 4096];
        let mut buf = ReadBuf::new(&mut scrap);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf))?;
        head.reserve_exact(buf.filled().len());
        head.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    })
    .await
}

/// A method begins with a letter, and before it there may be empty lines. What does not is refused
/// without waiting for more.
fn could_begin(head: &[u8]) -> bool {
    let first = head.iter().find(|byte| !matches!(byte, b'\r' | b'\n'));
    first.is_none_or(u8::is_ascii_alphabetic)
}

/// An empty line, as leniently as the library sees it.
fn ends(head: &[u8], looked_at: usize) -> bool {
    let new = head.get(looked_at.saturating_sub(2)..).unwrap_or_default();
    new.windows(2).any(|w| w == b"\n\n") || new.windows(3).any(|w| w == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is handed on of these pieces, and whether the peer has to close for it.
    fn taken(pieces: &[&[u8]]) -> (Option<Vec<u8>>, bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut peer, mut stream) = tokio::io::duplex(64 * 1024);
            let reading = tokio::spawn(async move {
                let mut head = Vec::new();
                let some = first_head(&mut stream, &mut head, pending()).await.unwrap();
                some.then_some(head)
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
    fn a_whole_head_is_handed_on_with_what_came_behind_it() {
        let whole = b"POST / HTTP/1.1\r\nhost: x\r\n\r\nbody";
        assert_eq!(taken(&[whole]), (Some(whole.to_vec()), false));
        let pieces: &[&[u8]] = &[b"P", b"OST / HTTP/1.1\r", b"\nhost: x\r\n", b"\r", b"\nb"];
        assert_eq!(taken(pieces).0.unwrap(), b"POST / HTTP/1.1\r\nhost: x\r\n\r\nb");
        assert!(!taken(&[b"GET / HTTP/1.1\nhost: x\n", b"\n"]).1);
        assert!(!taken(&[b"GET / HTTP/1.1\nhost: x\n\r", b"\n"]).1);
    }

    #[test]
    fn half_a_head_is_waited_for_until_its_peer_ends() {
        let half = b"POST / HTTP/1.1\r\nhost: x\r\n";
        assert_eq!(taken(&[half]), (Some(half.to_vec()), true));
        assert_eq!(taken(&[b"\r\n"]), (Some(b"\r\n".to_vec()), true));
        assert_eq!(taken(&[]), (None, true));
    }

    #[test]
    fn what_is_no_head_or_too_long_is_handed_on_at_once() {
        assert!(!taken(&[b"\x16\x03\x01\x02\x00"]).1);
        assert!(!taken(&[b"\r\n\x00"]).1);
        static LONG: [u8; LONGEST] = [b'a'; LONGEST];
        assert!(!taken(&[&LONG]).1);
    }

    #[test]
    fn a_server_that_stops_waits_for_no_silent_peer() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (_peer, mut stream) = tokio::io::duplex(64);
        let head = runtime.block_on(first_head(&mut stream, &mut Vec::new(), ready(())));
        assert!(!head.unwrap());
    }
}
