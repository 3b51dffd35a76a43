//! Taking an order.

use super::payment::LOOK_AGAIN;
use super::{NotDone, Service, add};
use crate::domain::{self, Application, Apply, Client, Command, Order, Refusal};
use crate::ports::Ports;
use crate::store::{self, NewKey, Snapshot, Stored, Use};
use ::store::{Storage, StoreError};
use breaker::Admission;
use journal::{Decision, Tell};
use kernel::event::{Applicant, Event};
use kernel::{CardNumber, CustomerId, EduNo, Guests, Language, OrderId, Timestamp};
use std::time::{Duration, Instant};

/// How often somebody who applies before any course is known looks again, and how long between: 2 s in all.
const FIRST_COURSES_LOOKS: u32 = 20;
const FIRST_COURSES_PAUSE: Duration = Duration::from_millis(100);

/// How many numbers are tried before none is said to be free. Two in one millisecond are the same once in 4096 times.
const MAX_NUMBERS: u32 = 10;

/// What somebody applies with.
#[derive(Clone, Debug)]
pub(crate) struct Applying {
    /// The number of the order; without one it gets one.
    pub(crate) order_id: Option<OrderId>,
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) edu_no: EduNo,
    pub(crate) guest: Guests,
    pub(crate) language: Language,
    pub(crate) card: Option<CardNumber>,
    pub(crate) key: Option<String>,
    /// Who is held to a rate, if anybody is.
    pub(crate) client: Option<Client>,
}

/// What became of an application.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    /// It is an order now. Where that is not paid yet: in how many seconds to look again.
    Taken(Stored, u64),
    Same(Stored),
    /// Its key was used for the same content before: this is the order of then.
    Replayed {
        stored: Stored,
        /// Whether the key came with what made the order.
        was_taken: bool,
    },
}

impl Applied {
    pub(crate) const fn stored(&self) -> &Stored {
        let (Self::Taken(stored, _) | Self::Same(stored) | Self::Replayed { stored, .. }) = self;
        stored
    }
}

impl Applying {
    fn application(&self, order_id: OrderId) -> Application {
        let &Self { customer_id, edu_no, guest, language, .. } = self;
        let applicant = Applicant { order_id, customer_id, edu_no, guest, language };
        Application { applicant, card_last4: self.card.as_ref().map(|card| card.last4().to_owned()) }
    }

    /// What a key stands for. A number of our own choice is no part of it.
    fn fingerprint(&self, application: &Application) -> String {
        let wanted = self.order_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        format!("{wanted}|{}", application.fingerprint())
    }
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Takes an order and has it paid within the deadline that begins with the call, or finds it taken.
    pub(crate) async fn apply(
        &self,
        applying: &Applying,
        traceparent: Option<&str>,
    ) -> Result<Applied, NotDone> {
        loop {
            let begun = Instant::now();
            let mut admission = None;
            let applied = match self.take(applying, &mut admission, traceparent).await {
                Err(NotDone::Refused(Refusal::UnknownCourse(_)))
                    if self.has_just_heard_of_courses().await? =>
                {
                    continue;
                }
                applied => applied?,
            };
            let Applied::Taken(stored, seconds) = applied else { return Ok(applied) };
            faults::point("order", "committed").await;
            let Some(admission) = admission else { return Ok(Applied::Taken(stored, seconds)) };
            let (stored, seconds) =
                self.have_paid(stored, admission, applying.card.as_ref(), begun, traceparent).await?;
            return Ok(Applied::Taken(stored, seconds));
        }
    }

    /// One read, one statement. `admission` is what the breaker said, if it was asked.
    pub(crate) async fn take(
        &self,
        applying: &Applying,
        admission: &mut Option<Admission>,
        traceparent: Option<&str>,
    ) -> Result<Applied, NotDone> {
        let now = Timestamp::now();
        let decide = async |storage: &S| -> Result<_, NotDone> {
            let (application, snapshot) = load(storage, applying, now).await?;
            let fingerprint = applying.fingerprint(&application);
            let Snapshot { course, key, full_at, stored } = snapshot;
            if let Some(key) = key {
                let stored = stored.filter(|_| key.fingerprint == fingerprint).ok_or(NotDone::KeyReused)?;
                let was_taken = key.made_at == stored.order.ordered_at;
                return Ok((Decision::new(), Applied::Replayed { stored, was_taken }));
            }
            // What was taken before may be asked for again as often as one likes.
            let client = applying.client.as_ref().filter(|_| stored.is_none());
            if let Some(client) = client {
                client.rate.check(full_at, now.millis()).map_err(NotDone::TooMany)?;
            }
            let key = applying.key.as_deref();
            let key = key.map(|key| NewKey { key, fingerprint: &fingerprint, made_at: now.millis() });
            let apply = Apply {
                application: &application,
                course: course.as_ref().map(|(course, _)| course),
                breaker_open: false,
                now,
                due_at: now.plus_minutes(self.settings.payment_due_minutes),
            };
            let order = stored.as_ref().map(|stored| &stored.order);
            let events = self.decide_to_take(order, apply, admission).await?;
            let [first @ Event::Ordered(ordered), more @ ..] = &*events else {
                // Nothing is to be decided where it was taken before.
                let stored = stored.ok_or(Refusal::UnknownOrder)?;
                if let Some(key) = key {
                    remember(storage, &key, &stored).await?;
                }
                return Ok((Decision::new(), Applied::Same(stored)));
            };
            let order_id = ordered.applicant.order_id;
            let taken = Stored::new(Order::of(ordered), course.as_ref());
            let mut decision = Decision::new();
            decision.expect("course", applying.edu_no, taken.course_version);
            decision.event(taken.version, first, now, traceparent);
            let taken = add(&mut decision, taken, more, now, traceparent);
            if let Some(card) = self.card_for_retry(applying.card.as_ref(), &taken, now)? {
                decision.beside("card", order_id, &card);
            }
            if let Some(key) = key {
                decision.beside("key", order_id, &key);
            }
            if let Some(client) = client {
                decision.beside("rate", &client.name, &Use::of(client, now));
            }
            Ok((decision, Applied::Taken(taken, LOOK_AGAIN)))
        };
        self.journal.carry_out(decide).await
    }

    /// The breaker is asked once, and only where `pay` would be asked next: its yes may be the one probe that others are
    /// waiting for.
    async fn decide_to_take(
        &self,
        order: Option<&Order>,
        mut apply: Apply<'_>,
        admission: &mut Option<Admission>,
    ) -> Result<Vec<Event>, Refusal> {
        let events = domain::decide(order, &Command::Apply(apply))?;
        let [Event::Ordered(_)] = &*events else { return Ok(events) };
        if admission.is_none() {
            *admission = Some(self.ports.admit().await);
        }
        apply.breaker_open = matches!(admission, Some(Admission::Refused { .. }));
        domain::decide(order, &Command::Apply(apply))
    }

    /// Whether the first courses came in while the caller waited. At the very first start, `order` knows none until
    /// `reservation` has opened them: that is no reason to refuse somebody for good. Where it knows some already, one
    /// that is not among them is not waited for.
    async fn has_just_heard_of_courses(&self) -> Result<bool, StoreError> {
        let storage = &self.journal.storage;
        if store::knows_courses(storage).await? {
            return Ok(false);
        }
        for _ in 0..FIRST_COURSES_LOOKS {
            self.ports.wait(FIRST_COURSES_PAUSE).await;
            if store::knows_courses(storage).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The application under its number, and what it is decided from. A number that is left to us is one that is free.
async fn load(
    storage: &impl Storage,
    applying: &Applying,
    now: Timestamp,
) -> Result<(Application, Snapshot), StoreError> {
    for _ in 0..MAX_NUMBERS {
        let order_id = applying.order_id.map_or_else(|| next_order_id(now), Ok)?;
        let application = applying.application(order_id);
        let client = applying.client.as_ref().map(|client| &*client.name);
        let snapshot =
            store::snapshot(storage, &application.applicant, applying.key.as_deref(), client).await?;
        if applying.order_id.is_some() || snapshot.key.is_some() || snapshot.stored.is_none() {
            return Ok((application, snapshot));
        }
    }
    Err(StoreError::unavailable("no order number was free"))
}

/// Milliseconds since 2020 times 4096, and 12 random bits: sorts as it was made, and stays below 2^53 for
/// as long as anybody will care (until 2089).
fn next_order_id(now: Timestamp) -> Result<OrderId, StoreError> {
    const MILLIS_AT_2020: i64 = 1_577_836_800_000;
    let millis = u64::try_from(now.millis() - MILLIS_AT_2020).unwrap_or(0);
    let random = getrandom::u64().unwrap_or(0) & 0xfff;
    OrderId::parse((millis.wrapping_mul(4096) | random) & kernel::MAX_ID)
        .map_err(|refused| StoreError::Failure(refused.to_string()))
}

/// Has a key stand for an order that was there already, unless another was faster with the key.
async fn remember(storage: &impl Storage, key: &NewKey<'_>, stored: &Stored) -> Result<(), NotDone> {
    let first = store::remember_key(storage, key, stored.order_id()).await?;
    first.filter(|first| first.fingerprint == key.fingerprint).map(drop).ok_or(NotDone::KeyReused)
}
