//! What an `Idempotency-Key` stands for: one course, with one content.

use kernel::EduNo;
use serde::{Serialize, Serializer};
use store::{Row, Statement, Storage, StoreError};

/// An idempotency key that was used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) edu_no: EduNo,
    /// Whether it came with what opened the course, or with what found it open.
    pub(crate) opened: bool,
    pub(crate) fingerprint: String,
}

/// A key that is kept together with its course.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewKey<'a> {
    pub(crate) key: &'a str,
    /// Whether it comes with what opens the course.
    #[serde(serialize_with = "as_number")]
    pub(crate) opened: bool,
    pub(crate) fingerprint: &'a str,
    /// When, in milliseconds.
    pub(crate) made_at: i64,
}

/// As the store has it: a yes or no in JSON is a number to SQLite and a word to PostgreSQL.
fn as_number<S: Serializer>(yes: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64((*yes).into())
}

impl Key {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            edu_no: row.number("edu_no", EduNo::parse)?,
            opened: row.int("opened")? == 1,
            fingerprint: row.text("fingerprint")?.to_owned(),
        })
    }
}

/// What a key stands for, if it was used before.
pub(crate) async fn find_key(storage: &impl Storage, key: &str) -> Result<Option<Key>, StoreError> {
    let find = "SELECT edu_no, opened, fingerprint FROM idempotency_keys WHERE key = $1";
    Statement::new(find).bind(key).row(storage).await?.as_ref().map(Key::read).transpose()
}

/// Keeps what a key came with, where the course was open already; returns what the key stands for, which is something
/// else if another was faster with it.
pub(crate) async fn remember_key(
    storage: &impl Storage,
    key: &NewKey<'_>,
    edu_no: EduNo,
) -> Result<Option<Key>, StoreError> {
    let remember = Statement::new(
        "INSERT INTO idempotency_keys (key, edu_no, opened, fingerprint, made_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING edu_no, opened, fingerprint",
    )
    .bind(key.key)
    .bind(edu_no.get())
    .bind(i64::from(key.opened))
    .bind(key.fingerprint)
    .bind(key.made_at);
    remember.row(storage).await?.as_ref().map(Key::read).transpose()
}
