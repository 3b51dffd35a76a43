//! The store of this context: loads what a decision needs, and commits it in one statement.
//!
//! Somebody else may have decided in between, in this process or in another replica. The tables notice (see
//! [`schema`]); then everything is loaded and decided again.

mod read;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use read::{Filter, count, list};

use crate::domain::{self, Application, Command, Course, Order, Placed, Refusal};
use crate::sealing::{Seal, SealError};
use kernel::event::{Applicant, CancelReason, Course as Terms, Event};
use kernel::{
    CardNumber, CourseStatus, CustomerId, EduNo, Guests, OrderId, OrderStatus, PayStatus, Timestamp, Won,
};
use std::collections::BTreeMap;
use std::time::Duration;
use store::{
    Database, Row, StoreError, Value, count as number, int, null, opt_int, opt_text, placeholders, text,
};

/// The store under the label `order`.
pub(crate) static DATABASE: Database = Database::new("order", 1, schema::SCHEMA);

/// How often a decision is made again because somebody else was faster.
const MAX_ATTEMPTS: u64 = 10;

/// How many orders are changed by one statement, at most.
const CHUNK: usize = 200;

/// The longest time between two tries to have an order paid, in milliseconds.
const LONGEST_BACK_OFF: i64 = 30_000;

/// What the rooms of this context ask of SQL: one statement, its rows. A trait, so that the tests run the same
/// statements against a SQLite of their own.
pub(crate) trait Storage {
    /// Runs one statement and gives back all of its rows.
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError>;

    /// Waits a little, longer with each attempt, before deciding again.
    async fn pause(&self, attempt: u64);
}

impl Storage for Database {
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Self::query(self, sql, params).await
    }

    async fn pause(&self, attempt: u64) {
        // At random, so that two replicas that met once do not meet again and again.
        let micros = getrandom::u64().unwrap_or(500) % (1_000 * attempt + 1);
        spin_sdk::time::sleep(Duration::from_micros(micros)).await;
    }
}

/// An order as it is stored, with what this context knows about it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The order itself.
    pub(crate) order: Order,
    /// Of its last event.
    pub(crate) version: u64,
    /// What `pay` has told.
    pub(crate) payment: Payment,
    /// Where its course stands, if this context has heard of it.
    pub(crate) course: Option<CourseStatus>,
}

/// The replica of what `pay` has told of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payment {
    /// Where it stands. `Payment Delayed` is this context's own word for what is not settled yet.
    pub(crate) status: Option<PayStatus>,
    /// Of the last of `pay`'s events that has been seen; 0 before any.
    pub(crate) version: u64,
    /// The card that `pay` has told of.
    pub(crate) card_last4: Option<String>,
}

/// Something that `pay` has told of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) order_id: OrderId,
    pub(crate) status: PayStatus,
    pub(crate) version: u64,
    pub(crate) card_last4: Option<String>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// The domain said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store did not do its part, or others were faster every time.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The client wanted to change another state than the present one, which has this `ETag`.
    #[error("it has changed meanwhile")]
    Changed(String),
    /// A card could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

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

/// One event to be committed, and what goes with it.
struct Entry<'a> {
    /// The order before it.
    before: &'a Stored,
    event: &'a Event,
    traceparent: Option<&'a str>,
    now: Timestamp,
    /// Only with `Ordered`.
    placing: Option<NewOrder<'a>>,
}

/// What is stored together with a new order.
struct NewOrder<'a> {
    course_version: u64,
    due_at: Timestamp,
    retry: Option<(Value, Timestamp)>,
    key: Option<(&'a str, String)>,
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

/// Has one order decide, and commits what it decided. `command` is asked again whenever somebody was faster.
pub(crate) async fn change(
    storage: &impl Storage,
    order_id: OrderId,
    traceparent: Option<&str>,
    now: Timestamp,
    command: impl Fn(&Stored) -> Result<Command<'static>, Undecided>,
) -> Result<Stored, Undecided> {
    let mut attempt = 1;
    loop {
        let before = find(storage, order_id).await?.ok_or(Refusal::UnknownOrder)?;
        let events = domain::decide(&before.order, &command(&before)?)?;
        let entries: Vec<_> = events
            .iter()
            .map(|event| Entry { before: &before, event, traceparent, now, placing: None })
            .collect();
        let Some(entry) = entries.first() else { return Ok(before) };
        let after = entry.after();
        match commit(storage, &entries).await {
            Ok(()) => return Ok(after),
            Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => storage.pause(attempt).await,
            Err(error) => return Err(error.into()),
        }
        attempt += 1;
    }
}

/// Ends many orders for one reason, a statement for up to 200 of them. Orders that are unknown, have ended, or
/// may not end for that reason are left as they are. Returns how many ended.
pub(crate) async fn cancel_all(
    storage: &impl Storage,
    orders: &[(OrderId, Option<String>)],
    reason: CancelReason,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for chunk in orders.chunks(CHUNK) {
        ended += cancel_chunk(storage, chunk, reason, now).await?;
    }
    Ok(ended)
}

async fn cancel_chunk(
    storage: &impl Storage,
    orders: &[(OrderId, Option<String>)],
    reason: CancelReason,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let traces: BTreeMap<_, _> = orders.iter().map(|(id, trace)| (*id, trace.as_deref())).collect();
    let mut attempt = 1;
    loop {
        let found = find_all(storage, traces.keys().copied()).await?;
        let decided: Vec<_> = found
            .iter()
            .filter_map(|before| {
                let command =
                    Command::Cancel { reason, course: before.course, payment: before.payment.status };
                Some((before, domain::decide(&before.order, &command).ok()?))
            })
            .collect();
        let entries: Vec<_> = decided
            .iter()
            .flat_map(|(before, events)| events.iter().map(move |event| (*before, event)))
            .map(|(before, event)| {
                let traceparent = before.order_id().and_then(|id| traces.get(&id).copied().flatten());
                Entry { before, event, traceparent, now, placing: None }
            })
            .collect();
        match commit(storage, &entries).await {
            Ok(()) => return Ok(entries.len()),
            Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => storage.pause(attempt).await,
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// Ends every living order of a course.
pub(crate) async fn cancel_course(
    storage: &impl Storage,
    edu_no: EduNo,
    traceparent: Option<&str>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut after = 0;
    let mut ended = 0;
    loop {
        let rows = storage
            .query(
                "SELECT order_id FROM orders WHERE edu_no = ? AND order_id > ? AND status = 'Ordered'
                 ORDER BY order_id LIMIT ?",
                vec![int(edu_no.as_i64()), int(after), number(CHUNK as u64)],
            )
            .await?;
        let orders = order_ids(&rows)?;
        let Some(last) = orders.last() else { return Ok(ended) };
        after = last.as_i64();
        let orders: Vec<_> = orders.into_iter().map(|id| (id, traceparent.map(str::to_owned))).collect();
        ended += cancel_all(storage, &orders, CancelReason::CourseCanceled, now).await?;
    }
}

/// Ends up to 200 orders that were not paid in time. Returns how many were due.
pub(crate) async fn expire(storage: &impl Storage, now: Timestamp) -> Result<usize, StoreError> {
    let rows = storage
        .query(
            "SELECT order_id FROM orders WHERE due_at <= ? ORDER BY due_at LIMIT ?",
            vec![int(now.millis()), number(CHUNK as u64)],
        )
        .await?;
    let due: Vec<_> = order_ids(&rows)?.into_iter().map(|id| (id, None)).collect();
    cancel_all(storage, &due, CancelReason::Expired, now).await?;
    Ok(due.len())
}

/// Writes down what `pay` answered to this context's own question, which is news even where it repeats a
/// version that was seen before: the payment was taken to be delayed since. Returns the orders concerned.
pub(crate) async fn settle(storage: &impl Storage, facts: &[Fact]) -> Result<Vec<Stored>, StoreError> {
    let rows = write_facts(storage, facts, "<=").await?;
    rows.iter().map(Stored::read).collect()
}

/// Writes down what `pay`'s events tell; what came late changes nothing.
pub(crate) async fn replicate(storage: &impl Storage, facts: &[Fact]) -> Result<(), StoreError> {
    write_facts(storage, facts, "<").await.map(drop)
}

async fn write_facts(
    storage: &impl Storage,
    facts: &[Fact],
    older: &'static str,
) -> Result<Vec<Row>, StoreError> {
    let mut latest: BTreeMap<OrderId, &Fact> = BTreeMap::new();
    for fact in facts {
        let kept = latest.entry(fact.order_id).or_insert(fact);
        if kept.version < fact.version {
            *kept = fact;
        }
    }
    if latest.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!(
        "UPDATE orders SET pay_status = fact.column2, pay_version = fact.column3,
             pay_card_last4 = coalesce(fact.column4, pay_card_last4),
             due_at = CASE WHEN fact.column2 <> 'Paid' THEN due_at END
         FROM (VALUES {}) AS fact
         WHERE orders.order_id = fact.column1 AND orders.pay_version {older} fact.column3
         RETURNING {}",
        placeholders(latest.len(), 4),
        read::COLUMNS,
    );
    let params = latest.values().flat_map(|fact| {
        [
            int(fact.order_id.as_i64()),
            text(fact.status.as_str()),
            number(fact.version),
            opt_text(fact.card_last4.as_deref()),
        ]
    });
    storage.query(&sql, params.collect()).await
}

/// Takes in courses as events describe them, each with its event's version.
pub(crate) async fn learn_courses(
    storage: &impl Storage,
    courses: &[(&Terms, u64)],
) -> Result<(), StoreError> {
    let mut latest: BTreeMap<EduNo, (&Terms, u64)> = BTreeMap::new();
    for (terms, version) in courses {
        let kept = latest.entry(terms.edu_no).or_insert((terms, *version));
        if kept.1 < *version {
            *kept = (terms, *version);
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO courses (edu_no, title, fee, status, version) VALUES {}
         ON CONFLICT (edu_no) DO UPDATE SET title = excluded.title, fee = excluded.fee,
             status = excluded.status, version = excluded.version
         WHERE courses.version < excluded.version",
        placeholders(latest.len(), 5),
    );
    let params = latest.values().flat_map(|(terms, version)| {
        [
            int(terms.edu_no.as_i64()),
            text(terms.title.as_str()),
            int(terms.fee.as_i64()),
            text(terms.status.as_str()),
            number(*version),
        ]
    });
    storage.query(&sql, params.collect()).await.map(drop)
}

/// Keeps a card (none where there is nothing to pay) for the worker to try with, should the try that follows
/// not settle the payment. Returns whether the order still waits for one.
pub(crate) async fn keep_for_retry(
    storage: &impl Storage,
    order_id: OrderId,
    sealed: Option<Vec<u8>>,
    retry_at: Timestamp,
) -> Result<bool, StoreError> {
    let rows = storage
        .query(
            "INSERT INTO retries (order_id, sealed, attempts, next_at)
             SELECT order_id, ?, 0, ? FROM orders
             WHERE order_id = ? AND status = 'Ordered' AND pay_status IS NOT 'Paid'
             ON CONFLICT (order_id) DO UPDATE SET
                 sealed = excluded.sealed, attempts = 0, next_at = excluded.next_at
             RETURNING order_id",
            vec![sealed.map_or(null(), Value::Blob), int(retry_at.millis()), int(order_id.as_i64())],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// A payment that `pay` is to be asked for again.
pub(crate) struct Retry {
    pub(crate) stored: Stored,
    /// How often this has been tried before.
    pub(crate) attempts: i64,
    /// The sealed card; none where there is nothing to pay.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Whether any payment is due to be tried again.
pub(crate) async fn any_retry_due(storage: &impl Storage, now: Timestamp) -> Result<bool, StoreError> {
    let rows =
        storage.query("SELECT 1 FROM retries WHERE next_at <= ? LIMIT 1", vec![int(now.millis())]).await?;
    Ok(!rows.is_empty())
}

/// Takes up to `limit` payments that are due; until `lease_end` nobody else takes them.
pub(crate) async fn claim_retries(
    storage: &impl Storage,
    limit: usize,
    now: Timestamp,
    lease_end: Timestamp,
) -> Result<Vec<Retry>, StoreError> {
    let claimed = storage
        .query(
            "UPDATE retries SET attempts = attempts + 1, next_at = ?
             WHERE order_id IN (SELECT order_id FROM retries WHERE next_at <= ? ORDER BY next_at LIMIT ?)
             RETURNING order_id, attempts - 1, sealed",
            vec![int(lease_end.millis()), int(now.millis()), number(limit as u64)],
        )
        .await?;
    let orders = find_all(storage, order_ids(&claimed)?.into_iter()).await?;
    let mut orders: BTreeMap<_, _> =
        orders.into_iter().filter_map(|stored| Some((stored.order_id()?.as_i64(), stored))).collect();
    let mut retries = Vec::with_capacity(claimed.len());
    for row in &claimed {
        let Some(stored) = orders.remove(&row.int(0)?) else { continue };
        // A blob, or NULL: which `blob` takes for a mistake.
        retries.push(Retry { stored, attempts: row.int(1)?, sealed: row.blob(2).ok().map(<[u8]>::to_vec) });
    }
    Ok(retries)
}

/// Has payments that did not settle wait: 1 s, 2 s, 4 s, … 30 s.
pub(crate) async fn postpone(
    storage: &impl Storage,
    tried: &[(OrderId, i64)],
    now: Timestamp,
) -> Result<(), StoreError> {
    if tried.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE retries SET next_at = wait.column2 FROM (VALUES {}) AS wait
         WHERE retries.order_id = wait.column1",
        placeholders(tried.len(), 2),
    );
    let params = tried
        .iter()
        .flat_map(|(id, attempts)| [int(id.as_i64()), int(now.plus_millis(back_off(*attempts)).millis())]);
    storage.query(&sql, params.collect()).await.map(drop)
}

/// In milliseconds, after `attempts` earlier ones.
fn back_off(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(5);
    (1000 << doublings).min(LONGEST_BACK_OFF)
}

/// Forgets up to 1000 idempotency keys made before `before`.
pub(crate) async fn forget_keys(storage: &impl Storage, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM idempotency_keys WHERE key IN
        (SELECT key FROM idempotency_keys WHERE made_at < ? ORDER BY made_at LIMIT 1000)";
    storage.query(sql, vec![int(before.millis())]).await.map(drop)
}

/// One order.
pub(crate) async fn find(storage: &impl Storage, order_id: OrderId) -> Result<Option<Stored>, StoreError> {
    let sql = format!("SELECT {} FROM orders WHERE order_id = ?", read::COLUMNS);
    let rows = storage.query(&sql, vec![int(order_id.as_i64())]).await?;
    rows.first().map(Stored::read).transpose()
}

async fn find_all(
    storage: &impl Storage,
    orders: impl ExactSizeIterator<Item = OrderId>,
) -> Result<Vec<Stored>, StoreError> {
    if orders.len() == 0 {
        return Ok(vec![]);
    }
    let sql =
        format!("SELECT {} FROM orders WHERE order_id IN {}", read::COLUMNS, placeholders(1, orders.len()));
    let rows = storage.query(&sql, orders.map(|id| int(id.as_i64())).collect()).await?;
    rows.iter().map(Stored::read).collect()
}

/// What placing an application needs to know.
struct Desk {
    /// The course's copy, with its version.
    course: Option<(Course, u64)>,
    /// The content that the idempotency key was used for before.
    key_content: Option<String>,
    /// The order that has the key, or else the number.
    stored: Option<Stored>,
}

async fn desk(storage: &impl Storage, applicant: &Applicant, key: Option<&str>) -> Result<Desk, StoreError> {
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

/// One statement, whatever the number of events.
async fn commit(storage: &impl Storage, entries: &[Entry<'_>]) -> Result<(), StoreError> {
    const COLUMNS: usize = 25;
    let mut params = Vec::with_capacity(entries.len() * COLUMNS);
    for entry in entries {
        entry.params(&mut params)?;
    }
    if params.is_empty() {
        return Ok(());
    }
    let sql = format!("INSERT INTO decisions VALUES {}", placeholders(entries.len(), COLUMNS));
    storage.query(&sql, params).await.map(drop)
}

impl Entry<'_> {
    /// The order after the event.
    fn after(&self) -> Stored {
        let mut payment = self.before.payment.clone();
        if matches!(self.event, Event::PaymentDelayed(_)) && payment.status != Some(PayStatus::Paid) {
            payment.status = Some(PayStatus::PaymentDelayed);
        }
        Stored {
            order: domain::evolve(self.before.order.clone(), self.event),
            version: self.before.version + 1,
            payment,
            course: self.before.course,
        }
    }

    /// The columns of `decisions`, in their order.
    fn params(&self, params: &mut Vec<Value>) -> Result<(), StoreError> {
        let after = self.after();
        let (placed, reason) = match &after.order {
            Order::Unknown => return Err(StoreError::Failure("an event without an order".to_owned())),
            Order::Living(placed) => (placed, None),
            Order::Canceled(placed, reason) => (placed, Some(reason.as_str())),
        };
        let applicant = &placed.application.applicant;
        let status = after.order.status().map(OrderStatus::as_str);
        params.extend([
            text(self.event.subject()),
            number(after.version),
            text(self.event.name()),
            text(self.event.to_data()),
            text(self.now.to_string()),
            opt_text(self.traceparent),
            int(applicant.order_id.as_i64()),
            opt_int(applicant.customer_id.map(CustomerId::as_i64)),
            int(applicant.edu_no.as_i64()),
            number(applicant.guest.get()),
            text(applicant.language.as_str()),
            opt_text(placed.application.card_last4.as_deref()),
            int(placed.amount.as_i64()),
            text(placed.course_title.as_str()),
            text(placed.ordered_at.to_string()),
            opt_text(status),
            opt_text(reason),
            opt_int(self.placing.as_ref().map(|new| new.due_at.millis())),
            self.placing.as_ref().map_or(null(), |new| number(new.course_version)),
            number(self.before.payment.version),
        ]);
        match &self.placing {
            None => params.extend([null(), null(), null(), null(), null()]),
            Some(new) => {
                let (sealed, next_at) = match &new.retry {
                    Some((sealed, at)) => (sealed.clone(), int(at.millis())),
                    None => (null(), null()),
                };
                let (key, content) = match &new.key {
                    Some((key, content)) => (text(*key), text(content.as_str())),
                    None => (null(), null()),
                };
                params.extend([sealed, next_at, key, content, int(self.now.millis())]);
            }
        }
        Ok(())
    }
}

impl Stored {
    const fn unknown(course: Option<CourseStatus>) -> Self {
        let payment = Payment { status: None, version: 0, card_last4: None };
        Self { order: Order::Unknown, version: 0, payment, course }
    }

    /// The order's number; none only where there is no order.
    pub(crate) fn order_id(&self) -> Option<OrderId> {
        Some(self.order.placed()?.application.applicant.order_id)
    }

    /// The state as an `ETag`: of this context's events and of `pay`'s.
    pub(crate) fn etag(&self) -> String {
        let delayed = if self.payment.status == Some(PayStatus::PaymentDelayed) { "d" } else { "" };
        format!("{}.{}{delayed}", self.version, self.payment.version)
    }

    /// Reads the columns of [`read::COLUMNS`].
    fn read(row: &Row) -> Result<Self, StoreError> {
        let wrong = |refused: kernel::Invalid| StoreError::Failure(format!("a stored order: {refused}"));
        let customer_id = row.opt_int(1)?.and_then(|id| u64::try_from(id).ok());
        let applicant = Applicant {
            order_id: OrderId::parse(row.count(0)?).map_err(wrong)?,
            customer_id: customer_id.map(CustomerId::parse).transpose().map_err(wrong)?,
            edu_no: EduNo::parse(row.count(2)?).map_err(wrong)?,
            guest: Guests::parse(row.count(3)?).map_err(wrong)?,
            language: row.parse(4)?,
        };
        let placed = Placed {
            application: Application { applicant, card_last4: row.opt_text(5)?.map(str::to_owned) },
            amount: Won::amount(row.count(6)?).map_err(wrong)?,
            course_title: row.text(7)?.to_owned(),
            ordered_at: row.parse(8)?,
        };
        let order = match row.parse(9)? {
            OrderStatus::Ordered => Order::Living(placed),
            OrderStatus::OrderCanceled => Order::Canceled(placed, cancel_reason(row.text(10)?)?),
        };
        let pay_status = row.opt_text(12)?.map(str::parse).transpose().map_err(wrong)?;
        let course = row.opt_text(15)?.map(str::parse).transpose().map_err(wrong)?;
        let payment = Payment {
            status: pay_status,
            version: row.count(13)?,
            card_last4: row.opt_text(14)?.map(str::to_owned),
        };
        Ok(Self { order, version: row.count(11)?, payment, course })
    }
}

fn cancel_reason(stored: &str) -> Result<CancelReason, StoreError> {
    [
        CancelReason::Customer,
        CancelReason::Expired,
        CancelReason::ReservationRejected,
        CancelReason::CourseCanceled,
    ]
    .into_iter()
    .find(|reason| reason.as_str() == stored)
    .ok_or_else(|| StoreError::Failure(format!("an order was canceled for {stored:?}")))
}

fn order_ids(rows: &[Row]) -> Result<Vec<OrderId>, StoreError> {
    rows.iter()
        .map(|row| OrderId::parse(row.count(0)?).map_err(|e| StoreError::Failure(e.to_string())))
        .collect()
}
