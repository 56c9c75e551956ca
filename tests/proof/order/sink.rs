//! A receiver that knows in which order the events of each key were accepted, fails some of them, and
//! notes what comes out of order. Used by the suite `order`.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it saw.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    pub(crate) dead: usize,
    pub(crate) again: usize,
    /// Words on the first few of them.
    pub(crate) violations: Vec<String>,
    pub(crate) violated: usize,
    keys: HashMap<String, Key>,
}

#[derive(Debug, Default, Clone)]
struct Key {
    /// Its next event; those before it have ended.
    next: usize,
    in_flight: usize,
    tried: HashMap<usize, usize>,
    /// What a kill may have kept from being written down.
    may_come_again: bool,
}

/// What happens to an event: so many attempts fail, and the last of them for ever or not.
fn fate(key: &str, n: usize) -> (usize, bool) {
    let number = key.bytes().fold(n, |a, b| a.wrapping_mul(31).wrapping_add(usize::from(b)));
    match number % 12 {
        0 => (1, false),
        1 => (2, false),
        2 => (0, true),
        _ => (0, false),
    }
}

#[derive(Clone)]
pub(crate) struct OrderSink {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl OrderSink {
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

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Events that have ended.
    pub(crate) fn ended(&self) -> usize {
        self.seen.lock().unwrap().keys.values().map(|key| key.next).sum()
    }

    /// The server was killed: of each key the newest event may come once more.
    pub(crate) fn killed(&self) {
        self.seen.lock().unwrap().keys.values_mut().for_each(|key| key.may_come_again = true);
    }
}

impl Seen {
    /// An attempt at event `n` of a key begins; the status that it gets.
    fn begin(&mut self, name: &str, n: usize) -> u16 {
        self.requests += 1;
        let (fails, dies) = fate(name, n);
        let key = self.keys.entry(name.to_owned()).or_default();
        key.in_flight += 1;
        let wrong = if key.in_flight > 1 {
            Some(format!("{name}: {} at once, with {n}", key.in_flight))
        } else if n == key.next {
            None
        } else if n + 1 == key.next && key.may_come_again {
            self.again += 1;
            None
        } else {
            Some(format!("{name}: {n} where {} was next", key.next))
        };
        if let Some(wrong) = wrong {
            self.violated += 1;
            if self.violations.len() < 5 {
                self.violations.push(wrong);
            }
        }
        let tried = key.tried.entry(n).or_insert(0);
        *tried += 1;
        match (*tried <= fails, dies) {
            (true, _) => 500,
            (false, true) => 400,
            (false, false) => 200,
        }
    }

    fn end(&mut self, name: &str, n: usize, status: u16) {
        let key = self.keys.entry(name.to_owned()).or_default();
        key.in_flight -= 1;
        match status {
            500 => self.failed += 1,
            400 => self.dead += 1,
            _ => {}
        }
        if status != 500 && n >= key.next {
            key.next = n + 1;
            key.may_come_again = false;
        }
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        while let Some(head_end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
            let length: usize = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0);
            let end = head_end + 4 + length;
            if bytes.len() < end {
                break;
            }
            let body: serde_json::Value =
                serde_json::from_slice(&bytes[head_end + 4..end]).unwrap();
            bytes.drain(..end);
            let object = &body["data"]["object"];
            let key = object["customer"].as_str().unwrap().to_owned();
            let n = usize::try_from(object["n"].as_u64().unwrap()).unwrap();
            let status = seen.lock().unwrap().begin(&key, n);
            // Long enough for another one to get in between.
            std::thread::sleep(Duration::from_micros(fastrand::u64(200..3000)));
            seen.lock().unwrap().end(&key, n, status);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
}
