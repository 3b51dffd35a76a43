//! Bringing a store on SQLite to the schema of this code. (For PostgreSQL: [`crate::postgres::migrate`].)
//!
//! All of it happens in one transaction, begun with the store's write lock: of two processes that open an old store at
//! once one waits and then finds it done, and what a crash cuts off has not happened.

use crate::dialect::Dialect;
use crate::schema::{Schema, VERSIONS, drop_program};
use crate::{Row, StoreError};

/// A connection that keeps a transaction open between two statements.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub(crate) trait Session {
    async fn run(&self, sql: &str) -> Result<Vec<Row>, StoreError>;
}

/// Brings the store behind `session` to `schema`, unless it is there already; refuses a store of a later version that
/// this code may not use.
pub(crate) async fn migrate(session: &impl Session, schema: &Schema) -> Result<(), StoreError> {
    let found = version(session).await?;
    if found == schema.version {
        return Ok(());
    }
    if found > schema.version {
        return check_newer(session, found, schema).await;
    }
    // Readers never wait for the writer. What was answered is on disk: `synchronous=FULL` is SQLite's default.
    session.run("PRAGMA journal_mode=WAL").await?;
    session.run("BEGIN IMMEDIATE").await?;
    let migrated = go_up(session, schema).await;
    let ended = session.run(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    migrated.and(ended.map(drop))
}

async fn go_up(session: &impl Session, schema: &Schema) -> Result<(), StoreError> {
    // Another process may have been first.
    let found = version(session).await?;
    if found >= schema.version {
        return Ok(());
    }
    drop_programs(session).await?;
    if found == 0 {
        run_all(session, schema.tables).await?;
    }
    for step in schema.steps.iter().filter(|step| found > 0 && step.to > found) {
        run_all(session, step.statements).await?;
    }
    run_all(session, schema.programs).await?;
    let (version, oldest_code) = (schema.version, schema.oldest_code);
    session.run(VERSIONS).await?;
    session
        .run(&format!("INSERT INTO versions (version, oldest_code) VALUES ({version}, {oldest_code})"))
        .await?;
    session.run(&format!("PRAGMA user_version={version}")).await?;
    Ok(())
}

async fn run_all(session: &impl Session, statements: &[&'static str]) -> Result<(), StoreError> {
    for statement in statements {
        session.run(&Dialect::Sqlite.read(&faults::loosened(statement))).await?;
    }
    Ok(())
}

/// Whatever views and triggers there are, those that this version no longer has included.
async fn drop_programs(session: &impl Session) -> Result<(), StoreError> {
    let programs = "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger') ORDER BY type";
    for row in session.run(programs).await? {
        if let Some(drop) = drop_program(row.text("sql")?) {
            session.run(&drop).await?;
        }
    }
    Ok(())
}

async fn version(session: &impl Session) -> Result<u32, StoreError> {
    let rows = session.run("PRAGMA user_version").await?;
    rows.first().map_or(Ok(0), |row| row.number("user_version", u32::try_from))
}

pub(crate) async fn check_newer(
    session: &impl Session,
    found: u32,
    schema: &Schema,
) -> Result<(), StoreError> {
    let newest = "SELECT oldest_code FROM versions ORDER BY version DESC LIMIT 1";
    let rows = session.run(newest).await?;
    let oldest_code = rows.first().map_or(Ok(found), |row| row.number("oldest_code", u32::try_from))?;
    if oldest_code <= schema.version {
        return Ok(());
    }
    Err(StoreError::newer(found, schema.version))
}
