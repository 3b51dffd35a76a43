//! Who members are to an OpenID provider, which of its ID tokens were used, and its keys.

use crate::id_token::{Identity, USED_KEPT};
use kernel::{CustomerId, Timestamp};
use serde::Serialize;
use store::{Row, Statement, Storage, StoreError};

/// As a decision keeps that whoever registers is somebody to a provider.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewIdentity<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) at: i64,
}

/// Who a member is to a provider, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) identity: Identity,
    /// Milliseconds since 1970.
    pub(crate) linked_at: i64,
}

/// The member who is this to a provider.
pub(crate) async fn whose_identity(
    storage: &impl Storage,
    identity: &Identity,
) -> Result<Option<CustomerId>, StoreError> {
    let find = "SELECT customer_id FROM identities WHERE issuer = $1 AND subject = $2";
    let find = Statement::new(find).bind(&*identity.issuer).bind(&*identity.subject);
    find.row(storage).await?.map(|row| row.number("customer_id", CustomerId::parse)).transpose()
}

/// From now on a member is this to a provider, unless they are erased or somebody else is it. That is in the audit trail.
pub(crate) async fn link(
    storage: &impl Storage,
    identity: &Identity,
    customer_id: CustomerId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let link = "INSERT INTO identities (issuer, subject, linked_at, customer_id)
        SELECT $1, $2, $3, customer_id FROM members WHERE customer_id = $4 AND erased_at IS NULL /*postgres FOR SHARE*/
        ON CONFLICT (issuer, subject) DO NOTHING";
    Statement::new(link)
        .bind(&*identity.issuer)
        .bind(&*identity.subject)
        .bind(now.millis())
        .bind(customer_id.get())
        .run(storage)
        .await
}

/// Who a member is to providers.
pub(crate) async fn identities(
    storage: &impl Storage,
    customer_id: CustomerId,
) -> Result<Vec<Linked>, StoreError> {
    let all = "SELECT issuer, subject, linked_at FROM identities WHERE customer_id = $1 ORDER BY linked_at, issuer, subject";
    let rows = Statement::new(all).bind(customer_id.get()).rows(storage).await?;
    let read = |row: &Row| {
        let (issuer, subject) = (row.text("issuer")?.to_owned(), row.text("subject")?.to_owned());
        Ok(Linked { identity: Identity { issuer, subject }, linked_at: row.int("linked_at")? })
    };
    rows.iter().map(read).collect()
}

/// Uses an ID token up; says whether it was there to be used. Of two that come at once one is.
pub(crate) async fn use_id_token(
    storage: &impl Storage,
    hash: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let use_up = "INSERT INTO used_id_tokens (token_hash, until) VALUES ($1, $2)
        ON CONFLICT (token_hash) DO NOTHING RETURNING token_hash";
    let used = Statement::new(use_up).bind(hash).bind(now.millis() + USED_KEPT).row(storage).await?;
    Ok(used.is_some())
}

/// Forgets up to 1000 ID tokens that are too old to come again.
pub(crate) async fn forget_id_tokens(storage: &impl Storage, now: Timestamp) -> Result<(), StoreError> {
    let forget = "DELETE FROM used_id_tokens WHERE token_hash IN
        (SELECT token_hash FROM used_id_tokens WHERE until < $1 ORDER BY until LIMIT 1000)";
    Statement::new(forget).bind(now.millis()).run(storage).await
}

/// What is known of a provider's keys. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptKeys {
    /// As the provider answered them; empty before it did.
    pub(crate) document: String,
    pub(crate) fetched_at: i64,
    /// When it was asked for them in vain at last.
    pub(crate) failed_at: i64,
}

/// The keys that are under this address, as far as they are known.
pub(crate) async fn provider_keys(storage: &impl Storage, url: &str) -> Result<KeptKeys, StoreError> {
    let find = "SELECT document, fetched_at, failed_at FROM provider_keys WHERE url = $1";
    let Some(row) = Statement::new(find).bind(url).row(storage).await? else {
        return Ok(KeptKeys::default());
    };
    Ok(KeptKeys {
        document: row.text("document")?.to_owned(),
        fetched_at: row.int("fetched_at")?,
        failed_at: row.int("failed_at")?,
    })
}

/// Keeps the keys that a provider has now.
pub(crate) async fn keep_provider_keys(
    storage: &impl Storage,
    url: &str,
    document: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let keep = "INSERT INTO provider_keys (url, document, fetched_at, failed_at) VALUES ($1, $2, $3, 0)
        ON CONFLICT (url) DO UPDATE SET document = excluded.document, fetched_at = excluded.fetched_at, failed_at = 0";
    Statement::new(keep).bind(url).bind(document).bind(now.millis()).run(storage).await
}

/// Notes that a provider was asked in vain.
pub(crate) async fn note_provider_away(
    storage: &impl Storage,
    url: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let note = "INSERT INTO provider_keys (url, document, fetched_at, failed_at) VALUES ($1, '', 0, $2)
        ON CONFLICT (url) DO UPDATE SET failed_at = excluded.failed_at";
    Statement::new(note).bind(url).bind(now.millis()).run(storage).await
}
