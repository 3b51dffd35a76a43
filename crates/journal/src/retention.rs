//! Forgetting whose an order was once nobody has to know any more.
//!
//! Records of contracts and payments are kept for as long as the law asks (전자상거래법 시행령 제6조: five years), counted from an
//! order's last event. Then the customer's number and the card's last digits are taken out of its events and its row; the
//! trail of what was sold and paid is left, about nobody. `order`, `pay` and `reservation` each do so in their own store.

use kernel::Timestamp;
use store::{Statement, Storage, StoreError};

/// One row: up to which place of the log this is done. Events are looked at in their order, so that none of what is done has
/// to be looked at again.
pub const ANONYMOUS: &str =
    "CREATE TABLE anonymous (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL)";

/// The row of [`ANONYMOUS`].
pub const ANONYMOUS_BEGINS: &str = "INSERT INTO anonymous (id, position) VALUES (1, 0)";

/// Where events are inserted whose time is over, in their order.
pub const EXPIRED: &str = "CREATE VIEW expired AS SELECT position, subject, version FROM events";

/// Notes how far it is done.
pub const PASS_EXPIRED: &str = "CREATE TRIGGER pass_expired INSTEAD OF INSERT ON expired BEGIN
    UPDATE anonymous SET position = NEW.position;
END";

/// The trigger that takes the person out of an order whose last event has expired: `anonymise!("pays", "card_last4 = NULL")`
/// for the list with one row for each order, and what of that row is about the person beside `customer_id`.
#[macro_export]
macro_rules! anonymise {
    ($list:literal, $columns:literal) => {
        concat!(
            "CREATE TRIGGER anonymise INSTEAD OF INSERT ON expired WHEN NEW.subject NOT LIKE '%/%' BEGIN
    UPDATE ",
            $list,
            " SET customer_id = NULL",
            $columns,
            " WHERE order_id = CAST(NEW.subject AS BIGINT) AND version = NEW.version;
    UPDATE events SET
            data = /*sqlite json_remove(data, '$.customerId', '$.cardLast4')*//*postgres (CAST(data AS JSONB) - 'customerId' - 'cardLast4')::TEXT*/,
            actor = CASE WHEN actor LIKE 'customer:%' THEN NULL ELSE actor END
        WHERE subject = NEW.subject AND NOT EXISTS (SELECT 1 FROM events AS later
            WHERE later.subject = NEW.subject AND later.version > NEW.version);
END"
        )
    };
}

/// Takes the person out of up to 200 orders of which nothing was told since `before`, and has what was written there
/// overwritten.
pub async fn anonymise(storage: &impl Storage, before: Timestamp) -> Result<(), StoreError> {
    let due = "SELECT position FROM (SELECT position, time FROM events
        WHERE position > (SELECT position FROM anonymous) ORDER BY position LIMIT 1) AS next WHERE time < $1";
    // Not beyond the first that is not due: hosts have clocks of their own.
    let expire = "INSERT INTO expired (position, subject, version)
        SELECT position, subject, version FROM (
            SELECT position, subject, version, min(CASE WHEN time >= $1 THEN position END) OVER () AS stop
            FROM (SELECT position, subject, version, time FROM events
                WHERE position > (SELECT position FROM anonymous) ORDER BY position LIMIT 200) AS next
        ) AS due WHERE stop IS NULL OR position < stop ORDER BY position";
    let [due, expire] = [due, expire].map(|sql| Statement::new(sql).bind(before.to_string()));
    store::forget_due(storage, &due, &expire).await
}
