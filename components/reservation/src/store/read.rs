//! Reading for answers: one resource, and lists by page.
//!
//! A list is read by keyset (`after` a number, in the order of an index) or, as in the seed, by page number.
//! Every filter has its index; only the page number costs more the higher it is.

use super::{COURSE, RESERVATION, course, reservation};
use crate::domain::{Course, Reservation};
use kernel::{CourseStatus, CustomerId, EduNo, OrderId, ReservationStatus};
use std::collections::BTreeSet;
use store::{Row, Storage, StoreError, Value, count, int, text};

/// A course as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedCourse {
    pub(crate) course: Course,
    /// Moves with every change of the course or its seats.
    pub(crate) seats_version: i64,
}

/// A reservation as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedReservation {
    pub(crate) reservation: Reservation,
    /// RFC 3339; none where there never was a seat or a place in line.
    pub(crate) reserved_at: Option<String>,
    /// Counted from 1 among those who still wait for the course.
    pub(crate) waiting_position: Option<u64>,
}

/// Which courses to list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CourseFilter {
    pub(crate) status: Option<CourseStatus>,
}

/// Which reservations to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReservationFilter {
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) edu_no: Option<EduNo>,
    /// Any of these; all where empty.
    pub(crate) statuses: Vec<ReservationStatus>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those behind this number.
    After(u64),
    /// Those behind the first so many.
    Skip(u64),
}

/// How much of a list, from where, and which way round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) part: Part,
    pub(crate) limit: u64,
    pub(crate) descending: bool,
}

/// Conditions joined by `AND`, with their parameters.
#[derive(Default)]
struct Where {
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Where {
    fn and(&mut self, condition: impl Into<String>, params: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.into());
        self.params.extend(params);
    }

    fn sql(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!("WHERE {}", self.conditions.join(" AND "))
    }

    /// The rest of a `SELECT`: this condition, in the order of `key`, and of that the slice.
    fn slice(mut self, key: &str, slice: Slice) -> (String, Vec<Value>) {
        let (direction, beyond) = if slice.descending { ("DESC", "<") } else { ("ASC", ">") };
        let skip = match slice.part {
            Part::After(last) => {
                self.and(format!("{key} {beyond} ?"), [count(last)]);
                0
            }
            Part::Skip(rows) => rows,
        };
        let sql = format!("{} ORDER BY {key} {direction} LIMIT ? OFFSET ?", self.sql());
        self.params.extend([count(slice.limit), count(skip)]);
        (sql, self.params)
    }
}

impl CourseFilter {
    fn condition(self) -> Where {
        let mut condition = Where::default();
        if let Some(status) = self.status {
            condition.and("status = ?", [text(status.as_str())]);
        }
        condition
    }
}

impl ReservationFilter {
    fn condition(&self) -> Where {
        let mut condition = Where::default();
        if let Some(customer_id) = self.customer_id {
            condition.and("customer_id = ?", [int(customer_id.as_i64())]);
        }
        if let Some(edu_no) = self.edu_no {
            condition.and("edu_no = ?", [int(edu_no.as_i64())]);
        }
        if !self.statuses.is_empty() {
            let any = vec!["?"; self.statuses.len()].join(",");
            condition.and(format!("status IN ({any})"), self.statuses.iter().map(|s| text(s.as_str())));
        }
        condition
    }
}

/// The course, if there is one of that number.
pub(crate) async fn find_course(
    storage: &impl Storage,
    edu_no: EduNo,
) -> Result<Option<ListedCourse>, StoreError> {
    let sql = format!("SELECT {COURSE} FROM courses WHERE edu_no = ?");
    let rows = storage.query(&sql, vec![int(edu_no.as_i64())]).await?;
    rows.first().map(listed_course).transpose()
}

/// Which of these courses exist.
pub(crate) async fn known_courses(
    storage: &impl Storage,
    edu_nos: &BTreeSet<EduNo>,
) -> Result<BTreeSet<EduNo>, StoreError> {
    let known = super::courses(storage, edu_nos).await?;
    Ok(known.into_iter().map(|(course, _)| course.terms.edu_no).collect())
}

/// A slice of the courses, by number.
pub(crate) async fn list_courses(
    storage: &impl Storage,
    filter: CourseFilter,
    slice: Slice,
) -> Result<Vec<ListedCourse>, StoreError> {
    let (rest, params) = filter.condition().slice("edu_no", slice);
    let rows = storage.query(&format!("SELECT {COURSE} FROM courses {rest}"), params).await?;
    rows.iter().map(listed_course).collect()
}

/// How many courses there are.
pub(crate) async fn count_courses(storage: &impl Storage, filter: CourseFilter) -> Result<u64, StoreError> {
    total(storage, "courses", filter.condition()).await
}

/// The next free course number: one above the highest.
pub(crate) async fn next_edu_no(storage: &impl Storage) -> Result<u64, StoreError> {
    let rows = storage.query("SELECT coalesce(max(edu_no), 0) + 1 FROM courses", vec![]).await?;
    rows.first().map_or(Ok(1), |row| row.count(0))
}

/// The reservation of an order, if there is one.
pub(crate) async fn find_reservation(
    storage: &impl Storage,
    order_id: OrderId,
) -> Result<Option<ListedReservation>, StoreError> {
    let mut condition = Where::default();
    condition.and("order_id = ?", [int(order_id.as_i64())]);
    let rows = storage.query(&select_reservations(&condition.sql()), condition.params).await?;
    rows.first().map(listed_reservation).transpose()
}

/// A slice of the reservations, by order number.
pub(crate) async fn list_reservations(
    storage: &impl Storage,
    filter: &ReservationFilter,
    slice: Slice,
) -> Result<Vec<ListedReservation>, StoreError> {
    let (rest, params) = filter.condition().slice("order_id", slice);
    let rows = storage.query(&select_reservations(&rest), params).await?;
    rows.iter().map(listed_reservation).collect()
}

/// How many reservations there are.
pub(crate) async fn count_reservations(
    storage: &impl Storage,
    filter: &ReservationFilter,
) -> Result<u64, StoreError> {
    total(storage, "reservations", filter.condition()).await
}

/// The place in line is counted when it is asked for: keeping it would rewrite everyone behind whoever leaves.
pub(super) fn select_reservations(rest: &str) -> String {
    format!(
        "SELECT {RESERVATION}, reserved_at, CASE WHEN status = 'Waitlisted' THEN
            (SELECT count(*) FROM reservations AS before WHERE before.edu_no = reservations.edu_no
                AND before.status = 'Waitlisted' AND before.ticket <= reservations.ticket)
         END FROM reservations {rest}"
    )
}

async fn total(storage: &impl Storage, table: &str, condition: Where) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(*) FROM {table} {}", condition.sql());
    let rows = storage.query(&sql, condition.params).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

fn listed_course(row: &Row) -> Result<ListedCourse, StoreError> {
    let (course, seats_version) = course(row)?;
    Ok(ListedCourse { course, seats_version })
}

fn listed_reservation(row: &Row) -> Result<ListedReservation, StoreError> {
    Ok(ListedReservation {
        reservation: reservation(row)?,
        reserved_at: row.opt_text(7)?.map(str::to_owned),
        waiting_position: row.opt_int(8)?.map(|_| row.count(8)).transpose()?,
    })
}
