//! Having nothing left in a store's files of what was deleted.

use crate::{Statement, Storage, StoreError};

/// How often it is tried while others read.
const TRIES: u64 = 20;

/// Has SQLite write its log, in which what was deleted is still to be read, into the store, and cut it off. To be called after a
/// person was deleted.
///
/// In the store itself nothing is left, since connections have `secure_delete`. Where somebody reads for so long that it cannot
/// be done, or it fails, that is logged: the log is overwritten as more is written. PostgreSQL keeps what it keeps until its own
/// `VACUUM`.
pub async fn wipe(storage: &impl Storage) {
    for attempt in 1..=TRIES {
        match truncate(storage).await {
            Ok(true) => return,
            Ok(false) => storage.pause(attempt).await,
            Err(error) => {
                eprintln!("store: emptying the write-ahead log: {error}");
                return;
            }
        }
    }
    eprintln!("store: the write-ahead log could not be emptied, since others read");
}

/// Forgets what has been kept for long enough: where `due` finds a row, `forget` is run, and what was there is overwritten. To be
/// called on every tick.
///
/// Almost always nothing is due, and then it is one look: a statement that writes waits for its turn, whatever it changes.
pub async fn forget_due(
    storage: &impl Storage,
    due: &Statement,
    forget: &Statement,
) -> Result<(), StoreError> {
    if due.row(storage).await?.is_none() {
        return Ok(());
    }
    forget.run(storage).await?;
    wipe(storage).await;
    Ok(())
}

/// Says whether it was done.
async fn truncate(storage: &impl Storage) -> Result<bool, StoreError> {
    let row = Statement::new("/*sqlite PRAGMA wal_checkpoint(TRUNCATE)*/").row(storage).await?;
    row.map_or(Ok(true), |row| Ok(row.int("busy")? == 0))
}
