//! A receiver on this machine that gives a fixed answer and records its requests. It uses threads
//! only, so that it outlives the runtimes of the tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the sink does with a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Writes these bytes as the response to each request.
    Raw(Vec<u8>),
    /// Writes these bytes without waiting for a request, then closes its side.
    Unsolicited(Vec<u8>),
    /// Closes without reading the body or answering.
    Reset,
    /// Reads the request and sends nothing until the client closes.
    Silence,
}

impl Answer {
    /// Returns a complete response with these header lines.
    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let len = body.len();
        let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {len}\r\n\r\n");
        Self::Raw([head.as_bytes(), body.as_bytes()].concat())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The request line, such as `POST /path HTTP/1.1`.
    pub(crate) line: String,
    /// Header names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    connections: usize,
    closed: usize,
}

impl Sink {
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = Self { port, state: Arc::default() };
        let server = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, answer) = (server.clone(), answer.clone());
                std::thread::spawn(move || server.serve(stream.unwrap(), &answer));
            }
        });
        sink
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// Returns the number of connections that the client has closed.
    pub(crate) fn closed_connections(&self) -> usize {
        self.state.lock().unwrap().closed
    }

    fn serve(&self, stream: TcpStream, answer: &Answer) {
        self.state.lock().unwrap().connections += 1;
        let mut writer = stream.try_clone().unwrap();
        if let Answer::Unsolicited(bytes) = answer {
            let _ = writer.write_all(bytes).and_then(|()| writer.shutdown(Shutdown::Write));
            let _ = std::io::copy(&mut writer, &mut std::io::sink());
            return;
        }
        let mut reader = BufReader::new(stream);
        while let Some(seen) = read_request(&mut reader, answer) {
            self.state.lock().unwrap().seen.push(seen);
            match answer {
                Answer::Raw(bytes) if writer.write_all(bytes).is_ok() => {}
                Answer::Silence => {
                    let _ = reader.read(&mut [0]);
                    break;
                }
                _ => break,
            }
        }
        self.state.lock().unwrap().closed += 1;
    }
}

fn read_request(from: &mut BufReader<TcpStream>, answer: &Answer) -> Option<Seen> {
    let mut line = String::new();
    from.read_line(&mut line).ok().filter(|n| *n > 0)?;
    if matches!(answer, Answer::Reset) {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        from.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let len = headers.iter().find(|(n, _)| n == "content-length").map_or("0", |(_, v)| v);
    let mut body = vec![0; len.parse().ok()?];
    from.read_exact(&mut body).ok()?;
    Some(Seen { line: line.trim_end().to_owned(), headers, body })
}
