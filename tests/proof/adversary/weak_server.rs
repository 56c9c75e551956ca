//! A server with one weakness, in this process: the canary of an attack. It answers 200 to whatever
//! its weakness does not refuse.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::attacks::Attack;

/// Failed proofs after which an address is blocked.
const MAX_FAILED_PROOFS: usize = 60;
/// Memory for bodies that all senders share.
const SHARED_BODY_BYTES: usize = 64 << 20;
/// Connections that may be open.
const MAX_CONNECTIONS: usize = 1_000;
/// Requests that the rate of a source allows.
const MAX_REQUESTS: usize = 100;
/// How long the evaluation of a costly body takes.
const EVALUATION_TIME: Duration = Duration::from_secs(7);

/// How a server lets one party lock the others out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// Blocks an address that failed too many proofs, before it verifies.
    BlocksAddresses,
    /// Holds memory for an announced body until the body is complete.
    HoldsUnfinishedBodies,
    /// Refuses connections while too many are open, and never closes a silent one.
    KeepsSilentConnections,
    /// Charges the rate for duplicates.
    ChargesDuplicates,
    /// Evaluates bodies where other requests wait for it.
    EvaluatesInline,
}

impl Weakness {
    /// The weakness that an attack needs; `None`: memory without a bound, which
    /// [`super::unbounded_schema`] shows.
    pub(crate) fn for_attack(attack: Attack) -> Option<Self> {
        match attack {
            Attack::Forgeries => Some(Self::BlocksAddresses),
            Attack::HoardedBodies => Some(Self::HoldsUnfinishedBodies),
            Attack::SilentConnections
            | Attack::ManyAddresses
            | Attack::HalfHeads
            | Attack::IdleConnections
            | Attack::TricklingBodies => Some(Self::KeepsSilentConnections),
            Attack::Duplicates => Some(Self::ChargesDuplicates),
            Attack::BatchesWithWhen => Some(Self::EvaluatesInline),
            Attack::RecursiveSchema => None,
        }
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlocksAddresses => "blocks addresses before it verifies",
            Self::HoldsUnfinishedBodies => "holds memory for unfinished bodies",
            Self::KeepsSilentConnections => "never closes silent connections",
            Self::ChargesDuplicates => "charges the rate for duplicates",
            Self::EvaluatesInline => "evaluates bodies while others wait",
        })
    }
}

/// A running server; it stops when this value is dropped.
pub(crate) struct WeakServer {
    pub(crate) addr: String,
    _runtime: tokio::runtime::Runtime,
}

struct State {
    weakness: Weakness,
    failed_proofs: AtomicUsize,
    requests: AtomicUsize,
    body_memory: Semaphore,
    connections: Arc<Semaphore>,
    evaluation: Mutex<()>,
}

impl WeakServer {
    pub(crate) fn start(weakness: Weakness) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let state = Arc::new(State {
            weakness,
            failed_proofs: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            body_memory: Semaphore::new(SHARED_BODY_BYTES),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            evaluation: Mutex::new(()),
        });
        let listener =
            runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|e| e.to_string())?;
        let addr = listener.local_addr().map_err(|e| e.to_string())?.to_string();
        runtime.spawn(serve(listener, state));
        Ok(Self { addr, _runtime: runtime })
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        // A connection beyond the limit is closed without an answer.
        let Ok(permit) = state.connections.clone().try_acquire_owned() else { continue };
        let state = state.clone();
        tokio::spawn(async move {
            let _ = answer(stream, &state).await;
            drop(permit);
        });
    }
}

/// Reads one request and answers it.
async fn answer(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut received = Vec::new();
    let head_end = loop {
        if let Some(at) = received.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(received.get(..head_end).unwrap_or_default()).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let reserved = match state.weakness {
        // As much as is left, so that the last of several large bodies leaves nothing.
        Weakness::HoldsUnfinishedBodies if length > state.body_memory.available_permits() => {
            state.body_memory.available_permits().max(1)
        }
        Weakness::HoldsUnfinishedBodies => length,
        _ => 0,
    };
    let reserved = u32::try_from(reserved).unwrap_or(u32::MAX);
    let status = match state.body_memory.try_acquire_many(reserved) {
        Err(_) => 503,
        Ok(_held) => {
            while received.len() < head_end + length {
                if stream.read_buf(&mut received).await? == 0 {
                    return Ok(());
                }
            }
            judge(&head, length, state)
        }
    };
    let answer = format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    // Also one that is idle after its answer, as a listener does that closes none.
    if state.weakness == Weakness::KeepsSilentConnections {
        while stream.read_buf(&mut received).await? > 0 {}
    }
    stream.shutdown().await
}

/// The status of a complete request.
fn judge(head: &str, length: usize, state: &State) -> u16 {
    let is_forged = head.contains("v1=00000000");
    match state.weakness {
        Weakness::BlocksAddresses => {
            if state.failed_proofs.load(Ordering::Relaxed) >= MAX_FAILED_PROOFS {
                return 429;
            }
            if is_forged {
                state.failed_proofs.fetch_add(1, Ordering::Relaxed);
            }
        }
        Weakness::ChargesDuplicates => {
            if state.requests.fetch_add(1, Ordering::Relaxed) >= MAX_REQUESTS {
                return 429;
            }
        }
        Weakness::EvaluatesInline => {
            let _waiting = state.evaluation.lock();
            if length > 100_000 {
                std::thread::sleep(EVALUATION_TIME);
            }
        }
        Weakness::HoldsUnfinishedBodies | Weakness::KeepsSilentConnections => {}
    }
    if is_forged { 401 } else { 200 }
}
