//! What tests send: orders and courses.

use serde_json::{Value, json};

/// The demonstration course with automatic approval.
pub const AUTOMATIC: u64 = 101;
/// The demonstration course that a manager approves.
pub const MANUAL: u64 = 102;
/// The demonstration course with two seats.
pub const TWO_SEATS: u64 = 103;
/// The demonstration course that starts soon.
pub const STARTS_SOON: u64 = 104;
/// The demonstration course that costs nothing.
pub const FREE: u64 = 105;

/// A card that is charged.
pub const GOOD_CARD: &str = "4111111111111234";
/// A card that the sandbox declines.
pub const DECLINED_CARD: &str = "4000000000000002";
/// A card at which the sandbox fails.
pub const FAILING_CARD: &str = "4000000000000119";

/// A card that the sandbox charges without its first answer getting through.
pub const UNHEARD_CARD: &str = "4000000000000408";
/// A card that the sandbox hears of only at the third time of asking.
pub const LATE_CARD: &str = "4000000000000504";

/// A card that the sandbox charges without saying so: its answer gets lost.
pub const ANSWER_LOST_CARD: &str = "4000000000000408";
/// A card with which the question gets lost on its way to the sandbox's card company.
pub const ASK_LOST_CARD: &str = "4000000000000504";

/// An order as the seed's own commands send it: every value a text.
#[must_use]
pub fn seed_order(id: u64, edu_no: u64) -> Value {
    json!({
        "customerId": "1",
        "eduNo": edu_no.to_string(),
        "cardNo": "1234",
        "guest": "1",
        "status": "ordered",
        "orderId": id.to_string(),
    })
}

/// An order for one person with a good card.
#[must_use]
pub fn order(id: u64, edu_no: u64) -> Value {
    json!({ "orderId": id, "customerId": 7, "eduNo": edu_no, "guest": 1, "cardNo": GOOD_CARD })
}

/// The same order with other values for some fields; null takes a field out.
#[must_use]
pub fn with(mut order: Value, changes: &Value) -> Value {
    if let (Some(fields), Some(changes)) = (order.as_object_mut(), changes.as_object()) {
        for (name, value) in changes {
            if value.is_null() {
                fields.remove(name);
            } else {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
    order
}

/// A course of the distant future.
#[must_use]
pub fn course(edu_no: u64, capacity: u64, approval: &str) -> Value {
    json!({
        "eduNo": edu_no,
        "title": format!("Course {edu_no}"),
        "capacity": capacity,
        "fee": 10_000,
        "approval": approval,
        "startsAt": "2099-01-01T00:00:00Z",
        "endsAt": "2099-01-02T00:00:00Z",
    })
}
