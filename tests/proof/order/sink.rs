//! A receiver that knows the order of acceptance of each key's events, fails some of them, and
//! records what arrives out of order.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the receiver observed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Observations {
    pub(crate) requests: usize,
    pub(crate) failed: usize,
    pub(crate) dead: usize,
    /// Attempts of events that had ended before a kill.
    pub(crate) repeated: usize,
    /// Number of attempts out of order.
    pub(crate) violations: usize,
    /// Descriptions of the first few violations.
    pub(crate) examples: Vec<String>,
    keys: HashMap<String, Key>,
    /// Kills of the server so far.
    kills: usize,
}

/// Progress of one order key.
#[derive(Debug, Default, Clone)]
struct Key {
    /// Number of the next event; all before it have ended.
    next: usize,
    in_flight: usize,
    attempts: HashMap<usize, usize>,
    /// A kill may have prevented the record of the last event's end.
    may_repeat: bool,
}

/// Returns how many attempts of an event fail, and whether the next one fails finally.
fn planned_failures(key: &str, n: usize) -> (usize, bool) {
    let number = key.bytes().fold(n, |a, b| a.wrapping_mul(31).wrapping_add(usize::from(b)));
    match number % 12 {
        0 => (1, false),
        1 => (2, false),
        2 => (0, true),
        _ => (0, false),
    }
}

/// The receiver, an HTTP server in this process.
#[derive(Clone)]
pub(crate) struct OrderSink {
    pub(crate) port: u16,
    observations: Arc<Mutex<Observations>>,
}

impl OrderSink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = Self { port, observations: Arc::default() };
        let observations = sink.observations.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let observations = observations.clone();
                std::thread::spawn(move || serve(stream, &observations));
            }
        });
        sink
    }

    pub(crate) fn observations(&self) -> Observations {
        self.observations.lock().unwrap().clone()
    }

    /// Returns the number of events that have ended.
    pub(crate) fn ended_events(&self) -> usize {
        self.observations.lock().unwrap().keys.values().map(|key| key.next).sum()
    }

    /// Allows the last event of each key to repeat, after a kill of the server. Attempts of the
    /// killed server may still be under way here; they overlap with nothing any more.
    pub(crate) fn server_killed(&self) {
        let mut observations = self.observations.lock().unwrap();
        observations.kills += 1;
        for key in observations.keys.values_mut() {
            key.may_repeat = true;
            key.in_flight = 0;
        }
    }
}

impl Observations {
    /// Begins an attempt of event `n` of a key; returns the status that it gets, and the number of
    /// kills before it.
    fn begin(&mut self, name: &str, n: usize) -> (u16, usize) {
        self.requests += 1;
        let (failures, is_final) = planned_failures(name, n);
        let key = self.keys.entry(name.to_owned()).or_default();
        key.in_flight += 1;
        let violation = if key.in_flight > 1 {
            Some(format!("{name}: {} events at the same time, the last is {n}", key.in_flight))
        } else if n == key.next {
            None
        } else if n + 1 == key.next && key.may_repeat {
            self.repeated += 1;
            None
        } else {
            Some(format!("{name}: event {n}, expected {}", key.next))
        };
        if let Some(violation) = violation {
            self.violations += 1;
            if self.examples.len() < 5 {
                self.examples.push(violation);
            }
        }
        let attempts = key.attempts.entry(n).or_insert(0);
        *attempts += 1;
        let status = match (*attempts <= failures, is_final) {
            (true, _) => 500,
            (false, true) => 400,
            (false, false) => 200,
        };
        (status, self.kills)
    }

    fn end(&mut self, name: &str, n: usize, status: u16, kills_before: usize) {
        let was_killed = kills_before < self.kills;
        let key = self.keys.entry(name.to_owned()).or_default();
        if !was_killed {
            key.in_flight -= 1;
        }
        match status {
            500 => self.failed += 1,
            400 => self.dead += 1,
            _ => {}
        }
        if status != 500 && n >= key.next {
            key.next = n + 1;
            // The server that was killed meanwhile cannot have recorded this end.
            key.may_repeat = was_killed;
        }
    }
}

fn serve(mut stream: TcpStream, observations: &Mutex<Observations>) {
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
            let (status, kills) = observations.lock().unwrap().begin(&key, n);
            // Long enough for another attempt of the key to overlap.
            std::thread::sleep(Duration::from_micros(fastrand::u64(200..3000)));
            observations.lock().unwrap().end(&key, n, status, kills);
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
