//! Where members are reached, and the numbers that nobody is reached by any more.

use kernel::event::Event;
use kernel::{CustomerId, Phone, Timestamp, WantedMessages};
use serde::Serialize;
use std::collections::BTreeSet;
use store::{Statement, Storage, StoreError};

/// Of whoever is erased the number and the version are left, so that an older event that comes late tells nothing. Names are
/// not kept: no text has one in it.
pub(super) const RECIPIENTS: &str = "CREATE TABLE recipients (
    customer_id INTEGER PRIMARY KEY,
    phone TEXT,
    version INTEGER NOT NULL,
    wanted TEXT NOT NULL DEFAULT 'all'
)";

/// Telephones that the channel is to forget, each once nobody can be sending to it any more: at `due_at`, in milliseconds since
/// 1970.
pub(super) const GONE: &str = "CREATE TABLE gone (phone TEXT PRIMARY KEY, due_at INTEGER NOT NULL)";

/// How many numbers the channel is asked to forget at once.
const AT_ONCE: u32 = 10;

/// A member as an event tells them; of whoever is erased, no telephone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reached<'a> {
    customer_id: CustomerId,
    version: u64,
    phone: Option<&'a Phone>,
    wanted: WantedMessages,
}

fn reached<'a>(members: &'a [(u64, &'a Event)]) -> impl Iterator<Item = Reached<'a>> {
    members.iter().filter_map(|(version, event)| {
        let phone = event.person().and_then(|member| member.phone.as_ref());
        let wanted = event.person().map(|member| member.messages).unwrap_or_default();
        Some(Reached { customer_id: event.member()?, version: *version, phone, wanted })
    })
}

/// Notes which of the numbers that are kept are no longer their members'. To be run before [`keep_recipients`].
pub(crate) fn note_replaced(members: &[(u64, &Event)], due: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO gone (phone, due_at)
         SELECT recipients.phone, $1 FROM json_each($2) AS told
            JOIN recipients ON recipients.customer_id = CAST(told.value ->> 'customerId' AS BIGINT)
         WHERE recipients.phone IS NOT NULL AND recipients.version < CAST(told.value ->> 'version' AS BIGINT)
            AND recipients.phone IS DISTINCT FROM told.value ->> 'phone'
         ON CONFLICT (phone) DO NOTHING",
    )
    .bind(due.millis())
    .bind_list(reached(members))
}

/// Notes numbers that are nobody's any more by what the same batch of events says.
pub(crate) fn note_gone(phones: &BTreeSet<&Phone>, due: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO gone (phone, due_at) SELECT value ->> 'v', $1 FROM json_each($2) WHERE true
         ON CONFLICT (phone) DO NOTHING",
    )
    .bind(due.millis())
    .bind_values(phones.iter().map(|phone| phone.as_str()))
}

/// Keeps the newest that was told about each member.
pub(crate) fn keep_recipients(members: &[(u64, &Event)]) -> Statement {
    Statement::new(
        "INSERT INTO recipients (customer_id, version, phone, wanted)
         SELECT CAST(value ->> 'customerId' AS BIGINT), CAST(value ->> 'version' AS BIGINT), value ->> 'phone', value ->> 'wanted'
         FROM json_each($1) WHERE true
         ON CONFLICT (customer_id) DO UPDATE SET version = excluded.version, phone = excluded.phone, wanted = excluded.wanted
             WHERE excluded.version > recipients.version",
    )
    .bind_list(reached(members))
}

/// Some of the numbers that the channel is to forget by now.
pub(crate) async fn gone(storage: &impl Storage, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let due = "SELECT phone FROM gone WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    let rows = Statement::new(due).bind(now.millis()).bind(AT_ONCE).rows(storage).await?;
    rows.iter().map(|row| row.text("phone").map(str::to_owned)).collect()
}

/// These are forgotten.
pub(crate) fn forget(phones: &[String]) -> Statement {
    Statement::new("DELETE FROM gone WHERE phone IN (SELECT value ->> 'v' FROM json_each($1))")
        .bind_values(phones)
}
