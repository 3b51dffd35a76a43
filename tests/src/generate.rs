//! Orders that there are already: events written into the stores themselves, by statements of the stores' own programs, so
//! that every list, tally and seat follows from them as it does in production.
//!
//! Each order was paid, has its seat, and its customer was told of it: what nearly all orders are. The text is the same for
//! SQLite and PostgreSQL. Nobody else may use the stores meanwhile; afterwards all of it counts as sent and handled.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use kernel::Timestamp;
use rusqlite::Connection;

use crate::cluster::client;
use crate::load::{COURSES, FIRST_COURSE};
use crate::stores;

/// The first order's number, beyond those that a load counts from 1.
pub const FIRST_ORDER: u64 = 100_000_000;

/// How many orders each customer has, who are numbered from 1.
pub const OF_EACH_CUSTOMER: u64 = 20;

/// How many orders are written by one statement. A row that all of them count in is written as often in one transaction.
const BATCH: u64 = 1_000;

/// When the first of them was taken; each batch is a minute later.
const BEGIN: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;

/// The stores that orders are written into.
const LABELS: [&str; 7] = ["order", "pay", "gateway", "reservation", "notification", "inbox", "information"];

/// Writes so many orders into the SQLite files under a state directory.
pub fn into_sqlite(state: &Path, orders: u64) -> Result<()> {
    let write = |label| -> Result<()> {
        let file = stores::file(state, label).with_context(|| format!("there is no store {label}"))?;
        let store = Connection::open(file)?;
        store.execute_batch("PRAGMA synchronous=OFF; PRAGMA cache_size=-200000")?;
        for batch in batches(orders) {
            store.execute_batch(&format!("BEGIN; {} COMMIT;", batch.statements(label)))?;
        }
        store.execute_batch(&format!(
            "{} PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);",
            told(label, "")
        ))?;
        Ok(())
    };
    at_the_same_time(write)
}

/// Writes so many orders into the database at `url`.
pub fn into_postgres(url: &str, orders: u64) -> Result<()> {
    let write = |label: &str| -> Result<()> {
        let log = tempfile::NamedTempFile::new()?;
        let mut client = Command::new(client()?)
            .env("PGOPTIONS", format!("-c search_path={label} -c synchronous_commit=off"))
            .args(["-Xq", "-v", "ON_ERROR_STOP=1", url, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(log.path())?)
            .spawn()?;
        let mut input = client.stdin.take().context("psql has no input")?;
        let written = batches(orders).try_for_each(|batch| {
            input.write_all(format!("BEGIN; {} COMMIT;\n", batch.statements(label)).as_bytes())
        });
        // Positions are given by a relay, in the order of insertion.
        let numbered = "UPDATE events SET position = inserted WHERE position IS NULL;";
        let ended = written.and_then(|()| writeln!(input, "{} VACUUM ANALYZE;", told(label, numbered)));
        drop(input);
        let status = client.wait()?;
        let said = std::fs::read_to_string(log.path())?;
        ensure!(status.success() && ended.is_ok(), "writing orders into {label}: {}", said.trim());
        Ok(())
    };
    at_the_same_time(write)
}

/// No store waits for another.
fn at_the_same_time(write: impl Fn(&'static str) -> Result<()> + Sync) -> Result<()> {
    let write = &write;
    std::thread::scope(|scope| {
        let writing = LABELS.map(|label| scope.spawn(move || (label, write(label))));
        writing.into_iter().try_for_each(|writing| match writing.join() {
            Ok((label, written)) => written.with_context(|| format!("the store {label}")),
            Err(_) => anyhow::bail!("a thread that wrote orders ended"),
        })
    })
}

/// Nothing of it is to be sent: every group has acknowledged all.
fn told(label: &str, before: &str) -> String {
    match label {
        "order" | "pay" | "reservation" => {
            format!("{before} UPDATE log SET floor = (SELECT max(position) FROM events);")
        }
        _ => String::new(),
    }
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
    fn statements(&self, label: &str) -> String {
        let at = &self.at;
        match label {
            "order" => {
                let more = format!(
                    r#""amount":10000,"cardLast4":"1234","courseTitle":"Course ' || edu_no || '","orderedAt":"{at}","dueAt":"{}""#,
                    self.due
                );
                // And what `pay` has told of them, as the worker writes it.
                let (first, last) = (FIRST_ORDER + self.from, FIRST_ORDER + self.to);
                format!(
                    "{} UPDATE orders SET pay_status = 'Paid', pay_version = 1, pay_card_last4 = '1234', due_at = NULL
                        WHERE order_id BETWEEN {first} AND {last};",
                    self.event("Ordered", &more)
                )
            }
            "pay" => {
                let more = format!(
                    r#""amount":10000,"cardLast4":"1234","transactionId":"G-' || order_id || '-1","paidAt":"{at}""#
                );
                self.event("Paid", &more)
            }
            "reservation" => {
                let more = format!(r#""status":"Reservation Confirmed","reservedAt":"{at}""#);
                self.event("Reserved", &more)
            }
            "gateway" => self.insert(
                "charges (key, order_id, amount, card_last4, outcome, at)",
                &format!("order_id || '-1', order_id, 10000, '1234', 'Approved', '{at}'"),
            ),
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

    fn for_each_event(&self, statement: impl Fn(&str, &str) -> String) -> String {
        let mut text = String::new();
        for (context, event) in [("order", "Ordered"), ("pay", "Paid"), ("reservation", "Reserved")] {
            // Writing to a text cannot fail.
            let _ = write!(text, "{} ", statement(context, event));
        }
        text
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
                    SELECT n FROM numbers) AS numbers) AS orders;",
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
