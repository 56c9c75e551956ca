//! The baseline: the least that verifies a delivery and stores it before it answers. An axum
//! handler checks the signature; one thread writes body, id and one job to SQLite, with the
//! settings of Hookward's store and one commit for all deliveries that wait. No routes.yaml,
//! limits, metrics or log.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, params};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::BenchResult;
use crate::events::{PATH, SECRET};

/// The most deliveries in one commit. The program allows as many connections, so one commit always
/// covers every delivery that waits.
const MAX_GROUP_DELIVERIES: usize = 512;

/// Serves until SIGTERM and stores deliveries in `database`. Prints its address to standard output,
/// in the form of `hookward serve`.
pub(crate) fn run(database: &Path) -> BenchResult<()> {
    let conn = open(database)?;
    let (writer, deliveries) = channel();
    let writer_thread = std::thread::spawn(move || write_groups(conn, &deliveries));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut terminated = signal(SignalKind::terminate())?;
        let address = listener.local_addr()?;
        let app = router(writer)?;
        println!("listening on http://{address}");
        let shutdown = async move {
            terminated.recv().await;
        };
        axum::serve(listener, app).with_graceful_shutdown(shutdown).await?;
        BenchResult::Ok(())
    })?;
    match writer_thread.join() {
        Ok(result) => Ok(result?),
        Err(_) => Err("the writer thread panicked".into()),
    }
}

/// What the handler passes to the writer thread.
struct Delivery {
    id: String,
    body: Bytes,
    /// Receives the job's id after the commit.
    committed: oneshot::Sender<i64>,
}

struct BareState {
    key: Hmac<Sha256>,
    writer: Sender<Delivery>,
}

fn router(writer: Sender<Delivery>) -> BenchResult<Router> {
    let key = Hmac::new_from_slice(SECRET.as_bytes())?;
    Ok(Router::new().route(PATH, post(receive)).with_state(Arc::new(BareState { key, writer })))
}

async fn receive(State(state): State<Arc<BareState>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_genuine(&state.key, &headers, &body) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(id) = headers.get("x-github-delivery").and_then(|id| id.to_str().ok()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (committed, commit) = oneshot::channel();
    if state.writer.send(Delivery { id: id.to_owned(), body, committed }).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    // The sending side is dropped without a value if the commit failed, so a 200 means a commit.
    let Ok(job) = commit.await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let answer = format!(r#"{{"received":true,"eventId":"{id}","jobId":"{job}"}}"#);
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

fn is_genuine(key: &Hmac<Sha256>, headers: &HeaderMap, body: &[u8]) -> bool {
    let claimed = headers
        .get("x-hub-signature-256")
        .and_then(|value| value.as_bytes().strip_prefix(b"sha256="))
        .and_then(|hex| HEXLOWER_PERMISSIVE.decode(hex).ok());
    let Some(claimed) = claimed else { return false };
    let mut mac = key.clone();
    mac.update(body);
    mac.finalize().into_bytes().ct_eq(&claimed[..]).into()
}

/// Opens a database with the settings of `stores/sqlite`. They must stay equal, or the comparison
/// means nothing.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(database)?;
    conn.execute_batch(
        "pragma journal_mode = wal;
         pragma synchronous = full;
         pragma fullfsync = on;
         pragma checkpoint_fullfsync = on;
         pragma wal_autocheckpoint = 1000;
         pragma cache_size = -32768;
         pragma temp_store = memory;
         create table events (
             seq         integer primary key,
             delivery_id text not null unique,
             body        blob not null
         ) strict;
         create table jobs (
             event integer primary key,
             state integer not null default 0
         ) strict;
         create index jobs_open on jobs (event) where state = 0;",
    )?;
    Ok(conn)
}

/// Writes until every handler is gone, one commit per group. The senders of a failed group get 503.
fn write_groups(conn: Connection, deliveries: &Receiver<Delivery>) -> rusqlite::Result<()> {
    let mut group = Vec::with_capacity(MAX_GROUP_DELIVERIES);
    while let Ok(first) = deliveries.recv() {
        group.push(first);
        group.extend(deliveries.try_iter().take(MAX_GROUP_DELIVERIES - 1));
        conn.prepare_cached("begin")?.execute([])?;
        match insert(&conn, &group) {
            Ok(jobs) => {
                conn.prepare_cached("commit")?.execute([])?;
                for (delivery, job) in group.drain(..).zip(jobs) {
                    // Fails if the sender has hung up, which needs no answer.
                    let _ = delivery.committed.send(job);
                }
            }
            Err(error) => {
                eprintln!("group not stored: {error}");
                conn.prepare_cached("rollback")?.execute([])?;
                group.clear();
            }
        }
    }
    Ok(())
}

fn insert(conn: &Connection, group: &[Delivery]) -> rusqlite::Result<Vec<i64>> {
    let mut event =
        conn.prepare_cached("insert into events (delivery_id, body) values (?1, ?2)")?;
    let mut job = conn.prepare_cached("insert into jobs (event) values (?1)")?;
    let insert_one = |delivery: &Delivery| {
        event.execute(params![delivery.id, &delivery.body[..]])?;
        let seq = conn.last_insert_rowid();
        job.execute([seq])?;
        Ok(seq)
    };
    group.iter().map(insert_one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::Events;
    use crate::load::Client;

    #[tokio::test]
    async fn a_delivery_that_got_200_is_stored_with_its_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bare.db");
        let conn = open(&path).unwrap();
        let (writer, deliveries) = channel();
        std::thread::spawn(move || write_groups(conn, &deliveries));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router(writer).unwrap()).into_future());

        let events = Arc::new(Events::sign(50).unwrap());
        let mut client = Client::connect(address, 4, events).await.unwrap();
        let load = client.drive(Duration::from_secs(20)).await.unwrap();
        assert_eq!((load.acknowledged(), load.rejected, load.failed), (50, 0, 0));

        let reader = Connection::open(&path).unwrap();
        let count = |sql| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("select count(distinct delivery_id) from events"), 50);
        assert_eq!(count("select count(*) from jobs join events on seq = event"), 50);
    }

    #[test]
    fn a_changed_body_fails_the_signature() {
        let key = Hmac::new_from_slice(SECRET.as_bytes()).unwrap();
        let mut mac = key.clone();
        mac.update(b"{}");
        let tag = HEXLOWER_PERMISSIVE.encode(&mac.finalize().into_bytes());
        let mut headers = HeaderMap::new();
        assert!(!is_genuine(&key, &headers, b"{}"));
        headers.insert("x-hub-signature-256", format!("sha256={tag}").parse().unwrap());
        assert!(is_genuine(&key, &headers, b"{}"));
        assert!(!is_genuine(&key, &headers, b"{} "));
    }
}
