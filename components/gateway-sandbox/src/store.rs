//! The card company's ledger of charges and refunds, which only grows, in the store `gateway`.
//!
//! Kept apart from `pay`'s own store, so that anyone can compare the two: per order, the view `balances` says what was
//! charged and given back. Only the last four digits of a card are written down.

use crate::domain::last4;
use kernel::Timestamp;
use store::{Database, Schema, Statement, Step, Storage, StoreError};

/// The store under the label `gateway`.
pub static DATABASE: Database = Database::new("gateway", &SCHEMA);

/// What makes the ledger trustworthy is said here and not in Rust: one row per key (`PRIMARY KEY`), a refund only of what
/// was charged and only once, and nothing ever changed or deleted.
static SCHEMA: Schema = Schema {
    version: 3,
    oldest_code: 1,
    tables: &[
        "CREATE TABLE charges (
            key TEXT PRIMARY KEY,
            order_id INTEGER,
            amount INTEGER NOT NULL CHECK (amount >= 0),
            card_last4 TEXT CHECK (length(card_last4) <= 4),
            outcome TEXT NOT NULL CHECK (outcome IN ('Approved', 'Declined', 'Closed')),
            reason TEXT,
            at TEXT NOT NULL,
            CHECK ((outcome = 'Approved') = (amount > 0))
        ) WITHOUT ROWID",
        "CREATE TABLE refunds (
            key TEXT PRIMARY KEY REFERENCES charges (key),
            order_id INTEGER NOT NULL,
            amount INTEGER NOT NULL CHECK (amount > 0),
            at TEXT NOT NULL
        ) WITHOUT ROWID",
        ASKS,
    ],
    // Version 3 is the first that says which code may use it.
    steps: &[Step { to: 2, statements: &[ASKS] }],
    programs: &[
        "CREATE TRIGGER charges_are_final BEFORE UPDATE ON charges
            BEGIN SELECT RAISE(ABORT, 'decision: a charge is never changed'); END",
        "CREATE TRIGGER charges_stay BEFORE DELETE ON charges
            BEGIN SELECT RAISE(ABORT, 'decision: a charge is never struck out'); END",
        "CREATE TRIGGER refunds_are_final BEFORE UPDATE ON refunds
            BEGIN SELECT RAISE(ABORT, 'decision: a refund is never changed'); END",
        "CREATE TRIGGER refunds_stay BEFORE DELETE ON refunds
            BEGIN SELECT RAISE(ABORT, 'decision: a refund is never struck out'); END",
        "CREATE VIEW cancellations (key, at) AS
            SELECT key, at FROM refunds UNION ALL SELECT key, at FROM charges WHERE outcome = 'Closed'",
        "CREATE TRIGGER cancel INSTEAD OF INSERT ON cancellations BEGIN
            INSERT INTO charges (key, amount, outcome, at) VALUES (NEW.key, 0, 'Closed', NEW.at)
                ON CONFLICT (key) DO NOTHING;
            INSERT INTO refunds (key, order_id, amount, at)
                SELECT key, order_id, amount, NEW.at FROM charges WHERE key = NEW.key AND outcome = 'Approved'
                ON CONFLICT (key) DO NOTHING;
        END",
        "CREATE VIEW balances (order_id, charged, refunded, balance, outstanding) AS
            SELECT c.order_id, CAST(SUM(c.amount) AS BIGINT), CAST(COALESCE(SUM(r.amount), 0) AS BIGINT),
                   CAST(SUM(c.amount) - COALESCE(SUM(r.amount), 0) AS BIGINT), COUNT(*) - COUNT(r.key)
            FROM charges c LEFT JOIN refunds r ON r.key = c.key
            WHERE c.outcome = 'Approved' GROUP BY c.order_id",
    ],
};

/// Not of the ledger: how often a key was asked for that does not get through at first.
const ASKS: &str = "CREATE TABLE asks (key TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID";

/// Decides a key, unless it is decided: a row comes back only where this call decided.
const DECIDE: &str = "INSERT INTO charges (key, order_id, amount, card_last4, outcome, reason, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO NOTHING RETURNING outcome";

/// What a key stands for now; one that was refunded is closed.
const OUTCOME: &str = "SELECT CASE WHEN r.key IS NULL THEN c.outcome ELSE 'Closed' END AS outcome,
        c.amount AS amount, c.card_last4 AS card_last4, c.reason AS reason
    FROM charges c LEFT JOIN refunds r ON r.key = c.key WHERE c.key = $1";

const CANCEL: &str = "INSERT INTO cancellations (key, at) VALUES ($1, $2)";

const REFUNDED: &str = "SELECT amount FROM refunds WHERE key = $1";

const ASK: &str = "INSERT INTO asks (key, times) VALUES ($1, 1)
    ON CONFLICT (key) DO UPDATE SET times = asks.times + 1 RETURNING times";

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A charge.
    Approved {
        /// How much was charged, in won.
        amount: u64,
        /// Which card.
        card_last4: String,
    },
    /// A refused card.
    Declined {
        /// Why.
        reason: String,
        /// Which card.
        card_last4: String,
    },
    /// Nothing, for ever.
    Closed,
}

/// A charge that is to be decided.
pub struct Charge<'a> {
    /// The key that it is made under, once.
    pub key: &'a str,
    /// Of which order.
    pub order_id: u64,
    /// How much, in won.
    pub amount: u64,
    /// From which card.
    pub card_number: &'a str,
}

/// Writes down what becomes of `charge`: made, or refused for the `reason` given. Where its key was decided
/// before, that is what comes back, and nothing is written.
pub async fn decide(
    storage: &impl Storage,
    charge: &Charge<'_>,
    declined: Option<&str>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let card_last4 = last4(charge.card_number);
    let (word, amount) = if declined.is_some() { ("Declined", 0) } else { ("Approved", charge.amount) };
    let decide = Statement::new(DECIDE)
        .bind(charge.key)
        .bind(charge.order_id)
        .bind(amount)
        .bind(card_last4)
        .bind(word)
        .bind(declined)
        .bind(now.to_string());
    if decide.row(storage).await?.is_none() {
        let decided = outcome(storage, charge.key).await?;
        return decided.ok_or_else(|| StoreError::Failure(format!("the charge {} is gone", charge.key)));
    }
    let card_last4 = card_last4.to_owned();
    Ok(match declined {
        None => Outcome::Approved { amount, card_last4 },
        Some(reason) => Outcome::Declined { reason: reason.to_owned(), card_last4 },
    })
}

/// Counts one more time that `key` was asked for; says how often that is now.
pub(crate) async fn ask(storage: &impl Storage, key: &str) -> Result<u64, StoreError> {
    let asked = Statement::new(ASK).bind(key).row(storage).await?;
    asked.map_or(Ok(0), |row| row.count("times"))
}

/// What `key` stands for, or none where it has not been used.
pub(crate) async fn outcome(storage: &impl Storage, key: &str) -> Result<Option<Outcome>, StoreError> {
    let Some(row) = Statement::new(OUTCOME).bind(key).row(storage).await? else { return Ok(None) };
    let text = |column| Ok::<_, StoreError>(row.opt_string(column)?.unwrap_or_default());
    Ok(Some(match row.text("outcome")? {
        "Approved" => Outcome::Approved { amount: row.count("amount")?, card_last4: text("card_last4")? },
        "Declined" => Outcome::Declined { reason: text("reason")?, card_last4: text("card_last4")? },
        _ => Outcome::Closed,
    }))
}

/// Closes `key` and gives back what was charged under it; says how much that is in all, in won.
pub async fn cancel(storage: &impl Storage, key: &str, now: Timestamp) -> Result<u64, StoreError> {
    Statement::new(CANCEL).bind(key).bind(now.to_string()).run(storage).await?;
    let refunded = Statement::new(REFUNDED).bind(key).row(storage).await?;
    refunded.map_or(Ok(0), |row| row.count("amount"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::native::{Store, at_once};

    store::on_postgres!(
        the_same_key_is_charged_once_and_answers_its_first_outcome,
        a_charge_is_given_back_once_however_often_it_is_canceled,
        a_charge_that_arrives_after_its_cancellation_is_refused,
        a_declined_key_has_nothing_to_give_back,
        another_key_is_another_charge,
        each_time_a_key_is_asked_for_is_counted_and_not_in_the_ledger,
        the_ledger_takes_nothing_that_did_not_happen_and_loses_nothing_that_did,
        a_charge_costs_one_statement,
    );

    const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

    /// The ledger.
    struct Ledger(Store);

    impl Ledger {
        fn new() -> Self {
            Self(Store::new(&DATABASE))
        }

        /// The outcome, and whether this call is the one that decided it.
        fn charge(&self, key: &str, amount: u64, word: &str) -> (String, bool) {
            let decided_before = self.0.number("SELECT count(*) FROM charges").unwrap();
            let charge = Charge { key, order_id: 1113, amount, card_number: "4111111111111234" };
            let declined = (word == "Declined").then_some("no");
            let decided = at_once(decide(&self.0, &charge, declined, NOW)).unwrap().unwrap();
            assert_eq!(at_once(outcome(&self.0, key)).unwrap().unwrap(), Some(decided.clone()));
            let word = match decided {
                Outcome::Approved { card_last4, .. } => {
                    assert_eq!(card_last4, "1234");
                    "Approved"
                }
                Outcome::Declined { .. } => "Declined",
                Outcome::Closed => "Closed",
            };
            (word.to_owned(), self.0.number("SELECT count(*) FROM charges").unwrap() > decided_before)
        }

        fn cancel(&self, key: &str) -> u64 {
            at_once(cancel(&self.0, key, NOW)).unwrap().unwrap()
        }

        /// Charged, refunded, balance, outstanding.
        fn balance(&self) -> Option<(i64, i64, i64, i64)> {
            let rows = self.0.run("SELECT * FROM balances WHERE order_id = 1113", &[]).unwrap();
            let row = rows.first()?;
            let at = |column| row.int(column).unwrap();
            Some((at("charged"), at("refunded"), at("balance"), at("outstanding")))
        }
    }

    #[test]
    fn the_same_key_is_charged_once_and_answers_its_first_outcome() {
        let ledger = Ledger::new();
        assert_eq!(ledger.charge("1113-1", 100, "Approved"), ("Approved".to_owned(), true));
        assert_eq!(ledger.charge("1113-1", 100, "Approved"), ("Approved".to_owned(), false));
        assert_eq!(ledger.charge("1113-1", 0, "Declined"), ("Approved".to_owned(), false));
        assert_eq!(ledger.balance(), Some((100, 0, 100, 1)));
    }

    #[test]
    fn a_charge_is_given_back_once_however_often_it_is_canceled() {
        let ledger = Ledger::new();
        ledger.charge("1113-1", 100, "Approved");
        assert_eq!((ledger.cancel("1113-1"), ledger.cancel("1113-1")), (100, 100));
        assert_eq!(ledger.balance(), Some((100, 100, 0, 0)));
        assert_eq!(ledger.charge("1113-1", 100, "Approved"), ("Closed".to_owned(), false));
    }

    #[test]
    fn a_charge_that_arrives_after_its_cancellation_is_refused() {
        let ledger = Ledger::new();
        assert_eq!(ledger.cancel("1113-1"), 0);
        assert_eq!(ledger.charge("1113-1", 100, "Approved"), ("Closed".to_owned(), false));
        assert_eq!(ledger.balance(), None);
    }

    #[test]
    fn a_declined_key_has_nothing_to_give_back() {
        let ledger = Ledger::new();
        ledger.charge("1113-1", 0, "Declined");
        assert_eq!(ledger.cancel("1113-1"), 0);
        assert_eq!(ledger.charge("1113-1", 100, "Approved"), ("Declined".to_owned(), false));
    }

    #[test]
    fn another_key_is_another_charge() {
        let ledger = Ledger::new();
        ledger.charge("1113-1", 100, "Approved");
        ledger.cancel("1113-1");
        ledger.charge("1113-2", 70, "Approved");
        assert_eq!(ledger.balance(), Some((170, 100, 70, 1)));
    }

    #[test]
    fn each_time_a_key_is_asked_for_is_counted_and_not_in_the_ledger() {
        let ledger = Ledger::new();
        let ask = |key| at_once(ask(&ledger.0, key)).unwrap().unwrap();
        assert_eq!((ask("1113-1"), ask("1113-1"), ask("1114-1"), ask("1113-1")), (1, 2, 1, 3));
        assert_eq!(ledger.balance(), None);
    }

    #[test]
    fn the_ledger_takes_nothing_that_did_not_happen_and_loses_nothing_that_did() {
        let ledger = Ledger::new();
        ledger.charge("1113-1", 100, "Approved");
        ledger.cancel("1113-1");
        for wrong in [
            "UPDATE charges SET amount = 1",
            "DELETE FROM charges",
            "UPDATE refunds SET amount = 1",
            "DELETE FROM refunds",
            "INSERT INTO charges (key, order_id, amount, outcome, at) VALUES ('1113-1', 1113, 5, 'Approved', 'now')",
            "INSERT INTO charges (key, order_id, amount, outcome, at) VALUES ('1113-2', 1113, 5, 'Declined', 'now')",
            "INSERT INTO refunds (key, order_id, amount, at) VALUES ('1113-1', 1113, 100, 'now')",
            "INSERT INTO charges (key, order_id, amount, card_last4, outcome, at) VALUES ('1-3', 1, 5, '41111', 'Approved', 'now')",
            "INSERT INTO charges (key, order_id, amount, outcome, at) VALUES ('1-3', 1, 0, 'Pending', 'now')",
            "INSERT INTO charges (key, order_id, amount, outcome, at) VALUES ('1-3', 1, -5, 'Declined', 'now')",
            "INSERT INTO refunds (key, order_id, amount, at) VALUES ('9-9', 9, 100, 'now')",
        ] {
            assert!(ledger.0.run(wrong, &[]).is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn a_charge_costs_one_statement() {
        let ledger = Store::new(&DATABASE);
        let charge = Charge { key: "1-1", order_id: 1, amount: 5, card_number: "1234" };
        at_once(decide(&ledger, &charge, None, NOW)).unwrap().unwrap();
        assert_eq!(ledger.statements(), 1);
    }

    /// What the release before made of an empty store.
    const VERSION_2: [&str; 10] = [
        "CREATE TABLE IF NOT EXISTS charges (
        key TEXT PRIMARY KEY,
        order_id INTEGER,
        amount INTEGER NOT NULL CHECK (amount >= 0),
        card_last4 TEXT CHECK (length(card_last4) <= 4),
        outcome TEXT NOT NULL CHECK (outcome IN ('Approved', 'Declined', 'Closed')),
        reason TEXT,
        at TEXT NOT NULL,
        CHECK ((outcome = 'Approved') = (amount > 0))
        ) WITHOUT ROWID",
        "CREATE TABLE IF NOT EXISTS refunds (
        key TEXT PRIMARY KEY REFERENCES charges (key),
        order_id INTEGER NOT NULL,
        amount INTEGER NOT NULL CHECK (amount > 0),
        at TEXT NOT NULL
        ) WITHOUT ROWID",
        "CREATE TRIGGER IF NOT EXISTS charges_are_final BEFORE UPDATE ON charges
        BEGIN SELECT RAISE(ABORT, 'decision: a charge is never changed'); END",
        "CREATE TRIGGER IF NOT EXISTS charges_stay BEFORE DELETE ON charges
        BEGIN SELECT RAISE(ABORT, 'decision: a charge is never struck out'); END",
        "CREATE TRIGGER IF NOT EXISTS refunds_are_final BEFORE UPDATE ON refunds
        BEGIN SELECT RAISE(ABORT, 'decision: a refund is never changed'); END",
        "CREATE TRIGGER IF NOT EXISTS refunds_stay BEFORE DELETE ON refunds
        BEGIN SELECT RAISE(ABORT, 'decision: a refund is never struck out'); END",
        "CREATE VIEW IF NOT EXISTS cancellations (key, at) AS
        SELECT key, at FROM refunds UNION ALL SELECT key, at FROM charges WHERE outcome = 'Closed'",
        "CREATE TRIGGER IF NOT EXISTS cancel INSTEAD OF INSERT ON cancellations BEGIN
        INSERT INTO charges (key, amount, outcome, at)
            SELECT NEW.key, 0, 'Closed', NEW.at WHERE NOT EXISTS (SELECT 1 FROM charges WHERE key = NEW.key);
        INSERT INTO refunds (key, order_id, amount, at)
            SELECT key, order_id, amount, NEW.at FROM charges
            WHERE key = NEW.key AND outcome = 'Approved'
              AND NOT EXISTS (SELECT 1 FROM refunds WHERE key = NEW.key);
    END",
        "CREATE TABLE IF NOT EXISTS asks (key TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE VIEW IF NOT EXISTS balances (order_id, charged, refunded, balance, outstanding) AS
        SELECT c.order_id, SUM(c.amount), COALESCE(SUM(r.amount), 0),
               SUM(c.amount) - COALESCE(SUM(r.amount), 0), COUNT(*) - COUNT(r.key)
        FROM charges c LEFT JOIN refunds r ON r.key = c.key
        WHERE c.outcome = 'Approved' GROUP BY c.order_id",
    ];

    /// Therefore the version is the same, and a store of then is used as it is.
    #[test]
    fn a_store_of_the_release_before_has_the_schema_of_a_new_one() {
        let old = Store::as_it_is(std::path::Path::new(":memory:")).unwrap();
        for statement in VERSION_2 {
            old.run(statement, &[]).unwrap();
        }
        old.run("PRAGMA user_version = 2", &[]).unwrap();
        old.migrate(&DATABASE).unwrap();
        let schema = |store: &Store| -> Vec<String> {
            let not_ours = "name <> 'versions' AND name NOT LIKE 'sqlite%'";
            let sql = format!("SELECT sql FROM sqlite_master WHERE {not_ours} ORDER BY name");
            let words = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
            store.run(&sql, &[]).unwrap().iter().map(|row| words(row.text("sql").unwrap())).collect()
        };
        assert_eq!(schema(&old), schema(&Store::new(&DATABASE)));
    }

    #[test]
    fn the_store_is_the_same_on_both_databases() {
        store::native::assert_same_on_both(&DATABASE);
    }
}
