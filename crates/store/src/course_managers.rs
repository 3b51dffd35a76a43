//! Who manages which course. A list of courses says it in a column `managers`, to be shown; the table beside it says the same, to
//! find the courses of a manager by ([`Filter::owned`](crate::Filter::owned)).

use crate::{Row, StoreError};
use kernel::event::Manager;

/// The table.
pub const TABLE: &str = "CREATE TABLE course_managers (
    edu_no INTEGER NOT NULL,
    customer_id INTEGER NOT NULL,
    PRIMARY KEY (edu_no, customer_id)
) WITHOUT ROWID";

/// Its index.
pub const BY_MEMBER: &str = "CREATE INDEX course_managers_by_member ON course_managers (customer_id, edu_no)";

/// Reads the column `managers` of a course.
pub fn read(row: &Row) -> Result<Vec<Manager>, StoreError> {
    let unreadable = |error| StoreError::Failure(format!("`managers`: {error}"));
    serde_json::from_str(row.text("managers")?).map_err(unreadable)
}
