//! Port `leases`, in a table: whoever asks next is another instance.

use crate::append::CHUNK;
use crate::rows::Columns;
use crate::sql::{Sql, Value, placeholders, values};
use crate::{Store, id_to_column};
use std::collections::BTreeSet;
use tocsin_domain::interval::Timestamp;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::leases::{LeaseToken, Leases};

impl<S: Sql> Leases for Store<S> {
    fn acquire(&self, names: &[String], now: Timestamp, until: Timestamp) -> Result<Option<LeaseToken>, PortError> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        self.transaction(|| {
            self.run("DELETE FROM spin_lease WHERE expires_at <= ?1", &values![now])?;
            for names in names.chunks(CHUNK) {
                let sql = format!("SELECT 1 FROM spin_lease WHERE name IN ({}) LIMIT 1", placeholders(names.len()));
                let names: Vec<Value> = names.iter().map(|name| Value::from(*name)).collect();
                if self.first(&sql, &names)?.is_some() {
                    return Ok(None);
                }
            }
            // Never given out twice, so that whoever lost a lease cannot release another's.
            let counter = self.first(
                "INSERT INTO spin_counter(name, value) VALUES ('lease', 1)
                 ON CONFLICT(name) DO UPDATE SET value = value + 1 RETURNING value",
                &[],
            )?;
            let token: u64 = Columns::of(&counter.unwrap_or_default()).number()?;
            for name in &names {
                self.run(
                    "INSERT INTO spin_lease(name, token, expires_at) VALUES (?1, ?2, ?3)",
                    &values![*name, id_to_column(token), until],
                )?;
            }
            Ok(Some(LeaseToken(token)))
        })
    }

    fn release(&self, token: LeaseToken) -> Result<(), PortError> {
        self.run("DELETE FROM spin_lease WHERE token = ?1", &values![id_to_column(token.0)])?;
        Ok(())
    }
}
