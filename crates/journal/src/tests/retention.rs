//! Whose an order was is forgotten in the end.

use super::*;
use crate::{ANONYMOUS, ANONYMOUS_BEGINS, EXPIRED, PASS_EXPIRED, anonymise};

store::on_postgres!(
    an_order_is_nobodys_once_its_last_event_is_old_enough_and_what_was_sold_stays,
    a_clock_that_was_ahead_keeps_what_comes_after_it_and_skips_nothing,
    what_has_piled_up_is_done_bit_by_bit,
);

static LIST: Schema = Schema {
    version: 1,
    oldest_code: 1,
    tables: &[
        tables::EVENTS,
        tables::LOG,
        tables::LOG_BEGINS,
        "CREATE TABLE sold (order_id INTEGER PRIMARY KEY, customer_id INTEGER, card TEXT, version INTEGER NOT NULL)",
        ANONYMOUS,
        ANONYMOUS_BEGINS,
    ],
    steps: &[],
    programs: &[EXPIRED, PASS_EXPIRED, crate::anonymise!("sold", ", card = NULL")],
};
static SOLD: Database = Database::new("sold", &LIST);

const OLD: &str = "2021-11-01T00:00:00.000Z";
const NEW: &str = "2026-11-01T00:00:00.000Z";

struct Shop(Store);

impl Shop {
    fn new() -> Self {
        Self(Store::new(&SOLD))
    }

    fn tell(&self, position: u64, subject: &str, version: u64, time: &str, actor: &str) {
        let data = r#"{"customerId":7,"cardLast4":"1234","amount":10000}"#;
        let event = format!(
            "INSERT INTO events (position, subject, version, type, data, time, actor)
             VALUES ({position}, '{subject}', {version}, 'Paid', '{data}', '{time}', '{actor}')"
        );
        self.0.run(&event, &[]).unwrap();
        if !subject.contains('/') {
            let row = format!(
                "INSERT INTO sold (order_id, customer_id, card, version) VALUES ({subject}, 7, '1234', {version})
                 ON CONFLICT (order_id) DO UPDATE SET version = excluded.version"
            );
            self.0.run(&row, &[]).unwrap();
        }
    }

    fn pass(&self) {
        at_once(anonymise(&self.0, "2026-01-01T00:00:00.000Z".parse().unwrap())).unwrap().unwrap();
    }

    /// The orders that are still somebody's: by their events, and by the list.
    fn known(&self) -> [Vec<i64>; 2] {
        let of = |sql: &str| -> Vec<i64> {
            self.0.run(sql, &[]).unwrap().iter().map(|row| row.int("number").unwrap()).collect()
        };
        [
            of("SELECT DISTINCT CAST(subject AS BIGINT) AS number FROM events
                WHERE subject NOT LIKE '%/%' AND (data ->> 'customerId' IS NOT NULL OR data ->> 'cardLast4' IS NOT NULL
                    OR actor LIKE 'customer:%') ORDER BY 1"),
            of("SELECT order_id AS number FROM sold WHERE customer_id IS NOT NULL OR card IS NOT NULL ORDER BY 1"),
        ]
    }
}

#[test]
fn an_order_is_nobodys_once_its_last_event_is_old_enough_and_what_was_sold_stays() {
    let shop = Shop::new();
    shop.tell(1, "1", 1, OLD, "customer:7");
    shop.tell(2, "2", 1, OLD, "customer:7");
    shop.tell(3, "course/101", 1, OLD, "manager:3");
    shop.tell(4, "1", 2, OLD, "manager:3");
    shop.tell(5, "2", 2, NEW, "customer:7");
    shop.tell(6, "3", 1, NEW, "customer:7");
    shop.pass();
    assert_eq!(shop.known(), [vec![2, 3], vec![2, 3]], "the second has gone on since");
    let left =
        "SELECT count(*) FROM events WHERE subject = '1' AND CAST(data ->> 'amount' AS BIGINT) = 10000";
    assert_eq!(shop.0.number(left).unwrap(), 2);
    // Who was in charge is in the audit trail as well.
    assert_eq!(shop.0.number("SELECT count(*) FROM events WHERE actor = 'manager:3'").unwrap(), 2);
}

#[test]
fn a_clock_that_was_ahead_keeps_what_comes_after_it_and_skips_nothing() {
    let shop = Shop::new();
    shop.tell(1, "1", 1, OLD, "guest");
    shop.tell(2, "2", 1, NEW, "guest");
    shop.tell(3, "3", 1, OLD, "guest");
    shop.pass();
    assert_eq!(shop.known()[1], [2, 3]);
    shop.0.run(&format!("UPDATE events SET time = '{OLD}'"), &[]).unwrap();
    shop.pass();
    assert_eq!(shop.known(), [Vec::<i64>::new(), Vec::new()]);
}

#[test]
fn what_has_piled_up_is_done_bit_by_bit() {
    let shop = Shop::new();
    for order in 1..=450 {
        shop.tell(order, &order.to_string(), 1, OLD, "guest");
    }
    let left = [250, 50, 0, 0].map(|left| {
        shop.pass();
        assert_eq!(shop.known()[1].len(), left);
        shop.0.statements()
    });
    // Where nothing is due it is one look.
    assert_eq!(left[3] - left[2], 1);
}
