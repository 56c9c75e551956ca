//! `sqlite:PATH`: keeps events in one SQLite file, durably. Nothing to install and nothing to run
//! beside it; what it does not do is serve several processes.
//!
//! All writing goes through one thread, which takes everything that waits into one transaction, so
//! that many deliveries share one fsync. See the README for what that buys and costs.
#![warn(missing_docs)]

mod accept;
mod browse;
mod checksum;
mod disk_space;
mod error;
mod interner;
mod leases;
mod lock;
mod migrate;
mod open;
mod probe;
mod purge;
mod queue;
mod read_pool;
mod recover;
mod replay;
mod reply_codec;
mod rows;
mod store;
mod telemetry;
mod wal_check;
mod work;
mod write_behind_index;
mod writer;

use std::sync::Arc;

use hookward_core::plugin::{BuildError, OpenCx, OpenFuture, StoreConfig};
use hookward_core::{Store, register_store};

pub use store::SqliteStore;

/// `sqlite:PATH` in routes.yaml.
#[derive(Debug)]
pub struct Sqlite;

impl StoreConfig for Sqlite {
    const NAME: &'static str = "sqlite";
    const SUMMARY: &'static str = "Keeps events durably in one SQLite file, for one process";
    const URL: &'static str = "sqlite:PATH";

    fn check(rest: &str) -> Result<(), BuildError> {
        let wrong = |message: String| {
            let help = "write `sqlite:` and the path of a file, such as `sqlite:hookward.db`; a \
                        relative path starts at the folder of routes.yaml";
            Err(BuildError::at("", message).help(help))
        };
        match rest {
            "" => wrong("`sqlite:` names no file".to_owned()),
            ":memory:" => Err(BuildError::at("", "`sqlite::memory:` would keep nothing")
                .help("write `store: memory:` to try things out without a file")),
            _ if rest.starts_with("//") => wrong(format!("`sqlite:{rest}` is not a path")),
            _ if rest.contains('?') => wrong(format!("`sqlite:{rest}` has options, it takes none")),
            _ => Ok(()),
        }
    }

    fn open(rest: String, cx: OpenCx) -> OpenFuture {
        Box::pin(async move {
            let store = SqliteStore::open(cx.base_dir.join(rest), cx.now).await?;
            Ok(Arc::new(store) as Arc<dyn Store>)
        })
    }
}

register_store!(Sqlite);
