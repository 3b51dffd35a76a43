//! Reading for answers: one resource, and lists by page.
//!
//! A list is read by key (`after` a number, in the order of an index) or, as in the seed, by page number.
//! Every filter has its index; only the page number costs more the higher it is.

use super::{COURSE, RESERVATION, course, reservation};
use crate::domain::{Course, Reservation};
use kernel::{CourseStatus, CustomerId, EduNo, OrderId, Owners, ReservationStatus};
use store::{Filter, Page, Row, Storage, StoreError, course_managers};

/// A reservation as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedReservation {
    pub(crate) reservation: Reservation,
    /// RFC 3339; none where there never was a seat or a place on the waiting list.
    pub(crate) reserved_at: Option<String>,
    /// Counted from 1 among those who still wait for the course.
    pub(crate) waiting_position: Option<u64>,
    /// Who manages its course.
    pub(crate) managers: Vec<CustomerId>,
}

/// Which reservations to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReservationFilter {
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) edu_no: Option<EduNo>,
    /// Any of these; all where empty.
    pub(crate) statuses: Vec<ReservationStatus>,
    /// Whose; none is everybody's.
    pub(crate) owners: Option<Owners>,
}

impl ReservationFilter {
    pub(super) fn conditions(&self) -> Filter {
        let conditions = Filter::default()
            .equal("customer_id", self.customer_id.map(CustomerId::get))
            .equal("edu_no", self.edu_no.map(EduNo::get))
            .owned("", self.owners.as_ref());
        // One status is found in the order of the list by its index; several are not.
        match &*self.statuses {
            [status] => conditions.equal("status", Some(status.as_str())),
            statuses => conditions
                .any_of("status", &statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>()),
        }
    }
}

/// The course, if there is one of that number.
pub(crate) async fn find_course(storage: &impl Storage, edu_no: EduNo) -> Result<Option<Course>, StoreError> {
    let find = Filter::default().equal("edu_no", Some(edu_no.get())).all(&select_courses());
    find.row(storage).await?.as_ref().map(course).transpose()
}

/// A page of the courses, by number.
pub(crate) async fn list_courses(
    storage: &impl Storage,
    status: Option<CourseStatus>,
    page: &Page,
) -> Result<Vec<Course>, StoreError> {
    let list = of_status(status).page(&select_courses(), "edu_no", page);
    list.rows(storage).await?.iter().map(course).collect()
}

pub(crate) async fn count_courses(
    storage: &impl Storage,
    status: Option<CourseStatus>,
) -> Result<u64, StoreError> {
    of_status(status).all("SELECT count(*) AS total FROM courses").total(storage).await
}

fn of_status(status: Option<CourseStatus>) -> Filter {
    Filter::default().equal("status", status.map(CourseStatus::as_str))
}

fn select_courses() -> String {
    format!("SELECT {COURSE} FROM courses AS c")
}

/// The reservation of an order, if there is one.
pub(crate) async fn find_reservation(
    storage: &impl Storage,
    order_id: OrderId,
) -> Result<Option<ListedReservation>, StoreError> {
    let find = Filter::default().equal("order_id", Some(order_id.get())).all(&select_reservations());
    find.row(storage).await?.as_ref().map(listed_reservation).transpose()
}

/// A page of the reservations, by order number.
pub(crate) async fn list_reservations(
    storage: &impl Storage,
    filter: &ReservationFilter,
    page: &Page,
) -> Result<Vec<ListedReservation>, StoreError> {
    let list = filter.conditions().page(&select_reservations(), "order_id", page);
    list.rows(storage).await?.iter().map(listed_reservation).collect()
}

/// How many reservations there are: from the tallies, unless those of some are asked for.
pub(crate) async fn count_reservations(
    storage: &impl Storage,
    filter: &ReservationFilter,
) -> Result<u64, StoreError> {
    let counted = if filter.customer_id.is_some() || filter.owners.is_some() {
        "SELECT count(*) AS total FROM reservations"
    } else {
        journal::tallies::TOTAL
    };
    filter.conditions().all(counted).total(storage).await
}

/// The waiting position is counted when it is asked for: keeping it would rewrite everyone behind whoever leaves.
pub(super) fn select_reservations() -> String {
    format!(
        "SELECT {RESERVATION}, r.reserved_at, CASE WHEN r.status = 'Waitlisted' THEN
            (SELECT count(*) FROM reservations AS before WHERE before.edu_no = r.edu_no
                AND before.status = 'Waitlisted' AND before.ticket <= r.ticket)
         END AS waiting_position,
         coalesce((SELECT c.managers FROM courses AS c WHERE c.edu_no = r.edu_no), '[]') AS managers
         FROM reservations AS r"
    )
}

fn listed_reservation(row: &Row) -> Result<ListedReservation, StoreError> {
    Ok(ListedReservation {
        reservation: reservation(row)?,
        reserved_at: row.opt_string("reserved_at")?,
        waiting_position: row.opt_count("waiting_position")?,
        managers: course_managers::read(row)?.into_iter().map(|manager| manager.customer_id).collect(),
    })
}
