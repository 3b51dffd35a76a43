//! Placing an application: what may become a new order.

use super::decision::{Entry, NewOrder, commit};
use super::{MAX_ATTEMPTS, Stored, Undecided, read};
use crate::domain::{self, Application, Command, Course};
use crate::sealing::{Seal, SealError};
use kernel::event::{Applicant, Event};
use kernel::{CardNumber, OrderId, Timestamp, Won};
use store::{Storage, StoreError, Value, int, null, opt_text};

/// An application to be placed.
pub(crate) struct Placing<'a> {
    /// With what; its order number is ignored where `number_is_free` says so.
    pub(crate) application: Application,
    /// Whether the client left the choice of a number to us.
    pub(crate) number_is_free: bool,
    /// What to pay with.
    pub(crate) card: Option<&'a CardNumber>,
    /// What to seal it with.
    pub(crate) seal: &'a Seal,
    /// The `Idempotency-Key`, if the client sent one.
    pub(crate) key: Option<&'a str>,
    /// When the order expires if it is not paid.
    pub(crate) due_at: Timestamp,
    /// When the worker takes the payment up, should nobody have settled it.
    pub(crate) retry_at: Timestamp,
    /// The trace that the request belongs to.
    pub(crate) traceparent: Option<&'a str>,
    /// The time.
    pub(crate) now: Timestamp,
}

/// What became of an application.
#[derive(Debug)]
pub(crate) enum Placement {
    /// It is an order now.
    Taken(Stored),
    /// It was an order already.
    Same(Stored),
    /// Its key was used for the same content before: this is the order of then.
    Replayed(Stored),
    /// Its key was used for other content before.
    KeyReused,
}

/// Places an application: one read, one statement. `breaker_is_open` is asked at most once, and only where `pay`
/// would be asked next: its yes may be the one probe that others are waiting for.
pub(crate) async fn place(
    storage: &impl Storage,
    placing: &Placing<'_>,
    mut breaker_is_open: impl AsyncFnMut() -> bool,
) -> Result<Placement, Undecided> {
    let mut breaker_open = None;
    for attempt in 1..=MAX_ATTEMPTS {
        let mut application = placing.application.clone();
        if placing.number_is_free {
            let wrong = |refused: kernel::Invalid| StoreError::Failure(refused.to_string());
            application.applicant.order_id = OrderId::parse(next_order_id(placing.now)).map_err(wrong)?;
        }
        let wanted = if placing.number_is_free { None } else { Some(application.applicant.order_id) };
        let content = format!(
            "{}|{}",
            wanted.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            application.fingerprint()
        );
        let desk = desk(storage, &application.applicant, placing.key).await?;
        if let Some(fingerprint) = desk.key_content {
            return Ok(match desk.stored {
                Some(stored) if fingerprint == content => Placement::Replayed(stored),
                _ => Placement::KeyReused,
            });
        }
        if placing.number_is_free && desk.stored.is_some() {
            continue;
        }
        let course_status = desk.course.as_ref().map(|(course, _)| course.status);
        let before = desk.stored.unwrap_or_else(|| Stored::unknown(course_status));
        let apply = |breaker_open| Command::Apply {
            application: &application,
            course: desk.course.as_ref().map(|(course, _)| course),
            breaker_open,
            now: placing.now,
        };
        let mut events = domain::decide(&before.order, &apply(false))?;
        if let [Event::Ordered(_)] = events.as_slice() {
            if breaker_open.is_none() {
                breaker_open = Some(breaker_is_open().await);
            }
            events = domain::decide(&before.order, &apply(breaker_open == Some(true)))?;
        }
        let Some((ordered, more)) = events.split_first() else { return Ok(Placement::Same(before)) };
        let course = desk.course.as_ref();
        let new_order = NewOrder {
            course_version: course.map_or(0, |(_, version)| *version),
            due_at: placing.due_at,
            retry: retry(placing, &application, course.map_or(Won::ZERO, |(course, _)| course.fee))?,
            key: placing.key.map(|key| (key, content)),
        };
        let (traceparent, now) = (placing.traceparent, placing.now);
        let ordered = Entry { before: &before, event: ordered, traceparent, now, placing: Some(new_order) };
        let taken = ordered.after();
        let mut entries = vec![ordered];
        entries.extend(more.iter().map(|event| Entry {
            before: &taken,
            event,
            traceparent,
            now,
            placing: None,
        }));
        let after = entries.last().map_or_else(|| taken.clone(), Entry::after);
        match commit(storage, &entries).await {
            Ok(()) => return Ok(Placement::Taken(after)),
            Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => storage.pause(attempt).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Unavailable("no order number was free".to_owned()).into())
}

/// What is kept for the worker, so that no crash loses the payment; nothing where only the customer can help.
fn retry(
    placing: &Placing<'_>,
    application: &Application,
    fee: Won,
) -> Result<Option<(Value, Timestamp)>, SealError> {
    let sealed = match placing.card {
        Some(card) => Value::Blob(placing.seal.seal(card, application.applicant.order_id)?),
        None if fee.is_zero() => null(),
        None => return Ok(None),
    };
    Ok(Some((sealed, placing.retry_at)))
}

/// Milliseconds since 2020 times 4096, and 12 random bits: sorts as it was made, and stays below 2^53 for
/// as long as anybody will care (until 2089).
fn next_order_id(now: Timestamp) -> u64 {
    const MILLIS_AT_2020: i64 = 1_577_836_800_000;
    let millis = u64::try_from(now.millis() - MILLIS_AT_2020).unwrap_or(0);
    let random = getrandom::u64().unwrap_or(0) & 0xfff;
    (millis.wrapping_mul(4096) | random) & kernel::MAX_ID
}

/// What placing an application needs to know.
pub(super) struct Desk {
    /// The course's copy, with its version.
    pub(super) course: Option<(Course, u64)>,
    /// The content that the idempotency key was used for before.
    pub(super) key_content: Option<String>,
    /// The order that has the key, or else the number.
    pub(super) stored: Option<Stored>,
}

pub(super) async fn desk(
    storage: &impl Storage,
    applicant: &Applicant,
    key: Option<&str>,
) -> Result<Desk, StoreError> {
    let sql = format!(
        "SELECT {}, course.title, course.fee, course.status, course.version, used.fingerprint
         FROM (SELECT 1)
         LEFT JOIN courses AS course ON course.edu_no = ?
         LEFT JOIN idempotency_keys AS used ON used.key = ?
         LEFT JOIN orders ON orders.order_id = coalesce(used.order_id, ?)",
        read::COLUMNS,
    );
    let params = vec![int(applicant.edu_no.as_i64()), opt_text(key), int(applicant.order_id.as_i64())];
    let rows = storage.query(&sql, params).await?;
    let row = rows.first().ok_or_else(|| StoreError::Failure("the desk is empty".to_owned()))?;
    let at = |column: usize| read::COLUMN_COUNT + column;
    let course = match row.opt_text(at(0))? {
        None => None,
        Some(title) => {
            let fee = Won::fee(row.count(at(1))?).map_err(|e| StoreError::Failure(e.to_string()))?;
            let course = Course { title: title.to_owned(), fee, status: row.parse(at(2))? };
            Some((course, row.count(at(3))?))
        }
    };
    Ok(Desk {
        course,
        key_content: row.opt_text(at(4))?.map(str::to_owned),
        stored: row.opt_int(0)?.map(|_| Stored::read(row)).transpose()?,
    })
}

/// Forgets up to 1000 idempotency keys made before `before`.
pub(crate) async fn forget_keys(storage: &impl Storage, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM idempotency_keys WHERE key IN
        (SELECT key FROM idempotency_keys WHERE made_at < ? ORDER BY made_at LIMIT 1000)";
    storage.query(sql, vec![int(before.millis())]).await.map(drop)
}
