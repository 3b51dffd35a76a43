//! Every promise, under thousands of histories that mean harm.

use model::search::Search;

const SEARCH: Search =
    Search { histories: 3_000, steps: 30, seed: 1, without: &[], altered: &[], breaking: "" };

/// `PROPTEST_CASES` may ask for more histories, and `MODEL_SEED` for others.
fn asked_for() -> Search {
    let number = |variable| std::env::var(variable).ok().and_then(|number| number.parse::<u32>().ok());
    Search {
        histories: number("PROPTEST_CASES").unwrap_or(SEARCH.histories),
        seed: number("MODEL_SEED").map_or(SEARCH.seed, u64::from),
        ..SEARCH
    }
}

/// What has to happen in one history of 200 at least: a promise that nothing attacks is easily kept.
const REACHED: &[&str] = &[
    "Ordered",
    "PaymentDelayed",
    "OrderCanceled",
    "Paid",
    "PaymentDeclined",
    "PaymentCanceled",
    "Reserved",
    "ReservationConfirmed",
    "ReservationRejected",
    "ReservationCanceled",
    "CourseChanged",
    "CourseStarted",
    "CourseCanceled",
    "a conflict",
    "a crash",
    "something that hangs",
    "200 Ordered Paid",
    "201 Ordered Payment Declined",
    "409 Conflict",
    "502 Bad Gateway",
];

#[test]
fn whatever_happens_every_promise_is_kept() {
    let searched = asked_for().run().unwrap();
    if let Some(found) = searched.found {
        panic!("{found}");
    }
    println!("{:#?}", searched.reached);
    for wanted in REACHED {
        let happened = searched.reached.get(*wanted).copied().unwrap_or_default();
        assert!(happened >= asked_for().histories / 200, "{wanted} happened in {happened} histories only");
    }
}

/// The model is worth as much as what it notices: here one guard is missing, and a promise is broken.
#[track_caller]
fn is_missed(search: Search) {
    let found = search.run().map(|searched| searched.found);
    assert!(matches!(found, Ok(Some(_))), "nothing was wrong in {} histories", search.histories);
    if let Ok(Some(found)) = found {
        println!("{found}");
        assert!(found.wrong.iter().any(|wrong| wrong.contains(search.breaking)), "{found}");
    }
}

#[test]
fn a_pay_that_charges_whenever_it_is_asked_is_noticed() {
    is_missed(Search { without: &["pay.idempotency"], breaking: "at most one outstanding charge", ..SEARCH });
}

#[test]
fn a_closed_order_number_that_can_be_paid_is_noticed() {
    is_missed(Search { without: &["pay.closed"], breaking: "is unresolved", ..SEARCH });
}

#[test]
fn a_card_company_that_charges_under_a_canceled_key_is_noticed() {
    let altered = &[
        ("gateway", "DROP TRIGGER cancel"),
        (
            "gateway",
            "CREATE TRIGGER cancel INSTEAD OF INSERT ON cancellations BEGIN
                INSERT INTO refunds (key, order_id, amount, at) SELECT key, order_id, amount, NEW.at FROM charges
                WHERE key = NEW.key AND outcome = 'Approved' AND NOT EXISTS (SELECT 1 FROM refunds WHERE key = NEW.key);
            END",
        ),
    ];
    is_missed(Search { altered, breaking: "is unresolved", ..SEARCH });
}

#[test]
fn an_order_that_believes_an_older_event_is_noticed() {
    is_missed(Search { without: &["order.pay-version"], breaking: "copies are true", ..SEARCH });
}

#[test]
fn a_card_that_is_never_forgotten_is_noticed() {
    let altered = &[("order", "DROP TRIGGER forget_card")];
    is_missed(Search { altered, breaking: "a card is kept only while its payment is open", ..SEARCH });
}

#[test]
fn a_list_that_counts_an_event_whenever_it_is_handed_over_is_noticed() {
    let altered = &[(
        "order",
        "CREATE TRIGGER count_again INSTEAD OF INSERT ON projection WHEN NEW.type = 'Ordered' BEGIN
            UPDATE tallies SET orders = orders + 1;
        END",
    )];
    is_missed(Search { altered, breaking: "the lists follow from the events", ..SEARCH });
}

#[test]
fn a_view_that_believes_an_older_event_is_noticed() {
    is_missed(Search { without: &["information.version"], breaking: "the view is the fold", ..SEARCH });
}

#[test]
fn a_message_for_every_time_that_an_event_is_told_is_noticed() {
    is_missed(Search { without: &["notification.once"], breaking: "messages exactly once", ..SEARCH });
}

#[test]
fn seats_that_nobody_guards_are_sold_twice_and_that_is_noticed() {
    is_missed(Search { without: &["reservation.capacity"], breaking: "no seat is sold twice", ..SEARCH });
}

#[test]
fn a_cancellation_that_is_forgotten_before_its_payment_is_heard_of_is_noticed() {
    is_missed(Search { without: &["reservation.remembered"], breaking: "is unresolved", ..SEARCH });
}
