//! What was found: the stores, the card company's books and the event log at one moment, as plain values.
//!
//! The rules in [`invariants`](crate::invariants) are functions of this and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use anyhow::Result;
use kernel::Timestamp;
use kernel::event::Event;

use crate::event_log::Log;
use crate::opened::Row;
use crate::trail::Entry;

/// Everything.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) order: OrderStore,
    pub(crate) pay: PayStore,
    pub(crate) gateway: Ledger,
    pub(crate) reservation: ReservationStore,
    pub(crate) notification: NotificationStore,
    /// How many rows of the channel's inbox have each message's id.
    pub(crate) inbox: BTreeMap<String, u64>,
    pub(crate) information: InformationStore,
    pub(crate) member: MemberStore,
    /// None where it was not looked at.
    pub(crate) log: Option<Log>,
    pub(crate) recent: Recent,
}

/// One event of a history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// Its place in the log of its context; none where no relay has given it one yet.
    pub(crate) position: Option<u64>,
    /// Its place in the order in which its context has decided. An event comes after those that it follows from.
    pub(crate) inserted: u64,
    pub(crate) version: u64,
    pub(crate) time: Timestamp,
    pub(crate) event: Event,
    /// Whether it has to be in the audit trail: somebody in charge asked for it, or it erases somebody.
    pub(crate) is_audited: bool,
}

/// What a context has decided: its events by subject, each history by version.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) orders: BTreeMap<u64, Vec<Told>>,
    pub(crate) courses: BTreeMap<u64, Vec<Told>>,
    pub(crate) members: BTreeMap<u64, Vec<Told>>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) log: LogRow,
}

/// How a context's log stands, as its store says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogRow {
    pub(crate) generation: u64,
    /// Up to where every group has acknowledged everything.
    pub(crate) floor: u64,
}

/// A row of an events table that is no event.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) subject: String,
    pub(crate) version: i64,
    pub(crate) problem: String,
}

impl History {
    /// The events about one order, oldest first; none where there are none.
    pub(crate) fn of(&self, order: u64) -> &[Told] {
        self.orders.get(&order).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Told> {
        self.subjects().flatten()
    }

    /// The events of each order, course and member.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = &Vec<Told>> {
        self.orders.values().chain(self.courses.values()).chain(self.members.values())
    }
}

/// A row as it stands in a table, to be held against what it should be.
macro_rules! row {
    ($(#[$doc:meta])* $name:ident { $($column:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct $name { $(pub(crate) $column: $type),+ }

        impl $name {
            /// The columns, as a `SELECT` names them.
            pub(crate) const COLUMNS: &str = concat!($(stringify!($column), ", ",)+ "1");

            pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
                Ok(Self { $($column: row.get(stringify!($column))?),+ })
            }

            /// Each column that differs, in words; empty where all is as it should be.
            pub(crate) fn differences(&self, should: &Self) -> Vec<String> {
                let mut found = Vec::new();
                $(if self.$column != should.$column {
                    found.push(format!(
                        "{} is {} and should be {}",
                        stringify!($column),
                        Shown::shown(&self.$column),
                        Shown::shown(&should.$column)
                    ));
                })+
                found
            }
        }
    };
}

/// A column's value for people.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for i64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for String {
    fn shown(&self) -> String {
        format!("`{self}`")
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "empty".to_owned(), Shown::shown)
    }
}

row!(
    /// What `order` lists of an order, as far as its own events say it.
    OrderRow {
        customer_id: Option<i64>, edu_no: i64, guest: i64, language: String, card_last4: Option<String>,
        amount: i64, course_title: String, ordered_at: String, status: String, cancel_reason: Option<String>,
        version: i64, delayed_at: Option<i64>,
    }
);

row!(
    /// What `order` keeps of what `pay` has told.
    ReplicaRow { pay_status: Option<String>, pay_version: i64 }
);

row!(
    /// What `pay` lists.
    PayRow {
        customer_id: Option<i64>, edu_no: i64, guest: i64, language: String, amount: i64, status: String,
        card_last4: Option<String>, transaction_id: Option<String>, gateway_key: Option<String>,
        paid_at: Option<String>, refunded_at: Option<String>, version: i64,
    }
);

row!(
    /// What `reservation` lists of a reservation.
    ReservationRow {
        customer_id: Option<i64>, edu_no: i64, guest: i64, language: String, status: String, version: i64,
        ticket: Option<i64>, reserved_at: Option<String>,
    }
);

row!(
    /// What `reservation` lists of a course, but for its seats.
    CourseRow {
        title: String, capacity: i64, fee: i64, approval: String, starts_at: String, ends_at: String,
        status: String, version: i64,
    }
);

row!(
    /// What `member` lists.
    MemberRow {
        name: Option<String>, phone: Option<String>, email: Option<String>, language: Option<String>, roles: String,
        registered_at: Option<String>, erased_at: Option<String>, version: i64, messages: String,
    }
);

row!(
    /// What the view shows of an order.
    ViewRow {
        customer_id: Option<i64>, edu_no: i64, guest: i64, course_title: Option<String>, amount: Option<i64>,
        order_version: i64, order_status: Option<String>, pay_version: i64, pay_status: Option<String>,
        reservation_version: i64, reservation_status: Option<String>, waiting_position: Option<i64>,
        updated_at: String,
    }
);

/// How many rows there are of each kind, as triggers count them.
pub(crate) type Tallies = BTreeMap<String, i64>;

/// Another context's copy of a course: its version, and its title where that is kept.
pub(crate) type CourseCopies = BTreeMap<u64, (i64, String)>;

#[derive(Clone, Debug, Default)]
pub(crate) struct OrderStore {
    pub(crate) history: History,
    pub(crate) orders: BTreeMap<u64, OrderRow>,
    pub(crate) replicas: BTreeMap<u64, ReplicaRow>,
    /// The orders whose payment is still to be asked for.
    pub(crate) retries: BTreeSet<u64>,
    pub(crate) courses: CourseCopies,
    pub(crate) tallies: Tallies,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct PayStore {
    pub(crate) history: History,
    pub(crate) pays: BTreeMap<u64, PayRow>,
    pub(crate) tallies: Tallies,
}

/// What the card company has of one order, in won.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Balance {
    pub(crate) charged: i64,
    pub(crate) refunded: i64,
    /// The keys of the charges that were not given back.
    pub(crate) outstanding: Vec<String>,
    /// When money moved last.
    pub(crate) moved_at: Option<Timestamp>,
}

impl Balance {
    pub(crate) const fn balance(&self) -> i64 {
        self.charged - self.refunded
    }
}

/// The card company's books, by order.
pub(crate) type Ledger = BTreeMap<u64, Balance>;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Seats {
    pub(crate) taken: i64,
    pub(crate) waiting: i64,
    pub(crate) capacity: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ReservationStore {
    pub(crate) history: History,
    pub(crate) reservations: BTreeMap<u64, ReservationRow>,
    pub(crate) courses: BTreeMap<u64, CourseRow>,
    pub(crate) seats: BTreeMap<u64, Seats>,
    pub(crate) tallies: Tallies,
}

/// A message as `notification` keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) order: u64,
    pub(crate) customer: Option<u64>,
    pub(crate) status: String,
    /// When it was sent, or else written.
    pub(crate) changed_at: Timestamp,
    /// Whether it was kept for long enough, so that nobody knows any more what it said to whom.
    pub(crate) is_emptied: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct NotificationStore {
    pub(crate) messages: Vec<Message>,
    pub(crate) courses: CourseCopies,
    /// The members whose telephones are kept.
    pub(crate) reached: BTreeSet<u64>,
    pub(crate) tallies: Tallies,
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) context: &'static str,
    pub(crate) version: u64,
    pub(crate) event: &'static str,
    pub(crate) status: &'static str,
    pub(crate) time: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct InformationStore {
    pub(crate) rows: BTreeMap<u64, ViewRow>,
    pub(crate) timelines: BTreeMap<u64, Vec<Step>>,
    /// Lines that no event of ours could have made.
    pub(crate) strange_steps: Vec<(u64, String)>,
    pub(crate) courses: CourseCopies,
    pub(crate) tallies: Tallies,
    /// The members whose names are kept.
    pub(crate) named: BTreeSet<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MemberStore {
    pub(crate) history: History,
    pub(crate) members: BTreeMap<u64, MemberRow>,
    pub(crate) audit: Audit,
}

/// The audit trail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audit {
    /// Those that have their places, in that order.
    pub(crate) entries: Vec<Entry>,
    /// When that was done which has no place yet.
    pub(crate) unsealed: BTreeSet<String>,
    /// All that is in it, with a place or without, by what it is known by.
    pub(crate) events: HashSet<String>,
    /// Who signed in when, as far as that is kept beside it.
    pub(crate) sign_ins: Vec<(u64, Timestamp)>,
}

/// What changed so recently that its effects may still be on their way.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    pub(crate) now: Timestamp,
    pub(crate) grace: Duration,
    pub(crate) orders: HashSet<u64>,
    pub(crate) courses: HashSet<u64>,
}

impl Recent {
    pub(crate) fn new(now: Timestamp, grace: Duration) -> Self {
        Self { now, grace, orders: HashSet::new(), courses: HashSet::new() }
    }

    /// Whether that was less than the grace ago (or, by a clock that was set back, ahead).
    pub(crate) fn is(&self, time: Timestamp) -> bool {
        let apart = u128::from(self.now.millis().abs_diff(time.millis()));
        apart < self.grace.as_millis()
    }
}

impl Facts {
    /// The histories, each with the context it belongs to.
    pub(crate) fn histories(&self) -> [(&'static str, &History); 4] {
        [
            ("order", &self.order.history),
            ("pay", &self.pay.history),
            ("reservation", &self.reservation.history),
            ("member", &self.member.history),
        ]
    }

    /// Whether nothing happened to an order lately, in any context or at the card company.
    pub(crate) fn rests(&self, order: u64) -> bool {
        !self.recent.orders.contains(&order)
    }

    /// Whether nothing happened to a course lately.
    pub(crate) fn course_rests(&self, edu_no: u64) -> bool {
        !self.recent.courses.contains(&edu_no)
    }

    /// Finds out what is recent, once all is there.
    pub(crate) fn note_recent(mut self) -> Self {
        let (mut orders, mut courses) = (HashSet::new(), HashSet::new());
        for (_, history) in self.histories() {
            for told in history.all().filter(|told| self.recent.is(told.time)) {
                if let Some(applicant) = told.event.applicant() {
                    orders.insert(applicant.order_id.get());
                    courses.insert(applicant.edu_no.get());
                }
                courses.extend(told.event.course().map(|course| course.edu_no.get()));
            }
        }
        let moved =
            self.gateway.iter().filter(|(_, balance)| balance.moved_at.is_some_and(|at| self.recent.is(at)));
        orders.extend(moved.map(|(order, _)| *order));
        (self.recent.orders, self.recent.courses) = (orders, courses);
        self
    }

    /// Every order that any context, the card company or the view knows.
    pub(crate) fn orders(&self) -> BTreeSet<u64> {
        let histories = self.histories().into_iter().flat_map(|(_, history)| history.orders.keys());
        histories.chain(self.gateway.keys()).chain(self.information.rows.keys()).copied().collect()
    }
}
