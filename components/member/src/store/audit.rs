//! The audit trail: who did what when.
//!
//! An entry is committed with what it is about, by whoever commits that. It gets its position and its hash afterwards
//! ([`seal`]), so that nobody who signs in waits for anybody else who does. A hash is SHA-256 over the hash before it, a
//! newline, and the entry as a JSON array; so none can be changed, removed or put in between without every later one.
//! Why it is so: `docs/adr/019`.

use data_encoding::HEXLOWER;
use kernel::event::Event;
use kernel::{Actor, Timestamp};
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{Filter, Page, Row, Statement, Storage, StoreError};

/// How many entries are sealed at once.
const BATCH: usize = 200;

/// Something that somebody did, to be kept.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act {
    pub(crate) time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    pub(crate) action: &'static str,
    pub(crate) object: String,
    /// What it is known by: however often it is told, it is kept once. None for what is told once only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<String>,
}

impl Act {
    /// Something that is in no event, by this actor.
    pub(crate) fn new(action: &'static str, object: String, actor: Option<&Actor>, now: Timestamp) -> Self {
        Self {
            time: now.to_string(),
            actor: actor.map(Actor::who),
            role: actor.and_then(Actor::role).map(kernel::Role::as_str),
            action,
            object,
            event: None,
        }
    }

    /// What an event of a context tells of its actor.
    pub(crate) fn of(
        event: &Event,
        context: &str,
        version: u64,
        actor: Option<&Actor>,
        at: Timestamp,
    ) -> Self {
        let subject = event.subject();
        let known_by = format!("{context}/{subject}:{version}");
        let object = if event.applicant().is_some() { format!("order/{subject}") } else { subject };
        Self { event: Some(known_by), ..Self::new(event.name(), object, actor, at) }
    }
}

/// An entry that has its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) time: String,
    pub(crate) actor: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) action: String,
    pub(crate) object: String,
    pub(crate) event: Option<String>,
    pub(crate) hash: String,
}

const ENTRY: &str = "SELECT position, time, actor, role, action, object, event, hash FROM audit";

impl Entry {
    fn read(row: &Row, position: u64, hash: String) -> Result<Self, StoreError> {
        Ok(Self {
            position,
            time: row.text("time")?.to_owned(),
            actor: row.opt_string("actor")?,
            role: row.opt_string("role")?,
            action: row.text("action")?.to_owned(),
            object: row.text("object")?.to_owned(),
            event: row.opt_string("event")?,
            hash,
        })
    }

    fn hash_behind(&self, previous: &str) -> String {
        let Self { position, time, actor, role, action, object, event, .. } = self;
        // Writing plain values to memory cannot fail.
        let text = serde_json::to_string(&(position, time, actor, role, action, object, event));
        let text = format!("{previous}\n{}", text.unwrap_or_default());
        HEXLOWER.encode(&Sha256::digest(text))
    }
}

/// Keeps what was done; what is kept already stays as it is. What some of it ends (a session, an invitation, a machine) is
/// ended with it.
pub(crate) async fn keep_acts(storage: &impl Storage, acts: &[Act]) -> Result<(), StoreError> {
    let keep = "INSERT INTO acts (time, actor, role, action, object, event)
        SELECT value ->> 'time', value ->> 'actor', value ->> 'role', value ->> 'action', value ->> 'object', value ->> 'event'
        FROM json_each($1)";
    Statement::new(keep).bind_list(acts).run(storage).await
}

/// Keeps an act about each of some rows, in one statement with what it ends; says how many there were. `rows` is the end of a
/// `SELECT`: what is the object and what it is known by, from where, under which conditions, whose numbers begin with `$5`.
pub(super) async fn act_on(
    storage: &impl Storage,
    act: &Act,
    rows: &str,
    with: impl FnOnce(Statement) -> Statement,
) -> Result<usize, StoreError> {
    let keep = format!(
        "INSERT INTO acts (time, actor, role, action, object, event) SELECT $1, $2, $3, $4, {rows} RETURNING object"
    );
    let keep = Statement::new(keep).bind(&*act.time).bind(act.actor.clone()).bind(act.role).bind(act.action);
    Ok(with(keep).rows(storage).await?.len())
}

/// Gives entries their places and hashes, in the order in which they came. Of several who do so at once each place is given
/// by one; what the others had in mind is done by them the next time.
pub async fn seal(storage: &impl Storage) -> Result<(), StoreError> {
    loop {
        let sealed = unsealed(storage).await?;
        if sealed.is_empty() {
            return Ok(());
        }
        match give_places(storage, &sealed).await {
            // Somebody else is doing it.
            Err(error) if error.is_conflict() => return Ok(()),
            done => done?,
        }
        if sealed.len() < BATCH {
            return Ok(());
        }
    }
}

/// The next entries that have no place yet, with the one that each is to have.
async fn unsealed(storage: &impl Storage) -> Result<Vec<Sealed>, StoreError> {
    let next = "SELECT a.entry, a.time, a.actor, a.role, a.action, a.object, a.event, l.position AS last, l.hash AS last_hash
        FROM (SELECT entry, time, actor, role, action, object, event FROM audit WHERE position IS NULL
            ORDER BY entry LIMIT 200) AS a
        LEFT JOIN (SELECT position, hash FROM audit WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1) AS l ON 1 = 1
        ORDER BY a.entry";
    let rows = Statement::new(next).rows(storage).await?;
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let mut position = first.opt_count("last")?.unwrap_or(0);
    let mut previous = first.opt_string("last_hash")?.unwrap_or_default();
    let mut sealed = Vec::with_capacity(rows.len());
    for row in &rows {
        position += 1;
        let hash = Entry::read(row, position, String::new())?.hash_behind(&previous);
        let entry = row.count("entry")?;
        sealed.push(Sealed { entry, position, hash: hash.clone(), previous });
        previous = hash;
    }
    Ok(sealed)
}

async fn give_places(storage: &impl Storage, sealed: &[Sealed]) -> Result<(), StoreError> {
    let seal = "INSERT INTO sealing (entry, position, hash, previous)
        SELECT CAST(value ->> 'entry' AS BIGINT), CAST(value ->> 'position' AS BIGINT), value ->> 'hash', value ->> 'previous'
        FROM json_each($1)";
    Statement::new(seal).bind_list(sealed).run(storage).await
}

/// An entry with its place: a row of the view `sealing`.
#[derive(Serialize)]
struct Sealed {
    entry: u64,
    position: u64,
    hash: String,
    previous: String,
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    /// `member:12`, `machine:<id>`.
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    /// Not what was done before.
    pub(crate) from: Option<Timestamp>,
    /// Not what was done then or later.
    pub(crate) until: Option<Timestamp>,
}

impl AuditFilter {
    fn conditions(&self) -> Filter {
        Filter::default()
            // Those that have their place.
            .at_least("position", Some(1_u64))
            .equal("actor", self.actor.as_deref())
            .equal("action", self.action.as_deref())
            .at_least("time", self.from.map(|at| at.to_string()))
            .below("time", self.until.map(|at| at.to_string()))
    }
}

/// A page of the entries that `filter` lets through, in the order of their places.
pub(crate) async fn audit(
    storage: &impl Storage,
    filter: &AuditFilter,
    page: &Page,
) -> Result<Vec<Entry>, StoreError> {
    let rows = filter.conditions().page(ENTRY, "position", page).rows(storage).await?;
    rows.iter().map(|row| Entry::read(row, row.count("position")?, row.text("hash")?.to_owned())).collect()
}

/// How many entries `filter` lets through.
pub(crate) async fn audit_total(storage: &impl Storage, filter: &AuditFilter) -> Result<u64, StoreError> {
    let count = filter.conditions().all("SELECT count(*) AS total FROM audit").row(storage).await?;
    count.map_or(Ok(0), |row| row.count("total"))
}

#[cfg(test)]
mod tests;
