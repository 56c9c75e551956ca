//! An HTTP server in the process of the suite that records the effects of handlers: no kill of
//! the server under test reaches its records.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The number of the attempt of each effect, by Hookward's event id.
pub(crate) type Effects = HashMap<String, Vec<u64>>;

/// Records the effects of each event.
#[derive(Clone)]
pub(crate) struct EffectSink {
    pub(crate) port: u16,
    seen: Arc<Mutex<Effects>>,
}

impl EffectSink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = Self { port, seen: Arc::default() };
        let seen = sink.seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        sink
    }

    pub(crate) fn effects(&self) -> Effects {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers requests on one connection, one after the other. The effect takes place before the
/// answer, as with any receiver, so a kill between the two causes a second effect.
fn serve(mut stream: TcpStream, seen: &Mutex<Effects>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        while let Some(head_end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
            let header = |name: &str| {
                let line = head.lines().find_map(|l| l.strip_prefix(&format!("{name}:")))?;
                Some(line.trim().to_owned())
            };
            let length: usize = header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            let end = head_end + 4 + length;
            if bytes.len() < end {
                break;
            }
            if let Some(id) = header("x-hookward-event-id") {
                // Without the header it is attempt 0, which no record has.
                let attempt = header("x-hookward-attempt").and_then(|n| n.parse().ok());
                seen.lock().unwrap().entry(id).or_default().push(attempt.unwrap_or(0));
            }
            bytes.drain(..end);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
}
