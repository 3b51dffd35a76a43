//! What the view reacts to: everything that `order`, `pay` and `reservation` tell, and the names of members.

use crate::domain::Told;
use crate::store;
use ::store::{Storage, StoreError};
use eventlog::{Envelope, Unhandled, Worker};
use kernel::Timestamp;
use kernel::event::{Event, newest_members};

/// The read model as a worker: what a batch says of orders and courses is one statement, harmless when repeated.
pub struct View<S> {
    /// Where it is kept.
    pub storage: S,
    /// For how many days it is kept whose an order was, from when it changed last.
    pub contract_records_days: u16,
}

impl<S: Storage> Worker for View<S> {
    const NAME: &'static str = "information";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        self.take_in(events).await?;
        if events.iter().any(|told| matches!(told.event, Event::MemberErased(_))) {
            ::store::wipe(&self.storage).await;
        }
        Ok(())
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        let kept_from = Timestamp::now().plus_days(-i64::from(self.contract_records_days));
        Ok(store::anonymise(&self.storage, kept_from).await?)
    }
}

impl<S: Storage> View<S> {
    /// Joins what these events say with what is there.
    pub async fn take_in(&self, events: &[Envelope]) -> Result<(), StoreError> {
        let members = newest_members(events.iter().map(|told| (told.version, &told.event)));
        if !members.is_empty() {
            store::keep_people(&members).run(&self.storage).await?;
        }
        let mut told = events
            .iter()
            .filter(|told| told.event.member().is_none())
            .map(|told| Told::of(&told.source, told.version, told.time, &told.event))
            .peekable();
        if told.peek().is_none() {
            return Ok(());
        }
        store::take_in(told).run(&self.storage).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use ::store::native::{Store, at_once};
    use kernel::event::{Member, MemberErased};
    use kernel::{CourseStatus, CustomerId, Language, PersonName, Timestamp};

    ::store::on_postgres!(
        an_order_is_shown_with_the_course_that_the_same_batch_tells_of_and_that_takes_one_statement,
        somebody_is_known_by_name_until_they_are_erased_whatever_comes_late,
        whose_an_order_was_is_forgotten_after_five_years_and_the_order_is_shown_on,
    );

    #[test]
    fn whose_an_order_was_is_forgotten_after_five_years_and_the_order_is_shown_on() {
        let storage = Store::new(&store::DATABASE);
        let view = View { storage: &storage, contract_records_days: 1827 };
        let event = samples::history().swap_remove(0).2;
        let told = |time: Timestamp, order_id: u64| {
            let mut event = event.clone();
            if let Event::Ordered(ordered) = &mut event {
                ordered.applicant.order_id = kernel::OrderId::parse(order_id).unwrap();
                ordered.applicant.customer_id = CustomerId::parse(7).ok();
            }
            Envelope::new("order", 1, time, event)
        };
        let days = |days: i64| Timestamp::now().plus_days(-days);
        at_once(view.handle(&[told(days(1828), 1), told(days(1826), 2)])).unwrap().unwrap();
        at_once(view.tick(true)).unwrap().unwrap();
        let rows =
            storage.run("SELECT customer_id, order_status FROM infomations ORDER BY order_id", &[]).unwrap();
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (row.opt_int("customer_id").unwrap(), row.opt_string("order_status").unwrap().unwrap())
            })
            .collect();
        assert_eq!(shown, [(None, "Ordered".to_owned()), (Some(7), "Ordered".to_owned())]);
        let before = storage.statements();
        at_once(view.tick(true)).unwrap().unwrap();
        assert_eq!(storage.statements() - before, 1, "where nothing is due it is one look");
    }

    #[test]
    fn somebody_is_known_by_name_until_they_are_erased_whatever_comes_late() {
        let (customer_id, at) = (CustomerId::parse(7).unwrap(), Timestamp::from_millis(0));
        let member = |name: &str| Member {
            customer_id,
            name: PersonName::parse(name).ok(),
            phone: None,
            email: None,
            language: Language::Ko,
            messages: kernel::WantedMessages::All,
            roles: vec![],
            at,
        };
        let storage = Store::new(&store::DATABASE);
        let tell = |version, event: Event| {
            let told = Envelope::new("member", version, at, event);
            at_once(View { storage: &storage, contract_records_days: 1827 }.handle(&[told]))
                .unwrap()
                .unwrap();
        };
        let known = || {
            let rows = storage.run("SELECT name FROM people", &[]).unwrap();
            rows[0].opt_string("name").unwrap()
        };
        tell(1, Event::MemberRegistered(member("홍길동")));
        tell(2, Event::MemberChanged(member("임꺽정")));
        assert_eq!(known().as_deref(), Some("임꺽정"));
        tell(3, Event::MemberErased(MemberErased { customer_id, at }));
        tell(2, Event::MemberChanged(member("임꺽정")));
        assert_eq!(known(), None);
        assert_eq!(storage.number("SELECT count(*) FROM courses").unwrap(), 0, "a member is no course");
    }

    #[test]
    fn an_order_is_shown_with_the_course_that_the_same_batch_tells_of_and_that_takes_one_statement() {
        let applicant = samples::applicant(1113);
        let opened = Event::CourseOpened(samples::course(applicant.edu_no.get(), "자바", CourseStatus::Open));
        let batch = [samples::history().swap_remove(0).2, opened]
            .map(|event| Envelope::new(samples::context(&event), 1, Timestamp::from_millis(0), event));
        let storage = Store::new(&store::DATABASE);
        at_once(View { storage: &storage, contract_records_days: 1827 }.handle(&batch)).unwrap().unwrap();
        assert_eq!(storage.statements(), 1);
        let shown = at_once(store::find(&storage, applicant.order_id)).unwrap().unwrap().unwrap();
        assert_eq!(shown.statuses.course, Some(CourseStatus::Open));
        assert_eq!(shown.course_title.as_deref(), Some("자바"));
        assert_eq!(storage.number("SELECT count(*) FROM timeline").unwrap(), 1, "a course is in no timeline");
    }
}
