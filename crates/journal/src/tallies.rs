//! How many rows a list has, kept by triggers: counting rows would slow down as the list grows.
//!
//! It is for lists of one row for each order, with the columns `customer_id`, `edu_no` and `status`, by which they are also
//! filtered.

use kernel::{CustomerId, EduNo, Owners};
use std::fmt::Display;
use store::{Statement, Storage, StoreError};

/// Which rows of such a list are wanted; what is none does not matter. `S` is its status.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a, S> {
    /// Of this customer.
    pub customer_id: Option<CustomerId>,
    /// For this course.
    pub edu_no: Option<EduNo>,
    /// Standing so.
    pub status: Option<S>,
    /// Whose; none is everybody's.
    pub owners: Option<&'a Owners>,
}

impl<S> Default for Filter<'_, S> {
    fn default() -> Self {
        Self { customer_id: None, edu_no: None, status: None, owners: None }
    }
}

impl<S: Display> Filter<'_, S> {
    /// The same as conditions on the list.
    pub fn conditions(self) -> store::Filter {
        store::Filter::default()
            .equal("customer_id", self.customer_id.map(CustomerId::get))
            .equal("edu_no", self.edu_no.map(EduNo::get))
            .equal("status", self.status.map(|status| status.to_string()))
            .owned("", self.owners)
    }

    /// How many rows of `list` are let through: from the tallies, unless those of some customers are asked for.
    pub async fn total(self, storage: &impl Storage, list: &str) -> Result<u64, StoreError> {
        self.ask_total(list).total(storage).await
    }

    fn ask_total(self, list: &str) -> Statement {
        if self.customer_id.is_none() && self.owners.is_none() {
            return self.conditions().all(TOTAL);
        }
        self.conditions().all(&format!("SELECT count(*) AS total FROM {list}"))
    }
}

/// How many rows there are of each course and status. What has gone back to nothing may stay as 0.
pub const TALLIES: &str = "CREATE TABLE tallies (
    edu_no INTEGER NOT NULL,
    status TEXT NOT NULL,
    orders INTEGER NOT NULL,
    PRIMARY KEY (edu_no, status)
) WITHOUT ROWID";

/// How many rows there are that conditions on `edu_no` and `status` let through, in the column `total`.
pub const TOTAL: &str = "SELECT CAST(coalesce(sum(orders), 0) AS BIGINT) AS total FROM tallies";

/// How the tallies of a list that is there already begin: for a step.
#[macro_export]
macro_rules! count_tallies {
    ($list:literal) => {
        concat!(
            "INSERT INTO tallies (edu_no, status, orders) SELECT edu_no, status, count(*) FROM ",
            $list,
            " GROUP BY edu_no, status"
        )
    };
}

/// The trigger that counts a new row of a list.
#[macro_export]
macro_rules! tally_new {
    ($list:literal) => {
        concat!(
            "CREATE TRIGGER tally_new AFTER INSERT ON ",
            $list,
            " BEGIN
    INSERT INTO tallies (edu_no, status, orders) VALUES (NEW.edu_no, NEW.status, 1)
        ON CONFLICT (edu_no, status) DO UPDATE SET orders = tallies.orders + 1;
END"
        )
    };
}

/// The trigger that counts a row of a list elsewhere when its status changes.
#[macro_export]
macro_rules! tally_changed {
    ($list:literal) => {
        concat!(
            "CREATE TRIGGER tally_changed AFTER UPDATE OF edu_no, status ON ",
            $list,
            "
WHEN OLD.edu_no <> NEW.edu_no OR OLD.status <> NEW.status BEGIN
    UPDATE tallies SET orders = orders - 1 WHERE edu_no = OLD.edu_no AND status = OLD.status;
    INSERT INTO tallies (edu_no, status, orders) VALUES (NEW.edu_no, NEW.status, 1)
        ON CONFLICT (edu_no, status) DO UPDATE SET orders = tallies.orders + 1;
END"
        )
    };
}

/// The trigger that no longer counts a row of a list that is deleted.
#[macro_export]
macro_rules! tally_gone {
    ($list:literal) => {
        concat!(
            "CREATE TRIGGER tally_gone AFTER DELETE ON ",
            $list,
            " BEGIN
    UPDATE tallies SET orders = orders - 1 WHERE edu_no = OLD.edu_no AND status = OLD.status;
END"
        )
    };
}
