//! Names from the configuration as small numbers.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Result};

use crate::error::unreadable;

/// The table `names`, by heart.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Arc<str>, i64>,
    names: HashMap<i64, Arc<str>>,
    /// Not committed yet.
    new: Vec<Arc<str>>,
}

impl Names {
    pub(crate) fn read(conn: &Connection) -> Result<Self> {
        let mut names = Self::default();
        let mut rows =
            conn.prepare("select id, name, coalesce(sum = checksum(id, name), 1) from names")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            if !row.get::<_, bool>(2)? {
                return Err(unreadable("a name of a source or route"));
            }
            names.learn(row.get(0)?, row.get(1)?);
        }
        Ok(names)
    }

    /// The number of a name, given to it where it had none.
    pub(crate) fn number(&mut self, conn: &Connection, name: &Arc<str>) -> Result<i64> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let mut add = conn.prepare_cached(
            "insert into names (id, name, sum) select n, ?1, checksum(n, ?1)
             from (select coalesce(max(id), 0) + 1 as n from names) returning id",
        )?;
        let number = add.query_row([&**name], |row| row.get(0))?;
        self.learn(number, name.clone());
        self.new.push(name.clone());
        Ok(number)
    }

    pub(crate) fn name(&self, number: i64) -> Arc<str> {
        self.names.get(&number).cloned().unwrap_or_else(|| number.to_string().into())
    }

    pub(crate) fn committed(&mut self) {
        self.new.clear();
    }

    pub(crate) fn rolled_back(&mut self) {
        for name in std::mem::take(&mut self.new) {
            if let Some(number) = self.numbers.remove(&name) {
                self.names.remove(&number);
            }
        }
    }

    fn learn(&mut self, number: i64, name: Arc<str>) {
        self.numbers.insert(name.clone(), number);
        self.names.insert(number, name);
    }
}
