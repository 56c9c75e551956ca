//! Connections that only read, used on threads that may block. Reads are short: SQLite cannot move
//! the log into the file past a page that a reader still needs, so a long read makes the log grow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use hookward_core::store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::store_error;
use crate::open::READ_CONNECTIONS;

/// The pool. A read takes one connection and waits if all are in use.
#[derive(Debug)]
pub(crate) struct ReadPool {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl ReadPool {
    /// A pool of these connections, all idle.
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        let free = Arc::new(Semaphore::new(connections.len()));
        Self { idle: Arc::new(Mutex::new(connections)), free }
    }

    /// Runs `read` on a connection and a thread that may block.
    ///
    /// # Errors
    ///
    /// `Closed` after [`close`](Self::close), `Unavailable` if `read` panics or the runtime is
    /// shutting down, else what the error of SQLite means.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.free.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.clone();
        // The permit moves into the thread: if the caller is cancelled, the connection stays in use
        // until the read ends.
        let reading = tokio::task::spawn_blocking(move || {
            let conn = lock(&idle).pop().ok_or(StoreError::Closed)?;
            // A panic must not lose the connection: after three, no read could run.
            let found = catch_unwind(AssertUnwindSafe(|| read(&conn)));
            lock(&idle).push(conn);
            drop(permit);
            match found {
                Ok(found) => found.map_err(|e| store_error(&e)),
                Err(_) => Err(StoreError::Unavailable("a read panicked".to_owned())),
            }
        });
        let cancelled = |_| Err(StoreError::Unavailable("a read was cancelled".to_owned()));
        reading.await.unwrap_or_else(cancelled)
    }

    /// Waits for the reads in flight, then closes the connections.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(READ_CONNECTIONS).unwrap_or(1);
        if let Ok(_all) = self.free.acquire_many(all).await {
            self.free.close();
            // Closes them. SQLite removes the log with the last connection of the file only.
            lock(&self.idle).clear();
        }
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_that_panics_returns_its_connection_to_the_pool() {
        let connections = (0..READ_CONNECTIONS).map(|_| Connection::open_in_memory().unwrap());
        let pool = ReadPool::new(connections.collect());
        for _ in 0..=READ_CONNECTIONS {
            let read = pool.read::<()>(|_| panic!("asked for by the test")).await;
            assert_eq!(read, Err(StoreError::Unavailable("a read panicked".to_owned())));
        }
        assert_eq!(pool.read(|_| Ok(7)).await, Ok(7));
        pool.close().await;
    }
}
