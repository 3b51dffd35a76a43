//! Codes that are sent to telephones, and the tokens that somebody registers with who had the right one.

use crate::id_token::Identity;
use crate::secrets::KeptCode;
use kernel::{Phone, Timestamp};
use store::{Row, Statement, Storage, StoreError};

/// For how long a code counts, in seconds.
pub(crate) const CODE_SECONDS: i64 = 300;

/// The same in minutes.
pub(crate) const CODE_MINUTES: i64 = CODE_SECONDS / 60;

/// How soon another may be asked for, in seconds.
pub(crate) const RESEND_SECONDS: i64 = 60;

/// Over how long codes are counted, in milliseconds.
const HOUR: i64 = 3_600_000;

/// For how long a registration token counts, in seconds.
pub(crate) const REGISTRATION_SECONDS: i64 = 900;

/// A code that is asked for.
#[derive(Clone, Debug)]
pub(crate) struct NewCode<'a> {
    /// Of the token that whoever asked for it is given: the code counts with that alone.
    pub(crate) token_hash: &'a str,
    pub(crate) phone: &'a Phone,
    /// Where it is asked from.
    pub(crate) address: &'a str,
    pub(crate) kept: &'a KeptCode,
}

/// Why a code is not kept, and so not sent.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// A limit is reached.
    TooMany(Limit),
    /// The store did not do its part.
    Store(StoreError),
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// That of one address for one number.
    Asker,
    /// That of a number, wherever it is asked from.
    Phone,
    /// That of an address, whatever the number.
    Address,
}

impl Limit {
    /// By what the store said.
    fn of(reason: &str) -> Self {
        match reason.rsplit(' ').next() {
            Some("phone") => Self::Phone,
            Some("address") => Self::Address,
            _ => Self::Asker,
        }
    }
}

/// Keeps a code, if none of the limits is reached.
pub(crate) async fn keep_code(
    storage: &impl Storage,
    code: &NewCode<'_>,
    now: Timestamp,
) -> Result<(), NotKept> {
    let keep = Statement::new(
        "INSERT INTO asked_codes (phone, address, salt, mac, made_at, expires_at, token_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(code.phone.as_str())
    .bind(code.address)
    .bind(&*code.kept.salt)
    .bind(&*code.kept.mac)
    .bind(now.millis())
    .bind(now.plus_seconds(CODE_SECONDS).millis())
    .bind(code.token_hash);
    match keep.run(storage).await {
        Ok(()) => Ok(()),
        Err(StoreError::Raised(reason)) => Err(NotKept::TooMany(Limit::of(&reason))),
        Err(error) => Err(NotKept::Store(error)),
    }
}

/// In how many seconds another code may be asked for: when the minute is over, or the oldest of the hour is an hour old.
pub(crate) async fn wait_for_code(
    storage: &impl Storage,
    code: &NewCode<'_>,
    limit: Limit,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let whose = match limit {
        Limit::Asker => "phone = $1 AND address = $2",
        Limit::Phone => "phone = $1 AND CAST($2 AS TEXT) IS NOT NULL",
        Limit::Address => "CAST($1 AS TEXT) IS NOT NULL AND address = $2",
    };
    let within = format!(
        "SELECT min(made_at) AS oldest, max(made_at) AS newest, count(*) AS codes FROM codes
         WHERE {whose} AND made_at > $3"
    );
    let within =
        Statement::new(within).bind(code.phone.as_str()).bind(code.address).bind(now.millis() - HOUR);
    let Some(row) = within.row(storage).await? else { return Ok(RESEND_SECONDS) };
    let (oldest, newest) = (row.opt_int("oldest")?, row.opt_int("newest")?);
    let used_up = limit != Limit::Asker || row.count("codes")? >= 5;
    let again =
        if used_up { oldest.map(|at| at + HOUR) } else { newest.map(|at| at + RESEND_SECONDS * 1000) };
    let wait = again.map_or(RESEND_SECONDS, |again| (again - now.millis() + 999) / 1000);
    Ok(wait.clamp(1, HOUR / 1000))
}

/// Takes a code back that could not be sent: it is not to count.
pub(crate) async fn drop_code(storage: &impl Storage, code: &NewCode<'_>) -> Result<(), StoreError> {
    Statement::new("DELETE FROM codes WHERE token_hash = $1").bind(code.token_hash).run(storage).await
}

/// The code that a token is for, while it is tried.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) code_id: i64,
    /// Where it was sent.
    pub(crate) phone: Phone,
    pub(crate) kept: KeptCode,
}

/// Takes one of the five tries of the code that was asked for with a token. None where it does not count, or its tries are used
/// up. It is one statement, so that any number of guesses at once have five between them.
pub(crate) async fn try_code(
    storage: &impl Storage,
    token_hash: &str,
    now: Timestamp,
) -> Result<Option<Kept>, StoreError> {
    let attempt = "UPDATE codes SET tries = tries + 1
        WHERE token_hash = $1 AND open = 1 AND tries < 5 AND expires_at > $2
        RETURNING code_id, phone, salt, mac";
    let row = Statement::new(attempt).bind(token_hash).bind(now.millis()).row(storage).await?;
    let kept = |row: &Row| {
        let (salt, mac) = (row.text("salt")?.to_owned(), row.text("mac")?.to_owned());
        Ok(Kept { code_id: row.int("code_id")?, phone: row.parse("phone")?, kept: KeptCode { salt, mac } })
    };
    row.as_ref().map(kept).transpose()
}

/// Uses a code up; says whether it was there to be used.
pub(crate) async fn use_code(storage: &impl Storage, code_id: i64) -> Result<bool, StoreError> {
    let use_up = "UPDATE codes SET open = 0 WHERE code_id = $1 AND open = 1 RETURNING code_id";
    Ok(Statement::new(use_up).bind(code_id).row(storage).await?.is_some())
}

/// What somebody has shown who may register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// None where a provider does not vouch for one.
    pub(crate) phone: Option<Phone>,
    /// None where it was a code.
    pub(crate) identity: Option<Identity>,
}

/// Keeps what a registration token stands for.
pub(crate) async fn keep_registration(
    storage: &impl Storage,
    token_hash: &str,
    shown: &Shown,
    now: Timestamp,
) -> Result<(), StoreError> {
    let keep = "INSERT INTO registrations (token_hash, phone, expires_at, issuer, subject) VALUES ($1, $2, $3, $4, $5)";
    let identity = shown.identity.as_ref();
    Statement::new(keep)
        .bind(token_hash)
        .bind(shown.phone.as_ref().map_or("", Phone::as_str))
        .bind(now.plus_seconds(REGISTRATION_SECONDS).millis())
        .bind(identity.map(|identity| &*identity.issuer))
        .bind(identity.map(|identity| &*identity.subject))
        .run(storage)
        .await
}

/// What a registration token stands for, if it counts.
pub(crate) async fn find_registration(
    storage: &impl Storage,
    token_hash: &str,
    now: Timestamp,
) -> Result<Option<Shown>, StoreError> {
    let find = "SELECT nullif(phone, '') AS phone, issuer, subject FROM registrations
        WHERE token_hash = $1 AND expires_at > $2";
    let row = Statement::new(find).bind(token_hash).bind(now.millis()).row(storage).await?;
    let read = |row: &Row| {
        let identity = row.opt_string("issuer")?.zip(row.opt_string("subject")?);
        let identity = identity.map(|(issuer, subject)| Identity { issuer, subject });
        Ok(Shown { phone: row.opt_parse("phone")?, identity })
    };
    row.as_ref().map(read).transpose()
}

/// Forgets up to 1000 codes that no limit counts any more, and registration tokens that no longer count.
pub(crate) async fn forget_codes(storage: &impl Storage, now: Timestamp) -> Result<(), StoreError> {
    let codes = "DELETE FROM codes WHERE code_id IN
        (SELECT code_id FROM codes WHERE made_at < $1 ORDER BY made_at LIMIT 1000)";
    Statement::new(codes).bind(now.millis() - HOUR).run(storage).await?;
    let registrations = "DELETE FROM registrations WHERE expires_at < $1";
    Statement::new(registrations).bind(now.millis()).run(storage).await
}
