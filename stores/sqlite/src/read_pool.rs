//! Connections that only read, on threads where blocking is fine. A read is short: a long one
//! would keep the log from being taken into the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use hookward_core::store::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::store_error;
use crate::open::READERS;

/// A few connections, lent one at a time.
#[derive(Debug)]
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        let free = Arc::new(Semaphore::new(connections.len()));
        Self { idle: Arc::new(Mutex::new(connections)), free }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.free.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let conn = lock(&idle).pop().ok_or(StoreError::Closed)?;
            // A panic must not take the connection with it: the next ones would find none.
            let found = catch_unwind(AssertUnwindSafe(|| read(&conn)));
            lock(&idle).push(conn);
            drop(permit);
            match found {
                Ok(found) => found.map_err(|e| store_error(&e)),
                Err(_) => Err(StoreError::Unavailable("reading panicked".to_owned())),
            }
        });
        let broken_off = |_| Err(StoreError::Unavailable("reading was broken off".to_owned()));
        reading.await.unwrap_or_else(broken_off)
    }

    /// Waits for those who read, then lets go of the file.
    pub(crate) async fn close(&self) {
        let all = u32::try_from(READERS).unwrap_or(1);
        if let Ok(_all) = self.free.acquire_many(all).await {
            self.free.close();
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
    async fn a_read_that_panics_keeps_no_connection() {
        let connections = (0..READERS).map(|_| Connection::open_in_memory().unwrap());
        let readers = Readers::new(connections.collect());
        for _ in 0..=READERS {
            let read = readers.read::<()>(|_| panic!("asked for by the test")).await;
            assert_eq!(read, Err(StoreError::Unavailable("reading panicked".to_owned())));
        }
        assert_eq!(readers.read(|_| Ok(7)).await, Ok(7));
        readers.close().await;
    }
}
