//! Sessions, the refresh tokens that keep them going, and those that have ended.

use super::audit::{Act, act_on};
use crate::secrets::RefreshToken;
use kernel::{Actor, CustomerId, Timestamp};
use store::{Row, Statement, Storage, StoreError};

/// For how long an access token counts, in seconds.
pub(crate) const ACCESS_SECONDS: i64 = 300;

/// For how long a refresh token counts that is not used, in seconds: thirty days.
pub(crate) const REFRESH_SECONDS: i64 = 30 * 86_400;

/// How long after its replacement a refresh token may come again, in milliseconds: two tabs of a browser, or an answer that was
/// lost. Later it means that somebody else has it.
const GRACE: i64 = 10_000;

/// How often those are told again that ended before their tokens, in milliseconds: where they are told may lose them.
const TELL_AGAIN: i64 = 3_600_000;

/// A session that begins.
#[derive(Debug)]
pub(crate) struct NewSession<'a> {
    pub(crate) session_id: &'a str,
    pub(crate) customer_id: CustomerId,
    pub(crate) token: &'a RefreshToken,
    /// Where from.
    pub(crate) address: Option<&'a str>,
}

/// A session as its member sees it. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    pub(crate) created_at: i64,
    pub(crate) last_used_at: i64,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// It was replaced.
    Replaced { session_id: String, customer_id: CustomerId },
    /// It was replaced a moment ago: there is a new access token, and no new refresh token.
    JustNow { session_id: String, customer_id: CustomerId },
    /// It was replaced long ago, and somebody else goes on with the session.
    Reused,
    /// There is no such session, or not any more.
    Ended,
}

/// Begins a session, unless the member is erased; says whether it did. That they signed in is noted with it.
pub(crate) async fn begin_session(
    storage: &impl Storage,
    session: &NewSession<'_>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let begin = Statement::new(
        "INSERT INTO sessions (session_id, family_hash, refresh_hash, address, created_at, last_used_at, expires_at,
            customer_id)
         SELECT $1, $2, $3, $4, $5, $5, $6, customer_id FROM members
         WHERE customer_id = $7 AND erased_at IS NULL /*postgres FOR SHARE*/ RETURNING session_id",
    )
    .bind(session.session_id)
    .bind(session.token.family_hash())
    .bind(session.token.hash())
    .bind(session.address)
    .bind(now.millis())
    .bind(now.plus_seconds(REFRESH_SECONDS).millis())
    .bind(session.customer_id.get());
    Ok(begin.row(storage).await?.is_some())
}

/// Replaces a refresh token by the next of its session. Of two that come at once with the same token one replaces it.
pub(crate) async fn refresh(
    storage: &impl Storage,
    token: &RefreshToken,
    next: &RefreshToken,
    now: Timestamp,
) -> Result<Refreshed, StoreError> {
    let replace = Statement::new(
        "UPDATE sessions SET previous_hash = refresh_hash, refresh_hash = $1, rotated_at = $2, last_used_at = $2,
            expires_at = $3
         WHERE family_hash = $4 AND refresh_hash = $5 AND expires_at > $2 RETURNING session_id, customer_id",
    )
    .bind(next.hash())
    .bind(now.millis())
    .bind(now.plus_seconds(REFRESH_SECONDS).millis())
    .bind(token.family_hash())
    .bind(token.hash());
    if let Some(row) = replace.row(storage).await? {
        let (session_id, customer_id) = whose(&row)?;
        return Ok(Refreshed::Replaced { session_id, customer_id });
    }
    let find = "SELECT session_id, customer_id, refresh_hash, previous_hash, rotated_at FROM sessions
        WHERE family_hash = $1";
    let Some(row) = Statement::new(find).bind(token.family_hash()).row(storage).await? else {
        return Ok(Refreshed::Ended);
    };
    if row.text("refresh_hash")? == token.hash() {
        // It counts no longer: nobody used it for too long.
        return Ok(Refreshed::Ended);
    }
    let rotated_at = row.opt_int("rotated_at")?.unwrap_or(0);
    let was_previous = row.opt_text("previous_hash")? == Some(&*token.hash());
    if was_previous && now.millis() - rotated_at <= GRACE {
        let (session_id, customer_id) = whose(&row)?;
        return Ok(Refreshed::JustNow { session_id, customer_id });
    }
    Ok(Refreshed::Reused)
}

fn whose(row: &Row) -> Result<(String, CustomerId), StoreError> {
    Ok((row.text("session_id")?.to_owned(), row.number("customer_id", CustomerId::parse)?))
}

/// Notes that an access token was given out in a session, which has to be known when it ends.
pub(crate) async fn use_session(
    storage: &impl Storage,
    session_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let used = "UPDATE sessions SET last_used_at = $1 WHERE session_id = $2";
    Statement::new(used).bind(now.millis()).bind(session_id).run(storage).await
}

/// The sessions of a member, the newest first.
pub(crate) async fn sessions(
    storage: &impl Storage,
    customer_id: CustomerId,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let all = "SELECT session_id, created_at, last_used_at FROM sessions
        WHERE customer_id = $1 AND expires_at > $2 ORDER BY created_at DESC, session_id";
    let rows = Statement::new(all).bind(customer_id.get()).bind(now.millis()).rows(storage).await?;
    let read = |row: &Row| {
        let session_id = row.text("session_id")?.to_owned();
        Ok(Session { session_id, created_at: row.int("created_at")?, last_used_at: row.int("last_used_at")? })
    };
    rows.iter().map(read).collect()
}

/// How a session is named in the audit trail, where its end comes second.
const ENDING: &str = "'session/' || session_id, 'member/session/' || session_id || ':2' FROM sessions";

/// Ends one session of a member; says whether it was there.
pub(crate) async fn end_session(
    storage: &impl Storage,
    customer_id: CustomerId,
    session_id: &str,
    actor: Option<&Actor>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let these = format!("{ENDING} WHERE session_id = $5 AND customer_id = $6");
    let act = Act::new("SignedOut", String::new(), actor, now);
    let bind = |end: Statement| end.bind(session_id).bind(customer_id.get());
    Ok(act_on(storage, &act, &these, bind).await? > 0)
}

/// Ends every session of a member.
pub(crate) async fn end_all_sessions(
    storage: &impl Storage,
    customer_id: CustomerId,
    actor: Option<&Actor>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let these = format!("{ENDING} WHERE customer_id = $5");
    let act = Act::new("SignedOut", String::new(), actor, now);
    act_on(storage, &act, &these, |end| end.bind(customer_id.get())).await.map(drop)
}

/// Ends the session that a refresh token belongs to, which came again. Nobody knows who has shown it.
pub(crate) async fn end_family(
    storage: &impl Storage,
    token: &RefreshToken,
    now: Timestamp,
) -> Result<(), StoreError> {
    let these = format!("{ENDING} WHERE family_hash = $5");
    let act = Act::new("RefreshTokenReused", String::new(), None, now);
    act_on(storage, &act, &these, |end| end.bind(token.family_hash())).await.map(drop)
}

/// Sessions and machines that have ended before their last access token, and that have not been told of, or not for an hour.
pub(crate) async fn untold_sessions(
    storage: &impl Storage,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let untold = "SELECT session_id FROM ended WHERE until > $1 AND (told_at IS NULL OR told_at < $2)
        ORDER BY session_id LIMIT 1000";
    names(&Statement::new(untold).bind(now.millis()).bind(now.millis() - TELL_AGAIN).rows(storage).await?)
}

/// Notes that these have been told of.
pub(crate) async fn mark_told(
    storage: &impl Storage,
    sessions: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    let told = "UPDATE ended SET told_at = $1 WHERE session_id IN (SELECT value ->> 'v' FROM json_each($2))";
    Statement::new(told).bind(now.millis()).bind_values(sessions).run(storage).await
}

/// Those whose last access token has expired.
pub(crate) async fn ended_sessions(
    storage: &impl Storage,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let over = "SELECT session_id FROM ended WHERE until <= $1 ORDER BY until LIMIT 1000";
    names(&Statement::new(over).bind(now.millis()).rows(storage).await?)
}

/// Forgets that these have ended.
pub(crate) async fn forget_ended(storage: &impl Storage, sessions: &[String]) -> Result<(), StoreError> {
    let forget = "DELETE FROM ended WHERE session_id IN (SELECT value ->> 'v' FROM json_each($1))";
    Statement::new(forget).bind_values(sessions).run(storage).await
}

fn names(rows: &[Row]) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| row.text("session_id").map(str::to_owned)).collect()
}

/// Ends up to 1000 sessions that were not used for too long.
pub(crate) async fn forget_sessions(storage: &impl Storage, now: Timestamp) -> Result<(), StoreError> {
    let forget = "DELETE FROM sessions WHERE session_id IN
        (SELECT session_id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT 1000)";
    Statement::new(forget).bind(now.millis()).run(storage).await
}

/// That somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignIn {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// Where from, if that was known.
    pub(crate) address: Option<String>,
}

/// When a member signed in, the newest first.
pub(crate) async fn sign_ins(
    storage: &impl Storage,
    customer_id: CustomerId,
) -> Result<Vec<SignIn>, StoreError> {
    let all = "SELECT at, address FROM sign_ins WHERE customer_id = $1 ORDER BY at DESC, sign_in_id DESC LIMIT 1000";
    let rows = Statement::new(all).bind(customer_id.get()).rows(storage).await?;
    rows.iter().map(|row| Ok(SignIn { at: row.int("at")?, address: row.opt_string("address")? })).collect()
}

/// Forgets up to 1000 records of who signed in before `before`.
pub(crate) async fn forget_sign_ins(storage: &impl Storage, before: Timestamp) -> Result<(), StoreError> {
    let forget = "DELETE FROM sign_ins WHERE sign_in_id IN
        (SELECT sign_in_id FROM sign_ins WHERE at < $1 ORDER BY at LIMIT 1000)";
    Statement::new(forget).bind(before.millis()).run(storage).await
}
