//! Reading the stores, each in one snapshot of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use kernel::event::Event;
use kernel::{Actor, OrderStatus, PayStatus, ReservationStatus, Timestamp};

use crate::event_log::Log;
use crate::facts::{
    Audit, Balance, CourseCopies, CourseRow, Facts, History, InformationStore, Ledger, LogRow, MemberRow,
    MemberStore, Message, NotificationStore, OrderRow, OrderStore, PayRow, PayStore, Recent, ReplicaRow,
    ReservationRow, ReservationStore, Seats, Step, Tallies, Told, Unreadable, ViewRow,
};
use crate::opened::{Opened, Row};
use crate::stores::{LABELS, Stores};
use crate::trail::Entry;

impl Facts {
    /// Reads everything. The snapshots are all taken before the first is read, those of effects before those
    /// of causes, so that what is seen to follow is seen with what it follows from.
    pub(crate) fn load(stores: &Stores, redis_url: Option<&str>, grace: Duration) -> Result<Self> {
        let log = redis_url.map(Log::load).transpose().context("looking at the event log")?;
        let mut snapshots = HashMap::new();
        for label in LABELS {
            let snapshot = Snapshot::take(stores, label).with_context(|| format!("the store `{label}`"))?;
            snapshots.insert(label, snapshot);
        }
        let recent = Recent::new(Timestamp::now(), grace);
        let mut take = |label: &'static str| {
            let snapshot = snapshots.remove(label).with_context(|| format!("no snapshot of `{label}`"))?;
            anyhow::Ok((label, snapshot))
        };
        let (order, pay, reservation) = (take("order")?, take("pay")?, take("reservation")?);
        let (gateway, notification) = (take("gateway")?, take("notification")?);
        let (inbox, information, member) = (take("inbox")?, take("information")?, take("member")?);
        // The most of the time goes into reading the events; there are seldom fewer than two processors.
        let facts = std::thread::scope(|scope| {
            let order = scope.spawn(|| in_store(order, order_store));
            let pay = scope.spawn(|| in_store(pay, pay_store));
            let reservation = scope.spawn(|| in_store(reservation, reservation_store));
            let view = scope.spawn(|| in_store(information, information_store));
            let (gateway, notification) =
                (in_store(gateway, ledger)?, in_store(notification, notification_store)?);
            let (inbox, member) = (in_store(inbox, inbox_rows)?, in_store(member, member_store)?);
            anyhow::Ok(Self {
                order: joined(order.join())?,
                pay: joined(pay.join())?,
                gateway,
                reservation: joined(reservation.join())?,
                notification,
                inbox,
                information: joined(view.join())?,
                member,
                log,
                recent,
            })
        })?;
        Ok(facts.note_recent())
    }
}

fn joined<T>(outcome: std::thread::Result<Result<T>>) -> Result<T> {
    outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("reading a store ended in the middle")))
}

fn in_store<T>(
    (label, snapshot): (&'static str, Snapshot),
    read: impl FnOnce(&Snapshot) -> Result<T>,
) -> Result<T> {
    read(&snapshot).with_context(|| format!("reading the store `{label}`"))
}

/// One state of a store, which others' writes do not change.
pub(crate) struct Snapshot(Opened);

impl Snapshot {
    pub(crate) fn take(stores: &Stores, label: &'static str) -> Result<Self> {
        let store = stores.open(label)?;
        store.keep_one_state()?;
        Ok(Self(store))
    }

    /// Each row of a query, handed to `each`; nothing where the component has never made its tables.
    fn each(&self, table: &str, sql: &str, each: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        if self.0.has(table)? { self.0.each(sql, each) } else { Ok(()) }
    }

    fn by_key<T>(
        &self,
        table: &str,
        key: &str,
        columns: &str,
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<BTreeMap<u64, T>> {
        let mut found = BTreeMap::new();
        self.each(table, &format!("SELECT {key} AS subject_key, {columns} FROM {table}"), |row| {
            found.insert(row.number("subject_key")?, read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    fn tallies(&self, table: &str, columns: &str) -> Result<Tallies> {
        let mut found = Tallies::new();
        self.each(table, &format!("SELECT {columns} FROM {table}"), |row| {
            let rows: i64 = row.get(1)?;
            // A count that has gone back to nothing is as good as none.
            if rows != 0 {
                found.insert(row.get(0)?, rows);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn course_copies(&self) -> Result<CourseCopies> {
        self.by_key("courses", "edu_no", "version, title", |row| Ok((row.get("version")?, row.get("title")?)))
    }

    /// The members of whom a column is known.
    fn known(&self, table: &str, column: &str) -> Result<BTreeSet<u64>> {
        let mut known = BTreeSet::new();
        self.each(table, &format!("SELECT customer_id FROM {table} WHERE {column} IS NOT NULL"), |row| {
            known.insert(row.number(0)?);
            Ok(())
        })?;
        Ok(known)
    }

    fn history(&self) -> Result<History> {
        let mut history = History::default();
        self.each("log", "SELECT generation, floor FROM log", |row| {
            history.log = LogRow { generation: row.number(0)?, floor: row.number(1)? };
            Ok(())
        })?;
        // On PostgreSQL an event has no position yet before a relay has looked for it.
        let inserted = match self.0 {
            Opened::Sqlite(_) => "position",
            Opened::Postgres(_) => "inserted",
        };
        let sql = format!(
            "SELECT position, {inserted} AS inserted, subject, version, type, data, time, actor FROM events ORDER BY {inserted}"
        );
        self.each("events", &sql, |row| {
            let (subject, version) = (row.text("subject")?, row.get("version")?);
            match told(row, subject, version)? {
                Ok(told) => {
                    let event = &told.event;
                    let histories = match (event.applicant(), event.course(), event.member()) {
                        (Some(applicant), ..) => history.orders.entry(applicant.order_id.get()),
                        (_, Some(course), _) => history.courses.entry(course.edu_no.get()),
                        (_, _, Some(member)) => history.members.entry(member.get()),
                        (None, None, None) => return Ok(()),
                    };
                    push(histories.or_default(), told);
                }
                Err(problem) => {
                    history.unreadable.push(Unreadable { subject: subject.to_owned(), version, problem });
                }
            }
            Ok(())
        })?;
        let History { orders, courses, members, .. } = &mut history;
        for told in orders.values_mut().chain(courses.values_mut()).chain(members.values_mut()) {
            told.sort_by_key(|told| told.version);
        }
        Ok(history)
    }
}

/// Histories are short and many: room for more than there is would be most of the memory.
fn push<T>(list: &mut Vec<T>, item: T) {
    list.reserve_exact(1);
    list.push(item);
}

/// One row of an events table; the inner error says in words why it is no event.
fn told(row: &Row<'_>, subject: &str, version: i64) -> Result<Result<Told, String>> {
    let name = row.text("type")?;
    let event = match Event::parse(name, row.text("data")?) {
        Ok(event) => event,
        Err(unreadable) => return Ok(Err(unreadable.to_string())),
    };
    if event.subject() != subject {
        return Ok(Err(format!("its data is about `{}`", event.subject())));
    }
    let Ok(version) = u64::try_from(version) else { return Ok(Err("its version is negative".to_owned())) };
    let time = row.text("time")?;
    let Ok(time) = time.parse() else { return Ok(Err(format!("its time is `{time}`"))) };
    let position = row.get::<Option<i64>>("position")?.map(i64::cast_unsigned);
    let actor = row.get::<Option<String>>("actor")?;
    let is_erased = matches!(event, Event::MemberErased(_));
    let is_audited = actor
        .is_some_and(|actor| is_erased || actor.parse::<Actor>().map_or(true, |actor| actor.is_in_charge()));
    Ok(Ok(Told { position, inserted: row.number("inserted")?, version, time, event, is_audited }))
}

/// How the rows of lists are counted, by course and status.
const TALLIES: &str = "CAST(edu_no AS TEXT) || ' ' || status, orders";

fn order_store(store: &Snapshot) -> Result<OrderStore> {
    let retries = store.by_key("retries", "order_id", "1", |_| Ok(()))?;
    Ok(OrderStore {
        history: store.history()?,
        orders: store.by_key("orders", "order_id", OrderRow::COLUMNS, OrderRow::read)?,
        replicas: store.by_key("orders", "order_id", ReplicaRow::COLUMNS, ReplicaRow::read)?,
        retries: retries.into_keys().collect(),
        courses: store.course_copies()?,
        tallies: store.tallies("tallies", TALLIES)?,
    })
}

fn pay_store(store: &Snapshot) -> Result<PayStore> {
    let pays = store.by_key("pays", "order_id", PayRow::COLUMNS, PayRow::read)?;
    let tallies = store.tallies("tallies", TALLIES)?;
    Ok(PayStore { history: store.history()?, pays, tallies })
}

fn reservation_store(store: &Snapshot) -> Result<ReservationStore> {
    Ok(ReservationStore {
        history: store.history()?,
        reservations: store.by_key(
            "reservations",
            "order_id",
            ReservationRow::COLUMNS,
            ReservationRow::read,
        )?,
        courses: store.by_key("courses", "edu_no", CourseRow::COLUMNS, CourseRow::read)?,
        seats: store.by_key("courses", "edu_no", "taken, waiting, capacity", |row| {
            Ok(Seats {
                taken: row.get("taken")?,
                waiting: row.get("waiting")?,
                capacity: row.get("capacity")?,
            })
        })?,
        tallies: store.tallies("tallies", TALLIES)?,
    })
}

fn ledger(store: &Snapshot) -> Result<Ledger> {
    let mut ledger = Ledger::new();
    let charges = "SELECT c.order_id, c.key, c.amount, c.at, r.amount, r.at
        FROM charges AS c LEFT JOIN refunds AS r ON r.key = c.key WHERE c.outcome = 'Approved' ORDER BY c.key";
    store.each("charges", charges, |row| {
        let balance: &mut Balance = ledger.entry(row.number(0)?).or_default();
        balance.charged += row.get::<i64>(2)?;
        match row.get::<Option<i64>>(4)? {
            Some(refunded) => balance.refunded += refunded,
            None => balance.outstanding.push(row.get(1)?),
        }
        for column in [3, 5] {
            let at = row.get::<Option<String>>(column)?.and_then(|at| Timestamp::from_str(&at).ok());
            balance.moved_at = balance.moved_at.max(at);
        }
        Ok(())
    })?;
    Ok(ledger)
}

fn notification_store(store: &Snapshot) -> Result<NotificationStore> {
    let mut messages = Vec::new();
    store.each(
        "messages",
        "SELECT id, order_id, status, coalesce(sent_at, created_at), customer_id,
            CAST(CASE body WHEN '' THEN 1 ELSE 0 END AS BIGINT) FROM messages ORDER BY seq",
        |row| {
            let changed_at = row.text(3)?.parse().unwrap_or(Timestamp::from_millis(0));
            messages.push(Message {
                id: row.get(0)?,
                order: row.number(1)?,
                customer: row.get::<Option<i64>>(4)?.map(i64::unsigned_abs),
                status: row.get(2)?,
                changed_at,
                is_emptied: row.get::<i64>(5)? == 1,
            });
            Ok(())
        },
    )?;
    let tallies = store.tallies("counts", "status, rows")?;
    let reached = store.known("recipients", "phone")?;
    Ok(NotificationStore { messages, courses: store.course_copies()?, reached, tallies })
}

fn member_store(store: &Snapshot) -> Result<MemberStore> {
    let members = store.by_key("members", "customer_id", MemberRow::COLUMNS, MemberRow::read)?;
    Ok(MemberStore { history: store.history()?, members, audit: audit(store)? })
}

fn audit(store: &Snapshot) -> Result<Audit> {
    let mut audit = Audit::default();
    let all =
        "SELECT position, time, actor, role, action, object, event, hash FROM audit ORDER BY position, entry";
    store.each("audit", all, |row| {
        let event: Option<String> = row.get("event")?;
        audit.events.extend(event.clone());
        let position = row.get::<Option<i64>>("position")?;
        let Some(position) = position else {
            // A command writes also where no system runs that would give its entry a place.
            if row.get::<Option<String>>("actor")?.as_deref() != Some("command") {
                audit.unsealed.insert(row.get("time")?);
            }
            return Ok(());
        };
        audit.entries.push(Entry {
            position: position.unsigned_abs(),
            time: row.get("time")?,
            actor: row.get("actor")?,
            role: row.get("role")?,
            action: row.get("action")?,
            object: row.get("object")?,
            event,
            hash: row.get::<Option<String>>("hash")?.unwrap_or_default(),
        });
        Ok(())
    })?;
    store.each("sign_ins", "SELECT customer_id, at FROM sign_ins ORDER BY sign_in_id", |row| {
        audit.sign_ins.push((row.number(0)?, Timestamp::from_millis(row.get(1)?)));
        Ok(())
    })?;
    Ok(audit)
}

fn inbox_rows(store: &Snapshot) -> Result<BTreeMap<String, u64>> {
    let mut rows = BTreeMap::new();
    store.each("inbox", "SELECT message_id FROM inbox", |row| {
        *rows.entry(row.get(0)?).or_default() += 1;
        Ok(())
    })?;
    Ok(rows)
}

pub(crate) fn information_store(store: &Snapshot) -> Result<InformationStore> {
    let mut timelines: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
    let mut strange_steps = Vec::new();
    let words = Words::new();
    let steps = "SELECT order_id, context, version, event, status, time FROM timeline ORDER BY order_id";
    store.each("timeline", steps, |row| {
        let order = row.number(0)?;
        let [context, event, status, time] = [1, 3, 4, 5].map(|column| row.text(column));
        let (context, event, status, time) = (context?, event?, status?, time?);
        match (words.find(context), words.find(event), words.find(status), time.parse()) {
            (Some(context), Some(event), Some(status), Ok(time)) => {
                let step = Step { context, version: row.number(2)?, event, status, time };
                push(timelines.entry(order).or_default(), step);
            }
            _ => strange_steps.push((order, format!("`{context}` `{event}` `{status}` `{time}`"))),
        }
        Ok(())
    })?;
    for steps in timelines.values_mut() {
        steps.sort();
    }
    Ok(InformationStore {
        rows: store.by_key("infomations", "order_id", ViewRow::COLUMNS, ViewRow::read)?,
        timelines,
        strange_steps,
        courses: store.course_copies()?,
        tallies: store.tallies("counts", "name, rows")?,
        named: store.known("people", "name")?,
    })
}

/// The words that a timeline is written with: there are a few of them, and millions of lines.
struct Words(HashMap<&'static str, &'static str>);

impl Words {
    fn new() -> Self {
        let names = [
            "order",
            "pay",
            "reservation",
            "PaymentDelayed",
            "OrderCanceled",
            "PaymentDeclined",
            "PaymentCanceled",
            "Reserved",
            "ReservationConfirmed",
            "ReservationRejected",
            "ReservationCanceled",
        ];
        let statuses = OrderStatus::ALL.iter().map(|status| status.as_str());
        let statuses = statuses.chain(PayStatus::ALL.iter().map(|status| status.as_str()));
        let statuses = statuses.chain(ReservationStatus::ALL.iter().map(|status| status.as_str()));
        Self(names.into_iter().chain(statuses).map(|word| (word, word)).collect())
    }

    fn find(&self, word: &str) -> Option<&'static str> {
        self.0.get(word).copied()
    }
}
