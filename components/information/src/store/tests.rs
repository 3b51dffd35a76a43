//! The statements on a real SQLite, held against the fold they stand for.

use super::*;
use crate::domain::{Statuses, by_order};
use crate::events;
use crate::samples;
use kernel::CourseStatus;
use kernel::event::Event;
use proptest::prelude::*;
use store::native;

/// A store as a component would find it.
struct Sqlite(native::Sqlite);

impl Sqlite {
    fn new() -> Self {
        Self(native::Sqlite::in_memory(&DATABASE).unwrap())
    }

    fn run(&self, statement: Statement) -> Vec<Row> {
        self.0.run(&statement.sql, &statement.params).unwrap()
    }

    /// Takes a batch in the way the component does.
    fn take(&self, batch: &[(u64, i64, Event)]) {
        let steps = batch.iter().filter_map(|(version, time, event)| {
            events::step(samples::context(event), *version, Timestamp::from_millis(*time), event)
        });
        let rows = by_order(batch.iter().filter_map(|(version, time, event)| {
            Information::of(*version, Timestamp::from_millis(*time), event)
        }));
        self.run(add_steps(&steps.collect::<Vec<_>>()));
        self.run(join_rows(&rows));
    }

    fn dump(&self, table: &str) -> Vec<String> {
        self.0.dump(table).unwrap()
    }
}

impl Sqlite {
    fn page(&self, filter: &Filter, paging: &Paging) -> Vec<u64> {
        self.run(ask_page(filter, paging)).iter().map(|row| Found::read(row).unwrap().order_id).collect()
    }

    fn count(&self, filter: &Filter) -> u64 {
        self.run(ask_count(filter)).first().map_or(0, |row| row.count(0).unwrap())
    }

    fn found(&self, order_id: u64) -> Found {
        Found::read(&self.run(ask_one(OrderId::parse(order_id).unwrap()))[0]).unwrap()
    }
}

fn paging(size: u64) -> Paging {
    Paging { page: 0, size, sort: None, after: None }
}

proptest! {
    #[test]
    fn the_store_ends_as_the_fold_does_however_the_events_come(
        events in samples::disorder(),
        batch_size in 1..=8_usize,
    ) {
        let (whole, piecemeal) = (Sqlite::new(), Sqlite::new());
        whole.take(&samples::in_order(&events));
        for batch in events.chunks(batch_size) {
            piecemeal.take(batch);
        }
        for table in ["infomations", "timeline", "counts WHERE rows <> 0"] {
            prop_assert_eq!(whole.dump(table), piecemeal.dump(table));
        }

        let fold = by_order(events.iter().filter_map(|(version, time, event)| {
            Information::of(*version, Timestamp::from_millis(*time), event)
        }));
        let found = piecemeal.found(1113);
        let expected = Statuses {
            order: fold[0].order.map(|told| told.value),
            pay: fold[0].pay_status(),
            reservation: fold[0].seat.map(|told| told.value.status),
            course: None,
        };
        prop_assert_eq!(found.statuses, expected);
        prop_assert_eq!(found.waiting_position, fold[0].seat.and_then(|told| told.value.waiting_position).map(|n| n as i64));
        prop_assert_eq!(found.updated_at, fold[0].updated_at.to_string());
        prop_assert_eq!(found.amount, fold[0].amount.map(|won| won.get() as i64));
    }
}

#[test]
fn a_crash_after_the_timeline_heals_when_the_batch_comes_again() {
    let (crashed, whole) = (Sqlite::new(), Sqlite::new());
    let batch = samples::history();
    let steps = batch.iter().filter_map(|(version, time, event)| {
        events::step(samples::context(event), *version, Timestamp::from_millis(*time), event)
    });
    crashed.run(add_steps(&steps.collect::<Vec<_>>()));
    crashed.take(&batch);
    whole.take(&batch);
    for table in ["infomations", "timeline", "counts"] {
        assert_eq!(crashed.dump(table), whole.dump(table));
    }
}

#[test]
fn without_its_version_guards_the_store_would_show_what_came_last() {
    let guards = [
        ("order_version", "orderStatus"),
        ("pay_version", "payStatus"),
        ("reservation_version", "reservationStatus"),
    ];
    for (guard, shown) in guards {
        let sqlite = Sqlite::new();
        for (version, time, event) in samples::history().iter().rev() {
            let row = Information::of(*version, Timestamp::from_millis(*time), event).unwrap();
            let mut statement = join_rows(&[row]);
            let guarded = statement.sql.clone();
            // Off: any event that tells this group of columns wins.
            statement.sql =
                guarded.replace(&format!("excluded.{guard} > {guard}"), &format!("excluded.{guard} > 0"));
            assert_ne!(statement.sql, guarded);
            sqlite.run(statement);
        }
        let statuses = sqlite.found(1113).statuses;
        let canceled = [
            ("orderStatus", statuses.order == Some(OrderStatus::OrderCanceled)),
            ("payStatus", statuses.pay == Some(PayStatus::PaymentCanceled)),
            ("reservationStatus", statuses.reservation == Some(ReservationStatus::ReservationCanceled)),
        ];
        for (status, right) in canceled {
            assert_eq!(right, status != shown, "{status} without the guard of {guard}");
        }
    }
}

#[test]
fn the_timeline_is_told_in_the_order_in_which_it_happened() {
    let sqlite = Sqlite::new();
    for event in samples::history().iter().rev() {
        sqlite.take(std::slice::from_ref(event));
    }
    let rows = sqlite.run(ask_timeline(OrderId::parse(1113).unwrap()));
    let past: Vec<_> = rows.iter().map(|row| Past::read(row).unwrap()).collect();
    let told: Vec<_> = past.iter().map(|past| past.status.as_str()).collect();
    let happened: Vec<_> =
        samples::history().iter().map(|(_, _, event)| crate::domain::status_told(event).unwrap()).collect();
    assert_eq!(told, happened);
    assert_eq!(past[0].time, "1970-01-01T00:00:00.010Z");
}

#[test]
fn filters_sort_and_keys_choose_the_same_orders_as_a_look_at_all_would() {
    let sqlite = Sqlite::new();
    // Orders 1 to 12: of customers 1 to 3 and courses 101 and 102, each a little further than the one before.
    for order_id in 1..=12 {
        sqlite.take(&samples::history_of(order_id)[..order_id as usize % 10 + 1]);
    }
    let all: Vec<Found> = (1..=12).map(|order_id| sqlite.found(order_id)).collect();
    let status = |raw: &str| Some(raw.parse::<AnyStatus>().unwrap());
    let customer_id = Some(CustomerId::parse(2).unwrap());
    let edu_no = Some(EduNo::parse(102).unwrap());
    let filters = [
        Filter::default(),
        Filter { customer_id, ..Filter::default() },
        Filter { edu_no, ..Filter::default() },
        Filter { status: status("Paid"), ..Filter::default() },
        Filter { status: status("Order Canceled"), ..Filter::default() },
        Filter { status: status("Reservation Confirmed"), edu_no, ..Filter::default() },
        Filter { status: status("Waitlisted"), edu_no, customer_id },
    ];
    for filter in filters {
        let wanted: Vec<_> = all
            .iter()
            .filter(|found| filter.customer_id.is_none_or(|id| found.customer_id == Some(id.as_i64())))
            .filter(|found| filter.edu_no.is_none_or(|id| found.edu_no == id.get()))
            .filter(|found| match filter.status {
                None => true,
                Some(AnyStatus::Order(status)) => found.statuses.order == Some(status),
                Some(AnyStatus::Pay(status)) => found.statuses.pay == Some(status),
                Some(AnyStatus::Reservation(status)) => found.statuses.reservation == Some(status),
            })
            .map(|found| found.order_id)
            .collect();
        assert_eq!(sqlite.page(&filter, &paging(100)), wanted, "{filter:?}");
        assert_eq!(sqlite.count(&filter), wanted.len() as u64, "{filter:?}");

        let mut by_key = Vec::new();
        let mut after = 0;
        loop {
            let page = sqlite.page(&filter, &Paging { after: Some(after), ..paging(2) });
            let Some(last) = page.last() else { break };
            after = *last;
            by_key.extend(page);
            assert!(by_key.len() <= wanted.len(), "{filter:?} by key comes to no end");
        }
        assert_eq!(by_key, wanted, "{filter:?} by key");
    }
    let sort = Some(hal::Sort { field: "eduNo", direction: Direction::Descending });
    let sorted = sqlite.page(&Filter::default(), &Paging { sort, page: 1, ..paging(5) });
    assert_eq!(sorted, [1, 12, 10, 8, 6]);
    let rows = sqlite.0.run("SELECT order_id FROM infomations ORDER BY updated_at DESC, order_id DESC", &[]);
    let newest: Vec<_> = rows.unwrap().iter().map(|row| row.count(0).unwrap()).collect();
    assert_ne!(newest, (1..=12).rev().collect::<Vec<_>>(), "their numbers alone would sort them");
    let sort = Some(hal::Sort { field: "updatedAt", direction: Direction::Descending });
    assert_eq!(sqlite.page(&Filter::default(), &Paging { sort, ..paging(12) }), newest);
}

#[test]
fn every_sort_and_filter_is_answered_from_an_index() {
    let sqlite = Sqlite::new();
    let customer_id = Some(CustomerId::parse(2).unwrap());
    let edu_no = Some(EduNo::parse(102).unwrap());
    let sorts = SORTABLE.iter().map(|field| {
        let sort = Some(hal::Sort { field, direction: Direction::Descending });
        (Filter::default(), Paging { sort, ..paging(10) })
    });
    let filters = [
        Filter { customer_id, ..Filter::default() },
        Filter { edu_no, ..Filter::default() },
        Filter { status: Some(AnyStatus::Pay(PayStatus::Paid)), ..Filter::default() },
    ];
    let filters = filters.into_iter().map(|filter| (filter, Paging { after: Some(7), ..paging(10) }));
    for (filter, paging) in sorts.chain(filters) {
        let Statement { sql, params } = ask_page(&filter, &paging);
        let plan = sqlite.0.plan(&sql, &params).unwrap();
        assert!(!plan.contains("TEMP B-TREE"), "{paging:?} {filter:?}: {plan}");
        let first = plan.split("; ").next().unwrap();
        assert!(filter == Filter::default() || first.contains("USING INDEX"), "{filter:?}: {plan}");
        let Statement { sql, params } = ask_count(&filter);
        let plan = sqlite.0.plan(&sql, &params).unwrap();
        assert!(plan.starts_with("SEARCH"), "counting {filter:?}: {plan}");
    }
}

#[test]
fn a_course_is_shown_as_it_was_told_last_and_changes_the_etag() {
    let sqlite = Sqlite::new();
    sqlite.take(&samples::history()[..1]);
    let before = sqlite.found(1113);
    assert_eq!(before.course_title.as_deref(), Some("자바 입문"));
    assert_eq!(before.statuses.course, None);

    let edu_no = before.edu_no;
    let started = samples::course(edu_no, "자바 입문 (개정)", CourseStatus::Started);
    let opened = samples::course(edu_no, "자바", CourseStatus::Open);
    sqlite.run(keep_courses(&[(2, &started)]));
    sqlite.run(keep_courses(&[(1, &opened)]));
    let after = sqlite.found(1113);
    assert_eq!(after.course_title.as_deref(), Some("자바 입문 (개정)"));
    assert_eq!(after.statuses.course, Some(CourseStatus::Started));
    assert_ne!(after.etag, before.etag);
}

#[test]
fn an_event_that_comes_late_changes_the_etag_though_it_changes_no_status() {
    let sqlite = Sqlite::new();
    let events = samples::history();
    sqlite.take(&events[3..4]);
    let before = sqlite.found(1113);
    sqlite.take(&events[2..3]);
    let after = sqlite.found(1113);
    assert_eq!(after.statuses, before.statuses);
    assert_ne!(after.etag, before.etag);
    sqlite.take(&events[2..4]);
    assert_eq!(sqlite.found(1113), after);
}

#[test]
fn an_unknown_status_is_refused_with_all_eleven() {
    let refusal = "paid".parse::<AnyStatus>().unwrap_err();
    assert_eq!(refusal.problem.matches('`').count(), 22);
}

#[test]
fn the_etag_changes_again_when_the_row_follows_its_timeline() {
    let history = samples::history();
    for (version, time, event) in [&history[3], &history[6], &history[7]] {
        let sqlite = Sqlite::new();
        sqlite.take(&history[..1]);
        let at = Timestamp::from_millis(*time);
        let step = events::step(samples::context(event), *version, at, event).unwrap();
        sqlite.run(add_steps(&[step]));
        let before = sqlite.found(1113);
        sqlite.run(join_rows(&[Information::of(*version, at, event).unwrap()]));
        let after = sqlite.found(1113);
        assert_ne!(after.statuses, before.statuses);
        assert_ne!(after.etag, before.etag, "{}", event.name());
    }
}

#[test]
fn within_a_millisecond_the_timeline_goes_by_version_as_the_flow_does() {
    let sqlite = Sqlite::new();
    let at_once: Vec<_> =
        samples::history().into_iter().map(|(version, _, event)| (version, 0, event)).collect();
    sqlite.take(&at_once);
    let rows = sqlite.run(ask_timeline(OrderId::parse(1113).unwrap()));
    let told: Vec<_> = rows.iter().map(|row| Past::read(row).unwrap().event).collect();
    assert_eq!(
        told,
        [
            "Ordered",
            "PaymentDeclined",
            "Reserved",
            "PaymentDelayed",
            "Paid",
            "Reserved",
            "OrderCanceled",
            "PaymentCanceled",
            "ReservationConfirmed",
            "ReservationCanceled",
        ]
    );
}
