//! Whether the pages of each store are sound: every other rule takes what it reads for what was written.

use rusqlite::{Connection, ErrorCode};

use anyhow::Result;

use crate::check::Violation;
use crate::stores::{LABELS, Stores, in_words};

/// The stores that are damaged, each with what SQLite says of it.
pub(crate) fn damaged(stores: &Stores) -> Result<Vec<Violation>> {
    std::thread::scope(|scope| {
        let looking = LABELS.map(|label| scope.spawn(move || look(stores, label)));
        let found = looking.into_iter().map(|looking| {
            looking
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("looking through a store ended in the middle")))
        });
        found.filter_map(Result::transpose).collect()
    })
}

fn look(stores: &Stores, label: &'static str) -> Result<Option<Violation>> {
    // The pages of a PostgreSQL are its server's to look after.
    let Some(file) = stores.path(label) else { return Ok(None) };
    let problem = match stores.open_file(label) {
        Ok(store) => problem(&store).map_err(|error| in_words(error, label, file))?,
        // What says which tables there are may be what is damaged.
        Err(error) => match error.downcast_ref::<rusqlite::Error>() {
            Some(damage) if is_damage(damage) => Some(damage.to_string()),
            _ => return Err(error),
        },
    };
    Ok(problem.map(|problem| Violation {
        invariant: "store-is-sound",
        subject: format!("store {label}"),
        message: format!(
            "its file is damaged, so nothing in it can be relied on, and no other rule was looked at: {problem}. Restore a backup, \
             and look at the disk"
        ),
    }))
}

/// What is wrong with the pages of a store; none where they are as SQLite wrote them.
pub(crate) fn problem(store: &Connection) -> rusqlite::Result<Option<String>> {
    let said = store.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match said {
        Ok(said) if said == "ok" => Ok(None),
        Ok(said) => Ok(Some(said.lines().collect::<Vec<_>>().join(" "))),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{damage, stores_in};

    #[test]
    fn a_page_of_zeros_is_told_by_the_store_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        assert_eq!(damaged(&stores).unwrap(), []);
        damage(&stores, "pay", 0);
        let told = damaged(&stores).unwrap();
        assert_eq!(told.iter().map(|told| &*told.subject).collect::<Vec<_>>(), ["store pay"]);
        assert!(told[0].message.contains("damaged") && told[0].message.contains("backup"), "{told:?}");
    }
}
