//! What this context reacts to, and what time demands of it.

use crate::cashier::{self, Answer, Line, Way};
use crate::office::{Office, Surroundings};
use crate::settings::{Role, Settings};
use crate::store::{self, DATABASE, Fact, Retry};
use crate::{CONTEXT, OUTBOX};
use ::store::Storage;
use breaker::Permit;
use eventlog::{Consumer, Envelope, Unhandled, Wake, drain};
use futures::future::FutureExt;
use futures::join;
use futures::stream::{FuturesUnordered, StreamExt};
use kernel::event::{CancelReason, Event};
use kernel::{OrderId, PayStatus, Timestamp};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Whose events are followed; the Redis triggers of `order-worker` in `spin.toml` say the same.
const SOURCES: &[&str] = &["pay", "reservation"];

/// For how long one tick begins new work: a worker takes one message at a time, so that events wait meanwhile.
const BUDGET: Duration = Duration::from_secs(2);

/// How many payments are tried at once. Where `pay` takes 400 ms, as the seed's does, this is about 160 payments a
/// second: after an outage the backlog has to be gone within two minutes.
const CONCURRENCY: usize = 64;

/// How many milliseconds longer than any call a claimed payment is left alone by other workers.
const LEASE_MARGIN: i64 = 2_000;

/// How many hours an `Idempotency-Key` is remembered.
const KEY_HOURS: i64 = 24;

/// Answers one message of the Redis trigger.
pub(crate) async fn react(message: &[u8]) -> anyhow::Result<()> {
    let settings = Settings::load(Role::Worker).await?;
    let wake = Wake::of(message);
    if wake == Wake::Tick {
        let office =
            Office { storage: &DATABASE, around: Line(Rc::clone(&settings)), settings: Rc::clone(&settings) };
        // What is owed to customers does not wait for the log.
        let (relayed, done) = join!(OUTBOX.tick(&settings.redis_url), office.tick());
        done?;
        relayed?;
    }
    drain(&settings.redis_url, CONTEXT, SOURCES, wake, &Policies { storage: &DATABASE }).await?;
    OUTBOX.relay(&settings.redis_url).await?;
    Ok(())
}

impl<S: Storage, O: Surroundings> Office<S, O> {
    /// Does what time demands. One duty that fails does not keep the others from being done.
    pub async fn tick(&self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let begun = Instant::now();
        let expired = self.expire(now, begun).await;
        let retried = self.retry_payments(begun).await;
        let forgot = store::forget_keys(&self.storage, now.plus_minutes(-60 * KEY_HOURS)).await;
        expired?;
        retried?;
        forgot?;
        Ok(())
    }

    async fn expire(&self, now: Timestamp, begun: Instant) -> anyhow::Result<()> {
        while store::expire(&self.storage, now).await? > 0 && begun.elapsed() < BUDGET {}
        Ok(())
    }

    /// Asks `pay` for what is due, for as long as the breaker lets it and the budget lasts. As soon as some have
    /// answered others take their places, so that one slow answer holds up nobody else's payment.
    async fn retry_payments(&self, begun: Instant) -> anyhow::Result<()> {
        let mut asking = FuturesUnordered::new();
        loop {
            if begun.elapsed() < BUDGET && asking.len() <= CONCURRENCY / 2 {
                let (permit, claimed) = self.claim(asking.len()).await?;
                asking.extend(claimed.into_iter().map(|retry| self.try_again(permit, retry)));
            }
            let Some(first) = asking.next().await else { return Ok(()) };
            let mut answered = vec![first];
            while let Some(Some(next)) = asking.next().now_or_never() {
                answered.push(next);
            }
            faults::point("order", "pay-answered").await;
            self.write_down(&answered).await?;
        }
    }

    /// Takes what is due, but no more than there is room for beside those that are being asked; nothing while the
    /// breaker is open, and one while it probes.
    async fn claim(&self, asking: usize) -> anyhow::Result<(Option<Permit>, Vec<Retry>)> {
        if !store::any_retry_due(&self.storage, Timestamp::now()).await? {
            return Ok((None, vec![]));
        }
        let Way::Free(permit) = self.around.way().await else { return Ok((None, vec![])) };
        let limit = if permit.is_some_and(|permit| permit.is_probe()) { 1 } else { CONCURRENCY - asking };
        let lease = i64::try_from(self.patience().as_millis()).unwrap_or(i64::MAX / 2);
        let now = Timestamp::now();
        let lease_end = now.plus_millis(lease.saturating_add(LEASE_MARGIN));
        let claimed = store::claim_retries(&self.storage, limit, now, lease_end).await?;
        faults::point("order", "retry-claimed").await;
        Ok((permit, claimed))
    }

    /// Longer than the deadline, so that a `pay` that is merely slow gets through in the end.
    fn patience(&self) -> Duration {
        (self.settings.pay_deadline * 4).max(Duration::from_secs(2))
    }

    async fn try_again(&self, permit: Option<Permit>, retry: Retry) -> (Retry, Answer) {
        let answer = match open(&self.settings, &retry) {
            Ok(card) => cashier::ask(self, permit, &retry.stored, card.as_ref(), self.patience(), None).await,
            Err(error) => {
                // Only the customer can help, and is led to by the order's state.
                eprintln!("order {:?}: {error}", retry.stored.order_id());
                Answer::Refused
            }
        };
        (retry, answer)
    }

    async fn write_down(&self, answered: &[(Retry, Answer)]) -> anyhow::Result<()> {
        let (mut settled, mut unsettled) = (Vec::new(), Vec::new());
        for (retry, answer) in answered {
            match answer {
                Answer::Settled(fact) => settled.push(fact.clone()),
                _ => unsettled.extend(retry.stored.order_id().map(|order_id| (order_id, retry.attempts))),
            }
        }
        store::settle(&self.storage, &settled).await?;
        store::postpone(&self.storage, &unsettled, Timestamp::now()).await?;
        Ok(())
    }
}

fn open(settings: &Settings, retry: &Retry) -> Result<Option<kernel::CardNumber>, crate::sealing::SealError> {
    match (&retry.sealed, retry.stored.order_id()) {
        (Some(sealed), Some(order_id)) => settings.seal.open(sealed, order_id).map(Some),
        _ => Ok(None),
    }
}

/// Whenever → then.
pub struct Policies<'a, S> {
    /// The store of this context.
    pub storage: &'a S,
}

impl<S: Storage> Consumer for Policies<'_, S> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let now = Timestamp::now();
        let facts: Vec<Fact> = events.iter().filter_map(fact).collect();
        store::replicate(self.storage, &facts).await?;

        let courses: Vec<_> =
            events.iter().filter_map(|e| e.event.course().map(|course| (course, e.version))).collect();
        store::learn_courses(self.storage, &courses).await?;

        let rejected: Vec<(OrderId, Option<String>)> = events
            .iter()
            .filter_map(|e| match &e.event {
                Event::ReservationRejected(rejected) => {
                    Some((rejected.applicant.order_id, e.traceparent.clone()))
                }
                _ => None,
            })
            .collect();
        store::cancel_all(self.storage, &rejected, CancelReason::ReservationRejected, now).await?;

        // After the copy was brought up to date: whoever applies from now on is refused.
        for event in events {
            if let Event::CourseCanceled(course) = &event.event {
                let trace = event.traceparent.as_deref();
                store::cancel_course(self.storage, course.edu_no, trace, now).await?;
            }
        }
        Ok(())
    }
}

/// What one of `pay`'s events tells; nothing from another's.
fn fact(envelope: &Envelope) -> Option<Fact> {
    let (status, card_last4) = match &envelope.event {
        Event::Paid(paid) => (PayStatus::Paid, paid.card_last4.clone()),
        Event::PaymentDeclined(declined) => (PayStatus::PaymentDeclined, declined.card_last4.clone()),
        Event::PaymentCanceled(_) => (PayStatus::PaymentCanceled, None),
        _ => return None,
    };
    let order_id = envelope.event.applicant()?.order_id;
    Some(Fact { order_id, status, version: envelope.version, card_last4 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::Seal;
    use ::store::int;
    use ::store::native::{Sqlite, at_once};
    use breaker::{Admission, Breaker, Outcome, Shared};
    use bytes::Bytes;
    use http::StatusCode;
    use std::cell::{Cell, RefCell};

    /// A store that keeps nothing: a breaker that shares its state through it is closed.
    struct Nothing;

    impl Shared for Nothing {
        type Error = std::convert::Infallible;

        async fn get(&self, _: &str) -> Result<Option<String>, Self::Error> {
            Ok(None)
        }

        async fn set(&self, _: &str, _: &str) -> Result<(), Self::Error> {
            Ok(())
        }

        async fn delete(&self, _: &str) -> Result<(), Self::Error> {
            Ok(())
        }

        async fn increment(&self, _: &str, by: i64) -> Result<i64, Self::Error> {
            Ok(by)
        }

        async fn count(&self, _: &str) -> Result<i64, Self::Error> {
            Ok(0)
        }
    }

    /// A `pay` that answers so, if at all, behind a breaker that counts who asks and keeps what it is told.
    struct Around {
        answer: Option<StatusCode>,
        breaker: Breaker,
        asked: Cell<u32>,
        told: RefCell<Vec<Outcome>>,
        /// How often something was committed of which others are to hear soon.
        committed: Cell<u32>,
        /// What happens while somebody waits.
        meanwhile: RefCell<Option<Box<dyn FnOnce()>>>,
    }

    impl Surroundings for Around {
        async fn way(&self) -> Way {
            self.asked.set(self.asked.get() + 1);
            let Ok(Admission::Call(permit)) = self.breaker.admit(&Nothing, 0).await else {
                panic!("a closed breaker refuses nothing");
            };
            Way::Free(Some(permit))
        }

        async fn post_pay(
            &self,
            _: String,
            _: Option<&str>,
            _: Duration,
        ) -> anyhow::Result<Option<(StatusCode, Bytes)>> {
            let paid = Bytes::from_static(br#"{"status":"Paid","version":1}"#);
            Ok(self.answer.map(|status| (status, paid)))
        }

        async fn tell(&self, _: Permit, outcome: Outcome) {
            self.told.borrow_mut().push(outcome);
        }

        async fn wait(&self, _: Duration) {
            if let Some(act) = self.meanwhile.take() {
                act();
            }
        }

        fn committed(&self) {
            self.committed.set(self.committed.get() + 1);
        }
    }

    /// With order 1, which costs nothing.
    fn office(answer: Option<StatusCode>) -> Office<Sqlite, Around> {
        let time = Duration::from_millis(610);
        let breaker =
            breaker::Settings { window: time, min_calls: 20, failure_ratio: 0.5, open: time, call: time };
        let settings = Settings {
            role: Role::Worker,
            redis_url: String::new(),
            pay_url: String::new(),
            pay_deadline: time,
            breaker,
            payment_due_minutes: 30,
            seal: Seal::new(&"0f".repeat(32)).unwrap(),
        };
        let storage = Sqlite::in_memory(&DATABASE).unwrap();
        let order = "INSERT INTO orders (order_id, edu_no, guest, language, amount, course_title, ordered_at,
                status, version)
            VALUES (1, 101, 1, 'ko', 0, 'x', '2026-01-01T00:00:00.000Z', 'Ordered', 1)";
        storage.run(order, &[]).unwrap();
        let around = Around {
            answer,
            breaker: Breaker::new("pay", breaker),
            asked: Cell::new(0),
            told: RefCell::default(),
            committed: Cell::new(0),
            meanwhile: RefCell::default(),
        };
        Office { storage, around, settings: Rc::new(settings) }
    }

    const COURSE: &str = "INSERT INTO courses VALUES (101, 'x', 5, 'Open', 1)";
    const APPLICATION: &str = r#"{"orderId":7,"eduNo":101,"cardNo":"4111111111111234"}"#;

    fn post(office: &Office<Sqlite, Around>, path: &str, body: &str) -> u16 {
        ask(office, hal::Method::POST, path, body)
    }

    /// The status that a request is answered with.
    fn ask(office: &Office<Sqlite, Around>, method: hal::Method, path: &str, body: &str) -> u16 {
        let request = hal::Request {
            method,
            segments: path.split('/').skip(1).map(str::to_owned).collect(),
            path: path.to_owned(),
            query: hal::Query::default(),
            headers: http::HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            base: String::new(),
        };
        let answered = at_once(office.answer(&request)).unwrap();
        let response = answered.unwrap_or_else(|error| error.into_problem(path).into());
        response.into_http().status().as_u16()
    }

    /// Orders 2 to `last`, which are due.
    fn due_orders(office: &Office<Sqlite, Around>, last: u32) {
        let many = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO orders (order_id, edu_no, guest, language, amount, course_title, ordered_at, status,
                version, due_at)
            SELECT i, 101, 1, 'ko', 0, 'x', '2026-01-01T00:00:00.000Z', 'Ordered', 1, 0 FROM n";
        office.storage.run(many, &[int(last)]).unwrap();
    }

    fn tick(office: &Office<Sqlite, Around>) {
        at_once(office.tick()).unwrap().unwrap();
    }

    #[test]
    fn what_is_due_is_asked_for_and_waits_a_second_where_it_did_not_settle() {
        let office = office(None);
        tick(&office);
        assert_eq!(office.around.asked.get(), 0, "the breaker's yes may be the probe that another needs");
        let now = Timestamp::now().millis();
        office.storage.run("INSERT INTO retries VALUES (1, NULL, 0, ?)", &[int(now)]).unwrap();
        tick(&office);
        assert_eq!(office.around.asked.get(), 1);
        let next_at = office.storage.number("SELECT next_at FROM retries").unwrap();
        assert!((now + 1_000..now + 4_000).contains(&next_at), "{}", next_at - now);
    }

    #[test]
    fn a_key_is_remembered_for_a_day() {
        let office = office(None);
        let ago = |minutes: i64| int(Timestamp::now().plus_minutes(-minutes).millis());
        let keys = "INSERT INTO idempotency_keys VALUES ('old', 1, '', ?), ('young', 2, '', ?)";
        office.storage.run(keys, &[ago(24 * 60 + 1), ago(24 * 60 - 1)]).unwrap();
        tick(&office);
        assert_eq!(office.storage.number("SELECT order_id FROM idempotency_keys").unwrap(), 2);
    }

    #[test]
    fn only_what_is_about_the_payment_is_a_refusal() {
        for (status, refused) in [(409, true), (422, true), (404, false), (500, false)] {
            let office = office(Some(StatusCode::from_u16(status).unwrap()));
            let order = OrderId::parse(1).unwrap();
            let stored = at_once(store::find(&office.storage, order)).unwrap().unwrap().unwrap();
            let asked = cashier::ask(&office, None, &stored, None, Duration::ZERO, None);
            assert_eq!(at_once(asked).unwrap() == Answer::Refused, refused, "{status}");
        }
    }

    #[test]
    fn a_duty_that_fails_keeps_no_other_from_being_done() {
        let office = office(None);
        due_orders(&office, 2);
        // It can neither be expired nor be paid.
        office.storage.run("UPDATE orders SET language = 'fr' WHERE order_id = 2", &[]).unwrap();
        office.storage.run("INSERT INTO retries VALUES (2, NULL, 0, 0)", &[]).unwrap();
        office.storage.run("INSERT INTO idempotency_keys VALUES ('old', 1, '', 0)", &[]).unwrap();
        assert!(at_once(office.tick()).unwrap().is_err());
        assert_eq!(office.around.asked.get(), 1);
        assert_eq!(office.storage.number("SELECT count(*) FROM idempotency_keys").unwrap(), 0);
    }

    #[test]
    fn what_pay_answers_the_worker_is_written_down_without_waiting_for_its_event() {
        let office = office(Some(StatusCode::CREATED));
        office.storage.run("INSERT INTO retries VALUES (1, NULL, 0, 0)", &[]).unwrap();
        tick(&office);
        let paid = "SELECT count(*) FROM orders WHERE pay_status = 'Paid' AND pay_version = 1
            AND order_id NOT IN (SELECT order_id FROM retries)";
        assert_eq!(office.storage.number(paid).unwrap(), 1);
    }

    #[test]
    fn paying_without_a_card_is_refused_and_the_card_that_is_kept_stays() {
        let office = office(None);
        office.storage.run(COURSE, &[]).unwrap();
        assert_eq!(post(&office, "/orders", APPLICATION), 201);
        assert_eq!(post(&office, "/orders/7/payment", "{}"), 422);
        let kept = "SELECT count(*) FROM retries WHERE sealed IS NOT NULL";
        assert_eq!(office.storage.number(kept).unwrap(), 1);
    }

    #[test]
    fn an_order_has_half_an_hour_to_be_paid_and_its_request_the_deadline_and_a_second() {
        let office = office(None);
        office.storage.run(COURSE, &[]).unwrap();
        let now = Timestamp::now().millis();
        assert_eq!(post(&office, "/orders", APPLICATION), 201);
        let after = |sql| office.storage.number(sql).unwrap() - now;
        assert!((1_800_000..1_803_000).contains(&after("SELECT due_at FROM orders WHERE order_id = 7")));
        assert!((1_610..3_000).contains(&after("SELECT next_at FROM retries")));
    }

    #[test]
    fn what_is_claimed_is_left_alone_for_longer_than_a_call_and_is_no_more_than_there_is_room_for() {
        let office = office(None);
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
            INSERT INTO retries SELECT i, NULL, 0, 0 FROM n";
        office.storage.run(many, &[]).unwrap();
        let now = Timestamp::now().millis();
        drop(at_once(office.claim(60)).unwrap().unwrap());
        assert_eq!(office.storage.number("SELECT count(*) FROM retries WHERE attempts = 1").unwrap(), 4);
        let lease = office.storage.number("SELECT max(next_at) FROM retries").unwrap() - now;
        assert!((4_440..6_000).contains(&lease), "{lease}");
    }

    #[test]
    fn whoever_applies_before_any_course_is_known_waits_for_the_first() {
        let office = office(None);
        assert_eq!(post(&office, "/orders", APPLICATION), 422);
        let storage = office.storage.clone();
        let course_comes: Box<dyn FnOnce()> = Box::new(move || drop(storage.run(COURSE, &[]).unwrap()));
        office.around.meanwhile.replace(Some(course_comes));
        assert_eq!(post(&office, "/orders", APPLICATION), 201);
    }

    #[test]
    fn however_many_orders_are_due_one_tick_ends_them() {
        let office = office(None);
        due_orders(&office, 451);
        tick(&office);
        let living = "SELECT count(*) FROM orders WHERE status = 'Ordered'";
        assert_eq!(office.storage.number(living).unwrap(), 1);
    }

    #[test]
    fn what_was_paid_while_its_card_was_put_away_is_not_asked_for_again() {
        let office = office(None);
        // Between the order's being read and its card's being kept, it is paid.
        let overtaken = "CREATE TRIGGER overtaken BEFORE INSERT ON retries BEGIN
            UPDATE orders SET pay_status = 'Paid', pay_version = 1 WHERE order_id = NEW.order_id;
            SELECT RAISE(IGNORE);
        END";
        office.storage.run(overtaken, &[]).unwrap();
        assert_eq!(post(&office, "/orders/1/payment", "{}"), 200);
        assert_eq!(office.around.asked.get(), 0);
    }

    #[test]
    fn others_are_to_hear_soon_of_an_order_of_its_delay_and_of_its_end() {
        let office = office(None);
        office.storage.run(COURSE, &[]).unwrap();
        assert_eq!(post(&office, "/orders", APPLICATION), 201);
        assert_eq!(office.storage.number("SELECT count(*) FROM events").unwrap(), 2);
        assert_eq!(office.around.committed.get(), 2);
        assert_eq!(ask(&office, hal::Method::DELETE, "/orders/7", ""), 204);
        assert_eq!(office.around.committed.get(), 3);
    }

    #[test]
    fn an_answer_that_is_no_success_is_not_believed_whatever_it_says() {
        for status in [302, 404, 500, 502] {
            let office = office(Some(StatusCode::from_u16(status).unwrap()));
            office.storage.run("INSERT INTO retries VALUES (1, NULL, 0, 0)", &[]).unwrap();
            tick(&office);
            let paid = "SELECT count(*) FROM orders WHERE pay_status = 'Paid'";
            assert_eq!(office.storage.number(paid).unwrap(), 0, "{status}");
            assert_eq!(office.storage.number("SELECT count(*) FROM retries").unwrap(), 1, "{status}");
        }
    }

    #[test]
    fn a_tick_that_could_not_try_a_payment_has_failed() {
        let office = office(None);
        office.storage.run("UPDATE orders SET language = 'fr'", &[]).unwrap();
        office.storage.run("INSERT INTO retries VALUES (1, NULL, 0, 0)", &[]).unwrap();
        assert!(at_once(office.tick()).unwrap().is_err());
    }

    #[test]
    fn a_card_that_is_none_is_refused_even_where_none_is_needed() {
        let office = office(Some(StatusCode::CREATED));
        assert_eq!(post(&office, "/orders/1/payment", r#"{"cardNo":"12"}"#), 422);
        assert_eq!(office.around.asked.get(), 0);
    }

    #[test]
    fn of_several_answers_that_have_come_each_is_written_down() {
        let office = office(Some(StatusCode::CREATED));
        due_orders(&office, 3);
        office.storage.run("UPDATE orders SET due_at = NULL", &[]).unwrap();
        office.storage.run("INSERT INTO retries SELECT order_id, NULL, 0, 0 FROM orders", &[]).unwrap();
        tick(&office);
        let paid = "SELECT count(*) FROM orders WHERE pay_status = 'Paid'";
        assert_eq!(office.storage.number(paid).unwrap(), 3);
    }

    #[test]
    fn the_breaker_is_told_of_a_failure_where_nothing_was_answered_or_too_late() {
        let told = |answer: Option<u16>, deadline: Duration| {
            let mut office = office(answer.map(|status| StatusCode::from_u16(status).unwrap()));
            Rc::get_mut(&mut office.settings).unwrap().pay_deadline = deadline;
            office.storage.run("INSERT INTO retries SELECT order_id, NULL, 0, 0 FROM orders", &[]).unwrap();
            tick(&office);
            office.around.told.take()
        };
        let ample = Duration::from_secs(60);
        assert_eq!(told(Some(201), ample), [Outcome::Success]);
        assert_eq!(told(Some(409), ample), [Outcome::Success], "a refusal on the merits is an answer");
        assert_eq!(told(Some(503), ample), [Outcome::Failure]);
        assert_eq!(told(None, ample), [Outcome::Failure]);
        assert_eq!(told(Some(201), Duration::ZERO), [Outcome::Failure], "it came after the deadline");
    }

    #[test]
    fn a_tick_that_could_not_forget_the_keys_has_failed() {
        let office = office(None);
        office.storage.run("DROP TABLE idempotency_keys", &[]).unwrap();
        assert!(at_once(office.tick()).unwrap().is_err());
    }
}
