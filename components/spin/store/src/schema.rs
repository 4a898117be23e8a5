//! Brings the file to the newest schema and refuses what it does not know.

use crate::Store;
use crate::rows::Columns;
use crate::sql::Sql;
use tocsin_domain::ports::PortError;

/// The host's migrations, in order; the schema number of a file is how many it has had.
const MIGRATIONS: [&str; 5] = [
    include_str!("../../../../host/src/storage/sqlite/migrations/0001_first.sql"),
    include_str!("../../../../host/src/storage/sqlite/migrations/0002_revision_keys.sql"),
    include_str!("../../../../host/src/storage/sqlite/migrations/0003_key_sets.sql"),
    include_str!("../../../../host/src/storage/sqlite/migrations/0004_statistics.sql"),
    include_str!("../../../../host/src/storage/sqlite/migrations/0005_commits.sql"),
];

/// What a file has in Spin only. May run again.
const SPIN: &str = include_str!("spin.sql");

/// "TCSN" as a number, in the header of the file, as the host writes it.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"TCSN");

/// What a file says of itself.
struct Found {
    application: i64,
    schema: usize,
    tables: i64,
    is_for_spin: bool,
}

impl<S: Sql> Store<S> {
    /// Makes or migrates the file if it needs it. A file that is ready costs two statements.
    pub(crate) fn prepare_file(&self) -> Result<(), PortError> {
        // What is deleted is overwritten, as in the host's store: keys are health data. For this connection only.
        self.run("PRAGMA secure_delete = ON", &[])?;
        if self.found()?.is_ready()? {
            return Ok(());
        }
        // Readers and a writer do not wait for each other then. A database that cannot is slower, and as good.
        drop(self.run("PRAGMA journal_mode = WAL", &[]));
        self.transaction(|| {
            // Another instance may have been faster.
            let found = self.found()?;
            if found.is_ready()? {
                return Ok(());
            }
            for script in MIGRATIONS.into_iter().skip(found.schema).chain([SPIN]) {
                for statement in statements(script) {
                    self.run(&statement, &[])?;
                }
            }
            self.run(&format!("PRAGMA application_id = {APPLICATION_ID}"), &[])?;
            self.run(&format!("PRAGMA user_version = {}", MIGRATIONS.len()), &[])?;
            Ok(())
        })
    }

    fn found(&self) -> Result<Found, PortError> {
        let row = self.first(
            "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                (SELECT count(*) FROM sqlite_schema),
                (SELECT count(*) FROM sqlite_schema WHERE name = 'spin_exposure_key')",
            &[],
        )?;
        let row = row.unwrap_or_default();
        let mut columns = Columns::of(&row);
        Ok(Found {
            application: columns.integer()?,
            schema: columns.number()?,
            tables: columns.integer()?,
            is_for_spin: columns.flag()?,
        })
    }
}

impl Found {
    /// Whether nothing is to be done; an error when nothing may be done.
    fn is_ready(&self) -> Result<bool, PortError> {
        let Self { application, schema, tables, is_for_spin } = *self;
        let is_empty = application == 0 && schema == 0 && tables == 0;
        if !is_empty && application != i64::from(APPLICATION_ID) {
            return Err(PortError::Internal(
                "the SQLite database belongs to another application; give this one a database of its own".to_owned(),
            ));
        }
        if schema > MIGRATIONS.len() {
            let known = MIGRATIONS.len();
            return Err(PortError::Internal(format!(
                "the database has schema {schema}, and this version knows {known}: deploy a newer version"
            )));
        }
        Ok(schema == MIGRATIONS.len() && is_for_spin)
    }
}

/// The statements of a script, without its comments: a connection of Spin runs one at a time.
fn statements(script: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut is_quoted = false;
    for line in script.lines() {
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '-' if !is_quoted && characters.peek() == Some(&'-') => break,
                ';' if !is_quoted => statements.push(std::mem::take(&mut statement)),
                other => {
                    is_quoted ^= other == '\'';
                    statement.push(other);
                }
            }
        }
        statement.push('\n');
    }
    statements.push(statement);
    statements.retain(|statement| !statement.trim().is_empty());
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn statements_end_at_semicolons_outside_of_comments_and_quotes() {
        let script = "-- First; a comment.\nCREATE a; -- and; one\nCREATE 'b;--'';'\n(c);\n\n-- end\n";
        let found: Vec<_> =
            statements(script).iter().map(|one| one.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(found, ["CREATE a", "CREATE 'b;--'';' (c)"]);
    }

    #[test]
    fn every_migration_of_the_host_is_known_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../host/src/storage/sqlite/migrations");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
        files.sort();
        let contents: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
        assert_eq!(contents, MIGRATIONS);
    }
}
