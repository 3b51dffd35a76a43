//! The statements on a real SQLite, held against what they stand for.

use super::filter::AnyStatus;
use super::*;
use crate::samples;
use kernel::event::Event;
use kernel::{CourseStatus, CustomerId, OrderStatus, PayStatus, ReservationStatus, Timestamp};
use proptest::prelude::*;
use store::Schema;
use store::native;

::store::on_postgres!(
    the_store_ends_as_the_fold_does_however_the_events_come,
    a_delay_is_shown_until_pay_says_what_order_had_not_heard_then,
    the_waiting_position_is_forgotten_with_the_seat_that_ends_the_wait,
    without_its_version_guards_the_store_would_show_what_came_last,
    the_timeline_is_told_in_the_order_in_which_it_happened,
    filters_sort_and_keys_choose_the_same_orders_as_a_look_at_all_would,
    a_course_is_shown_as_it_was_told_last,
    an_event_that_comes_late_is_seen_though_it_changes_no_status_and_told_again_it_changes_nothing,
    within_a_millisecond_the_timeline_goes_by_version_as_the_flow_does,
);

/// A store as a component would find it.
struct Store(native::Store);

/// An order with its timeline as JSON, to be compared.
fn shown(found: &Found) -> serde_json::Value {
    serde_json::to_value(found).unwrap()
}

impl Store {
    fn new() -> Self {
        Self(native::Store::new(&DATABASE))
    }

    fn run(&self, statement: &Statement) -> Vec<Row> {
        self.0.run(statement.sql(), statement.params()).unwrap()
    }

    fn ask(&self, sql: &str) -> Vec<Row> {
        self.0.run(sql, &[]).unwrap()
    }

    fn take(&self, batch: &[(u64, i64, Event)]) {
        self.run(&take_in(batch.iter().map(|(version, time, event)| {
            Told::of(samples::context(event), *version, Timestamp::from_millis(*time), event)
        })));
    }

    fn take_courses(&self, courses: &[(u64, &Event)]) {
        let at = Timestamp::from_millis(0);
        self.run(&take_in(
            courses.iter().map(|(version, course)| Told::of("reservation", *version, at, course)),
        ));
    }

    fn dump(&self, table: &str) -> Vec<String> {
        self.0.dump(table).unwrap()
    }

    fn list(&self, filter: Filter, page: &Page) -> Vec<u64> {
        let rows = self.run(&filter.ask_list(LISTED, page));
        rows.iter().map(|row| Found::read(row).unwrap().order_id.get()).collect()
    }

    fn total(&self, filter: Filter) -> u64 {
        self.run(&filter.ask_total()).first().map_or(0, |row| row.count("total").unwrap())
    }

    fn found(&self, order_id: u64) -> Found {
        native::at_once(find(&self.0, OrderId::parse(order_id).unwrap())).unwrap().unwrap().unwrap()
    }

    /// One field of every line of an order's timeline.
    fn timeline(&self, order_id: u64, field: &str) -> Vec<String> {
        let found = shown(&self.found(order_id));
        let lines = found["timeline"].as_array().unwrap();
        lines.iter().map(|line| line[field].as_str().unwrap().to_owned()).collect()
    }
}

fn first(limit: u64) -> Page {
    Page { limit, ..Page::default() }
}

/// What each context told last, as far as these events go: what the row must come to.
fn fold(events: &[(u64, i64, Event)]) -> (Statuses, Option<u64>) {
    let last = |context: &str| {
        let told = events.iter().filter(|(_, _, event)| samples::context(event) == context);
        told.max_by_key(|(version, ..)| *version)
    };
    let delayed = events.iter().filter_map(|(_, _, event)| match event {
        Event::PaymentDelayed(delayed) => Some(delayed.pay_version),
        _ => None,
    });
    let (pay_version, pay) = match last("pay") {
        Some((version, _, Event::Paid(_))) => (*version, Some(PayStatus::Paid)),
        Some((version, _, Event::PaymentDeclined(_))) => (*version, Some(PayStatus::PaymentDeclined)),
        Some((version, ..)) => (*version, Some(PayStatus::PaymentCanceled)),
        None => (0, None),
    };
    let order = last("order").map(|(_, _, event)| match event {
        Event::OrderCanceled(_) => OrderStatus::OrderCanceled,
        _ => OrderStatus::Ordered,
    });
    let (reservation, position) = match last("reservation") {
        Some((_, _, Event::Reserved(reserved))) => (Some(reserved.status), reserved.waiting_position),
        Some((_, _, Event::ReservationConfirmed(_))) => (Some(ReservationStatus::ReservationConfirmed), None),
        Some(_) => (Some(ReservationStatus::ReservationCanceled), None),
        None => (None, None),
    };
    let pay = if delayed.max() >= Some(pay_version) { Some(PayStatus::PaymentDelayed) } else { pay };
    (Statuses { order, pay, reservation, course: None }, position)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(native::Engine::current().cases(256)))]

    #[test]
    fn the_store_ends_as_the_fold_does_however_the_events_come(
        events in samples::disorder(),
        batch_size in 1..=8_usize,
    ) {
        let (whole, piecemeal) = (Store::new(), Store::new());
        whole.take(&samples::in_order(&events));
        for batch in events.chunks(batch_size) {
            piecemeal.take(batch);
        }
        for table in ["infomations", "timeline", "counts WHERE rows <> 0"] {
            prop_assert_eq!(whole.dump(table), piecemeal.dump(table));
        }

        let found = piecemeal.found(1113);
        prop_assert_eq!((found.statuses, found.waiting_position), fold(&events));
        let latest = events.iter().map(|(_, time, _)| *time).max().unwrap();
        prop_assert_eq!(found.updated_at, Timestamp::from_millis(latest).to_string());
        let placed = events.iter().any(|(_, _, event)| event.name() == "Ordered");
        prop_assert_eq!(found.amount, placed.then_some(50_000));
        prop_assert_eq!(found.course_title, placed.then(|| "자바 입문".to_owned()));
    }
}

#[test]
fn disorder_is_out_of_order_and_has_copies() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let told: Vec<_> =
        (0..20).map(|_| samples::disorder().new_tree(&mut runner).unwrap().current()).collect();
    assert!(told.iter().any(|events| !events.is_sorted_by_key(|(_, time, _)| *time)));
    assert!(told.iter().any(|events| events.len() > samples::in_order(events).len()));
}

#[test]
fn a_delay_is_shown_until_pay_says_what_order_had_not_heard_then() {
    let history = samples::history();
    let pay_status = |numbers: &[usize]| {
        let store = Store::new();
        for number in numbers {
            store.take(&history[*number..=*number]);
        }
        store.found(1113).statuses.pay
    };
    let (ordered, delayed, declined, delayed_again, paid) = (0, 1, 2, 3, 4);
    assert_eq!(pay_status(&[ordered]), None);
    assert_eq!(pay_status(&[delayed, ordered]), Some(PayStatus::PaymentDelayed));
    assert_eq!(pay_status(&[ordered, declined, delayed]), Some(PayStatus::PaymentDeclined));
    assert_eq!(pay_status(&[declined, delayed_again]), Some(PayStatus::PaymentDelayed));
    assert_eq!(pay_status(&[delayed_again, declined]), Some(PayStatus::PaymentDelayed));
    assert_eq!(pay_status(&[declined, paid, delayed_again]), Some(PayStatus::Paid));
}

#[test]
fn the_waiting_position_is_forgotten_with_the_seat_that_ends_the_wait() {
    let (store, history) = (Store::new(), samples::history());
    store.take(&history[..6]);
    assert_eq!(store.found(1113).waiting_position, Some(4));
    store.take(&history);
    assert_eq!(store.found(1113).waiting_position, None);
}

#[test]
fn without_its_version_guards_the_store_would_show_what_came_last() {
    // A line of the trigger, and the fields that it keeps right.
    let guards = [
        ("excluded.order_version > infomations.order_version", "orderStatus"),
        (
            "excluded.pay_version > max(infomations.pay_version, coalesce(infomations.delayed_at, 0))",
            "payStatus",
        ),
        ("excluded.reservation_version > infomations.reservation_version", "reservationStatus"),
    ];
    for (guard, broken) in guards {
        let store = Store::new();
        let loosened = schema::TOLD_OF_ORDER.replace(guard, "true");
        assert_ne!(loosened, schema::TOLD_OF_ORDER);
        store.0.alter("DROP TRIGGER told_of_order").unwrap();
        store.0.alter(&loosened).unwrap();
        for event in samples::history().iter().rev() {
            store.take(std::slice::from_ref(event));
        }
        let statuses = store.found(1113).statuses;
        let canceled = [
            ("orderStatus", statuses.order == Some(OrderStatus::OrderCanceled)),
            ("payStatus", statuses.pay == Some(PayStatus::PaymentCanceled)),
            ("reservationStatus", statuses.reservation == Some(ReservationStatus::ReservationCanceled)),
        ];
        for (status, right) in canceled {
            assert_eq!(right, status != broken, "{status} without {guard}");
        }
    }
}

#[test]
fn every_line_that_a_guard_is_on_can_be_left_out() {
    let lines = schema::TOLD_OF_ORDER.lines();
    let (guarded, rest): (Vec<_>, Vec<_>) =
        lines.partition(|line| line.contains("-- guard: information.version"));
    assert_eq!(guarded.len(), 4);
    let store = Store::new();
    store.ask("DROP TRIGGER told_of_order");
    store.ask(&rest.join("\n"));
    store.take(&samples::history());
    assert_eq!(store.found(1113).statuses.order, Some(OrderStatus::OrderCanceled));
}

#[test]
fn the_timeline_is_told_in_the_order_in_which_it_happened() {
    let store = Store::new();
    for event in samples::history().iter().rev() {
        store.take(std::slice::from_ref(event));
    }
    let events: Vec<_> = samples::history().iter().map(|(_, _, event)| event.name().to_owned()).collect();
    assert_eq!(store.timeline(1113, "event"), events);
    assert_eq!(store.timeline(1113, "time")[0], "1970-01-01T00:00:00.010Z");
    let statuses = store.timeline(1113, "status");
    assert_eq!(
        statuses[..6],
        ["Ordered", "Payment Delayed", "Payment Declined", "Payment Delayed", "Paid", "Waitlisted"],
        "a delay is shown as what became of the payment"
    );
}

#[test]
fn filters_sort_and_keys_choose_the_same_orders_as_a_look_at_all_would() {
    let store = Store::new();
    // Orders 1 to 12: of customers 1 to 3 and courses 101 and 102, each a little further than the one before.
    for order_id in 1..=12 {
        store.take(&samples::history_of(order_id)[..order_id as usize % 11 + 1]);
    }
    let all: Vec<Found> = (1..=12).map(|order_id| store.found(order_id)).collect();
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
        Filter { status: status("Waitlisted"), edu_no, customer_id, owners: None },
    ];
    for filter in filters {
        let wanted: Vec<_> = all
            .iter()
            .filter(|found| filter.customer_id.is_none_or(|id| found.customer_id == Some(id)))
            .filter(|found| filter.edu_no.is_none_or(|id| found.edu_no == id))
            .filter(|found| match filter.status {
                None => true,
                Some(AnyStatus::Order(status)) => found.statuses.order == Some(status),
                Some(AnyStatus::Pay(status)) => found.statuses.pay == Some(status),
                Some(AnyStatus::Reservation(status)) => found.statuses.reservation == Some(status),
            })
            .map(|found| found.order_id.get())
            .collect();
        assert_eq!(store.list(filter, &first(100)), wanted, "{filter:?}");
        assert_eq!(store.total(filter), wanted.len() as u64, "{filter:?}");

        let mut by_key = Vec::new();
        let mut after = 0;
        loop {
            let page = store.list(filter, &Page { after: Some(after), ..first(2) });
            let Some(last) = page.last() else { break };
            after = *last;
            by_key.extend(page);
            assert!(by_key.len() <= wanted.len(), "{filter:?} by key comes to no end");
        }
        assert_eq!(by_key, wanted, "{filter:?} by key");
    }
    let by = |field, page| Page { sort: Some(column(field)), descending: true, ..page };
    let sorted = store.list(Filter::default(), &by("eduNo", Page { offset: 5, ..first(5) }));
    assert_eq!(sorted, [1, 12, 10, 8, 6]);
    let rows = store.ask("SELECT order_id FROM infomations ORDER BY updated_at DESC, order_id DESC");
    let newest: Vec<_> = rows.iter().map(|row| row.count("order_id").unwrap()).collect();
    assert_ne!(newest, (1..=12).rev().collect::<Vec<_>>(), "their numbers alone would sort them");
    assert_eq!(store.list(Filter::default(), &by("updatedAt", first(12))), newest);
}

#[test]
fn every_sort_and_filter_is_answered_from_an_index() {
    let store = Store::new();
    let customer_id = Some(CustomerId::parse(2).unwrap());
    let edu_no = Some(EduNo::parse(102).unwrap());
    let sorts = ["orderId", "eduNo", "updatedAt"]
        .map(|field| (Filter::default(), Page { sort: Some(column(field)), descending: true, ..first(10) }));
    let filters = [
        Filter { customer_id, ..Filter::default() },
        Filter { edu_no, ..Filter::default() },
        Filter { status: Some(AnyStatus::Pay(PayStatus::Paid)), ..Filter::default() },
    ];
    let filters = filters.into_iter().map(|filter| (filter, Page { after: Some(7), ..first(10) }));
    for (filter, page) in sorts.into_iter().chain(filters) {
        let statement = filter.ask_list(LISTED, &page);
        let plan = store.0.plan(statement.sql(), statement.params()).unwrap();
        assert!(!plan.contains("TEMP B-TREE"), "{page:?} {filter:?}: {plan}");
        let first = plan.split("; ").next().unwrap();
        assert!(filter == Filter::default() || first.contains("USING INDEX"), "{filter:?}: {plan}");
        let statement = filter.ask_total();
        let plan = store.0.plan(statement.sql(), statement.params()).unwrap();
        assert!(plan.starts_with("SEARCH"), "counting {filter:?}: {plan}");
    }
    for statement in ask_anonymise(Timestamp::from_millis(0)) {
        let plan = store.0.plan(statement.sql(), statement.params()).unwrap();
        assert!(plan.contains("infomations_kept (updated_at<?)") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn a_course_is_shown_as_it_was_told_last() {
    let store = Store::new();
    store.take(&samples::history()[..1]);
    let before = store.found(1113);
    assert_eq!(before.course_title.as_deref(), Some("자바 입문"));
    assert_eq!(before.statuses.course, None);

    let edu_no = before.edu_no.get();
    let started = Event::CourseStarted(samples::course(edu_no, "자바 입문 (개정)", CourseStatus::Started));
    let opened = Event::CourseOpened(samples::course(edu_no, "자바", CourseStatus::Open));
    for told in [&[(2, &started), (1, &opened)][..], &[(1, &opened)]] {
        store.take_courses(told);
        let after = store.found(1113);
        assert_eq!(after.course_title.as_deref(), Some("자바 입문 (개정)"));
        assert_eq!(after.statuses.course, Some(CourseStatus::Started));
    }
}

#[test]
fn an_event_that_comes_late_is_seen_though_it_changes_no_status_and_told_again_it_changes_nothing() {
    let store = Store::new();
    let events = samples::history();
    store.take(&events[4..5]);
    let before = store.found(1113);
    store.take(&events[2..3]);
    let after = store.found(1113);
    assert_eq!(after.statuses, before.statuses);
    assert_ne!(shown(&after), shown(&before));
    store.take(&events[2..3]);
    assert_eq!(shown(&store.found(1113)), shown(&after));
}

#[test]
fn an_unknown_status_is_refused_with_all_eleven() {
    let refusal = "paid".parse::<AnyStatus>().unwrap_err();
    assert_eq!(refusal.problem.matches('`').count(), 22);
}

#[test]
fn within_a_millisecond_the_timeline_goes_by_version_as_the_flow_does() {
    let store = Store::new();
    let at_once: Vec<_> =
        samples::history().into_iter().map(|(version, _, event)| (version, 0, event)).collect();
    store.take(&at_once);
    assert_eq!(
        store.timeline(1113, "event"),
        [
            "Ordered",
            "PaymentDeclined",
            "Reserved",
            "PaymentDelayed",
            "Paid",
            "Reserved",
            "PaymentDelayed",
            "PaymentCanceled",
            "ReservationConfirmed",
            "OrderCanceled",
            "ReservationCanceled",
        ]
    );
}

/// The tables as the release before this one had them, in version 1.
fn tables_of_version_1() -> Vec<String> {
    let Schema { tables, programs, .. } = schema::SCHEMA;
    let same = tables.iter().chain(&programs[3..]).map(|table| (*table).to_owned());
    let newer = ["course_managers", "TABLE people", "infomations_kept"];
    let same = same.filter(|table| !newer.iter().any(|name| table.contains(name)));
    let later = [",\n            delayed_at INTEGER", ",\n            managers TEXT NOT NULL DEFAULT '[]'"];
    same.map(|table| later.iter().fold(table, |table, column| table.replace(column, ""))).collect()
}

#[test]
fn a_store_of_the_release_before_keeps_its_rows_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("information.db");
    let old = Store(native::Store::as_it_is(&path).unwrap());
    for statement in tables_of_version_1() {
        old.ask(&statement);
    }
    let columns = "SELECT group_concat(name) AS names FROM pragma_table_info('infomations')";
    assert!(!old.ask(columns)[0].text("names").unwrap().contains("delayed_at"));
    for (order_id, pay_version, pay_status) in [(1113, 0, "Payment Delayed"), (1114, 1, "Payment Declined")] {
        old.ask(&format!(
            "INSERT INTO infomations VALUES ({order_id}, 1, 102, 2, '자바 입문', 50000, 2, 'Ordered', {pay_version},
                '{pay_status}', 0, NULL, NULL, '1970-01-01T00:00:00.020Z')"
        ));
    }
    old.ask("PRAGMA user_version=1");

    let store = Store(native::Store::file(&path, &DATABASE).unwrap());
    let status = |order_id| store.found(order_id).statuses.pay;
    assert_eq!(status(1113), Some(PayStatus::PaymentDelayed));
    let delayed = Filter { status: Some(AnyStatus::Pay(PayStatus::PaymentDelayed)), ..Filter::default() };
    assert_eq!(store.total(delayed), 1);
    store.take(&samples::history()[2..3]);
    assert_eq!(status(1113), Some(PayStatus::PaymentDeclined));
    assert_eq!(status(1114), Some(PayStatus::PaymentDeclined));
    store.take(&samples::history_of(1114)[3..4]);
    assert_eq!(status(1114), Some(PayStatus::PaymentDelayed));
    assert_eq!(store.ask(columns)[0].values(), Store::new().ask(columns)[0].values());
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    ::store::native::assert_same_on_both(&DATABASE);
}

#[test]
fn workers_that_take_in_at_once_do_not_wait_for_each_other_in_a_circle() {
    let first = native::Engine::Postgres.run(|| native::Store::new(&DATABASE));
    let address = first.address(&DATABASE).unwrap();
    std::thread::scope(|scope| {
        for worker in 1..=4_u64 {
            let address = address.clone();
            scope.spawn(move || {
                let store = Store(address.connect().unwrap());
                store.ask("SET deadlock_timeout = 10");
                for turn in 0..20 {
                    // Each begins with another of the rows that all count in.
                    let mut events = samples::history_of(worker * 1_000 + turn);
                    let middle = events.len() * usize::try_from(worker - 1).unwrap() / 4;
                    events.rotate_left(middle);
                    store.take(&events);
                }
            });
        }
    });
    assert_eq!(first.number("SELECT rows FROM counts WHERE name = 'all'").unwrap(), 80);
}
