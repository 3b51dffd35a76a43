//! Orders that there are already: events written into the stores themselves, by statements of the stores' own programs, so
//! that every list, tally and seat follows from them as it does in production.
//!
//! Each order was paid, has its seat, and its customer was told of it: what nearly all orders are. The text is the same for
//! SQLite and PostgreSQL. Nobody else may use the stores meanwhile; afterwards all of it counts as sent and handled.

use std::thread;

use anyhow::{Context, Result, bail};
use kernel::Timestamp;
use xtask::postgres_url::LABELS;

use crate::load::{COURSES, FIRST_COURSE};
use crate::stores::State;

/// The first order's number, beyond those that a load counts from 1.
pub const FIRST_ORDER: u64 = 100_000_000;

/// How many orders each customer has, who are numbered from 1.
pub const OF_EACH_CUSTOMER: u64 = 20;

/// How many orders are written by one statement. A row that all of them count in is written as often in one transaction.
const BATCH: u64 = 1_000;

/// When the first of them was taken; each batch is a minute later.
const BEGIN: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;

/// Writes so many orders into the stores.
pub fn write(state: &State, orders: u64) -> Result<()> {
    let write = |label| -> Result<()> {
        let store = state.open(label)?;
        let run = |sql: &str| store.run(sql, &[]).with_context(|| sql.to_owned());
        let prepare: &[&str] = match state.database() {
            Some(_) => &["SET synchronous_commit = off", "SET statement_timeout = 0"],
            None => &["PRAGMA synchronous=OFF", "PRAGMA cache_size=-200000"],
        };
        prepare.iter().try_for_each(|sql| run(sql).map(drop))?;
        for batch in batches(orders) {
            run("BEGIN")?;
            batch.statements(label).iter().try_for_each(|sql| run(sql).map(drop))?;
            run("COMMIT")?;
        }
        if ["order", "pay", "reservation"].contains(&label) {
            // Positions are given by a relay, in the order of insertion; and nothing of it is to be sent.
            run("/*postgres UPDATE events SET position = inserted WHERE position IS NULL*/")?;
            run("UPDATE log SET floor = (SELECT max(position) FROM events)")?;
        }
        run(if state.database().is_some() { "VACUUM ANALYZE" } else { "PRAGMA wal_checkpoint(TRUNCATE)" })?;
        Ok(())
    };
    let write = &write;
    // No store waits for another.
    thread::scope(|scope| {
        let writing = LABELS.map(|label| scope.spawn(move || (label, write(label))));
        writing.into_iter().try_for_each(|writing| match writing.join() {
            Ok((label, written)) => written.with_context(|| format!("writing orders into the store {label}")),
            Err(_) => bail!("a thread that wrote orders ended"),
        })
    })
}

/// Orders that are written at once.
struct Batch {
    from: u64,
    to: u64,
    at: String,
    due: String,
}

fn batches(orders: u64) -> impl Iterator<Item = Batch> {
    (0..orders.div_ceil(BATCH)).map(move |number| {
        let at = BEGIN + MINUTE * i64::try_from(number).unwrap_or_default();
        Batch {
            from: number * BATCH,
            to: ((number + 1) * BATCH).min(orders) - 1,
            at: Timestamp::from_millis(at).to_string(),
            due: Timestamp::from_millis(at + 30 * MINUTE).to_string(),
        }
    })
}

impl Batch {
    fn statements(&self, label: &str) -> Vec<String> {
        let at = &self.at;
        match label {
            "order" => {
                let more = format!(
                    r#""amount":10000,"cardLast4":"1234","courseTitle":"Course ' || edu_no || '","orderedAt":"{at}","dueAt":"{}""#,
                    self.due
                );
                // And what `pay` has told of them, as the worker writes it.
                let (first, last) = (FIRST_ORDER + self.from, FIRST_ORDER + self.to);
                let paid = format!(
                    "UPDATE orders SET pay_status = 'Paid', pay_version = 1, pay_card_last4 = '1234', due_at = NULL
                        WHERE order_id BETWEEN {first} AND {last}"
                );
                vec![self.event("Ordered", &more), paid]
            }
            "pay" => {
                let more = format!(
                    r#""amount":10000,"cardLast4":"1234","transactionId":"G-' || order_id || '-1","paidAt":"{at}""#
                );
                vec![self.event("Paid", &more)]
            }
            "reservation" => {
                let more = format!(r#""status":"Reservation Confirmed","reservedAt":"{at}""#);
                vec![self.event("Reserved", &more)]
            }
            "gateway" => vec![self.insert(
                "charges (key, order_id, amount, card_last4, outcome, at)",
                &format!("order_id || '-1', order_id, 10000, '1234', 'Approved', '{at}'"),
            )],
            "notification" => self.for_each_event(|context, event| {
                self.insert(
                    "messages (id, order_id, customer_id, event, language, body, status, attempts, created_at, due_at, sent_at)",
                    &format!(
                        "'{context}:' || order_id || ':1', order_id, customer_id, '{event}', 'ko', '[수강] ' || order_id,
                         'Sent', 1, '{at}', 0, '{at}'"
                    ),
                )
            }),
            "inbox" => self.for_each_event(|context, _| {
                self.insert(
                    "inbox (message_id, recipient, language, body, at)",
                    &format!(
                        "'{context}:' || order_id || ':1', CAST(customer_id AS TEXT), 'ko', '[수강] ' || order_id, '{at}'"
                    ),
                )
            }),
            _ => self.for_each_event(|context, event| {
                let says = match context {
                    "order" => "'Course ' || edu_no, 10000, 'Ordered', NULL, NULL",
                    "pay" => "NULL, NULL, NULL, 'Paid', NULL",
                    _ => "NULL, NULL, NULL, NULL, 'Reservation Confirmed'",
                };
                self.insert(
                    "told (source, version, event, time, order_id, customer_id, edu_no, guest, title, amount, order_status,
                        pay_status, reservation_status)",
                    &format!("'{context}', 1, '{event}', '{at}', order_id, customer_id, edu_no, 1, {says}"),
                )
            }),
        }
    }

    fn for_each_event(&self, statement: impl Fn(&str, &str) -> String) -> Vec<String> {
        let events = [("order", "Ordered"), ("pay", "Paid"), ("reservation", "Reserved")];
        events.map(|(context, event)| statement(context, event)).into()
    }

    /// The first event about each order of the batch. `more` is what its data says besides whose it is.
    fn event(&self, event: &str, more: &str) -> String {
        self.insert(
            "decisions (kind, subject, version, type, data, time)",
            &format!(
                r#"'event', CAST(order_id AS TEXT), 1, '{event}', '{{"orderId":' || order_id || ',"customerId":' || customer_id
                    || ',"eduNo":' || edu_no || ',"guest":1,"language":"ko",{more}}}', '{}'"#,
                self.at
            ),
        )
    }

    fn insert(&self, into: &str, values: &str) -> String {
        format!(
            "INSERT INTO {into}
             SELECT {values} FROM (
                SELECT {FIRST_ORDER} + n AS order_id, n / {OF_EACH_CUSTOMER} + 1 AS customer_id, {FIRST_COURSE} + n % {COURSES} AS edu_no
                FROM (WITH RECURSIVE numbers (n) AS (SELECT {} UNION ALL SELECT n + 1 FROM numbers WHERE n < {})
                    SELECT n FROM numbers) AS numbers) AS orders",
            self.from, self.to
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_without_gaps_and_the_last_may_be_smaller() {
        let of = |orders| batches(orders).map(|batch| (batch.from, batch.to)).collect::<Vec<_>>();
        assert_eq!(of(2_500), [(0, 999), (1_000, 1_999), (2_000, 2_499)]);
        assert_eq!(of(0), []);
    }
}
