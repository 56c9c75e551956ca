//! Names of sources and routes as small numbers: the table `names`, in memory. Rows of events and
//! jobs hold the numbers.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Result};

use crate::error::unreadable;

/// The table `names` in both directions.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    numbers: HashMap<Arc<str>, i64>,
    names: HashMap<i64, Arc<str>>,
}

impl Interner {
    /// Reads the table, and fails if a row is corrupt: events would appear under another source.
    pub(crate) fn read(conn: &Connection) -> Result<Self> {
        let mut interner = Self::default();
        let mut rows =
            conn.prepare("select id, name, coalesce(sum = checksum(id, name), 1) from names")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            if !row.get::<_, bool>(2)? {
                return Err(unreadable("a name of a source or route"));
            }
            interner.insert(row.get(1)?, row.get(0)?);
        }
        Ok(interner)
    }

    /// The number of a name that is in the table.
    pub(crate) fn number_of(&self, name: &str) -> Option<i64> {
        self.numbers.get(name).copied()
    }

    /// Writes a new name to the table, and inserts it here. The caller removes it if the
    /// transaction fails.
    pub(crate) fn add(&mut self, conn: &Connection, name: &Arc<str>) -> Result<i64> {
        let mut add = conn.prepare_cached(
            "insert into names (id, name, sum) select n, ?1, checksum(n, ?1)
             from (select coalesce(max(id), 0) + 1 as n from names) returning id",
        )?;
        // The number comes from the table and not from a counter in memory, so a rollback frees it.
        let number = add.query_row([&**name], |row| row.get(0))?;
        self.insert(name.clone(), number);
        Ok(number)
    }

    /// Undoes [`add`](Self::add) after a rollback.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(number) = self.numbers.remove(name) {
            self.names.remove(&number);
        }
    }

    /// The name of a number; the number itself as text where the table has no such row.
    pub(crate) fn name_of(&self, number: i64) -> Arc<str> {
        // Only after damage. A listing with a number instead of a name is better than none.
        self.names.get(&number).cloned().unwrap_or_else(|| number.to_string().into())
    }

    fn insert(&mut self, name: Arc<str>, number: i64) {
        self.numbers.insert(name.clone(), number);
        self.names.insert(number, name);
    }
}

#[cfg(test)]
impl Interner {
    pub(crate) fn snapshot(&self) -> Vec<String> {
        assert_eq!(self.numbers.len(), self.names.len());
        self.numbers.iter().map(|name| format!("name {name:?}")).collect()
    }
}
