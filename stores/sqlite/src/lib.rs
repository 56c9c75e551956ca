//! `sqlite:PATH`: stores events durably in one SQLite file, for one process. SQLite is compiled in,
//! so there is nothing to install and no server to run.
//!
//! One thread writes. It takes all commands that wait into one transaction, so that many deliveries
//! share one fsync. The README has the guarantees and the measurements.
//!
//! | module | subject |
//! | --- | --- |
//! | `store` | the [`SqliteStore`] that the engine calls; sends each call as a `command` |
//! | `writer` | the thread: groups commands, commits, answers |
//! | `accept`, `claim`, `settle`, `purge`, `replay`, `retention` | one operation each, over a `transaction` |
//! | `memory` | what the writer keeps in memory, and the `Batch` that changes it |
//! | `queue`, `leases`, `interner`, `write_behind_index`, `refill` | the parts of the memory |
//! | `open`, `lock`, `wal_check`, `migrate`, `recover` | opening a file |
//! | `high_water_mark`, `continuity`, `file_identity` | whether the files are those that were there |
//! | `backup`, `file_report`, `permissions` | what operators do with the files |
//! | `browse`, `read_pool`, `rows`, `reply_codec` | reading |
//! | `checksum`, `disk_space`, `error`, `probe`, `telemetry` | what all of them need |
#![warn(missing_docs)]

mod accept;
mod backup;
mod browse;
mod checksum;
mod claim;
mod command;
mod continuity;
mod disk_space;
mod error;
mod file_identity;
mod file_report;
mod high_water_mark;
mod interner;
mod leases;
mod lock;
mod memory;
mod migrate;
mod open;
mod permissions;
mod private_file;
mod probe;
mod purge;
mod queue;
mod read_pool;
mod recover;
mod refill;
mod replay;
mod reply_codec;
mod retention;
mod rows;
mod settle;
mod store;
mod telemetry;
mod transaction;
mod wal_check;
mod write_behind_index;
mod writer;

use std::sync::Arc;

use hookward_core::plugin::{BuildError, StoreConfig};
use hookward_core::store::{OpenCx, OpenFuture};
use hookward_core::{Store, register_store};

pub use backup::backup;
pub use file_report::{FileReport, verify_file};
pub use permissions::{find_open_permissions, warn_of_open_permissions};
pub use store::SqliteStore;

/// The plugin that opens `sqlite:PATH` of routes.yaml.
#[derive(Debug)]
pub struct Sqlite;

impl StoreConfig for Sqlite {
    const NAME: &'static str = "sqlite";
    const SUMMARY: &'static str = "Keeps events durably in one SQLite file, for one process";
    const URL: &'static str = "sqlite:PATH";

    fn check(rest: &str) -> Result<(), BuildError> {
        let invalid = |message: String| {
            let help = "write `sqlite:` and the path of a file, such as `sqlite:hookward.db`; a \
                        relative path starts at the folder of routes.yaml";
            Err(BuildError::at("", message).help(help))
        };
        match rest {
            "" => invalid("`sqlite:` has no path".to_owned()),
            ":memory:" => {
                Err(BuildError::at("", "`sqlite::memory:` would lose all events at the end")
                    .help("write `store: memory:` to try things out without a file"))
            }
            _ if rest.starts_with("//") => invalid(format!("`sqlite:{rest}` is not a path")),
            _ if rest.contains('?') => {
                invalid(format!("`sqlite:{rest}` has options, which this store does not support"))
            }
            _ => Ok(()),
        }
    }

    fn open(rest: String, cx: OpenCx) -> OpenFuture {
        Box::pin(async move {
            let store = SqliteStore::open(cx.base_dir.join(rest), cx.now, cx.policy).await?;
            Ok(Arc::new(store) as Arc<dyn Store>)
        })
    }
}

register_store!(Sqlite);
