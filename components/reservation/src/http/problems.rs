//! What is refused, as problems.

use crate::domain::Refusal;
use crate::service::NotDone;
use hal::{Error, Kind, Problem, Request};
use kernel::{EduNo, Invalid, OrderId};

/// What a client is told of a command that was not carried out.
pub(super) fn refuse(request: &Request, not_done: NotDone) -> Error {
    match not_done {
        NotDone::Refused(refusal) => problem(&refusal).into(),
        NotDone::PreconditionFailed => request.preconditions().failed().into(),
        NotDone::KeyReused => Problem::key_reused().into(),
        NotDone::Store(error) => error.into(),
    }
}

pub(super) fn no_course(edu_no: EduNo) -> Problem {
    Problem::not_found(format!("There is no course {edu_no}."))
}

pub(super) fn no_reservation(order_id: OrderId) -> Problem {
    Problem::not_found(format!("There is no reservation for order {order_id}; it may not be paid yet."))
}

fn problem(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::UnknownCourse(edu_no) => no_course(*edu_no),
        Refusal::UnknownReservation(order_id) => no_reservation(*order_id),
        Refusal::CourseDiffers(present) => Problem::new(Kind::COURSE_CONTENT_DIFFERS)
            .detail(format!("Course {} exists with other content.", present.edu_no))
            .next("Choose another eduNo, leave it out to have one chosen, or PATCH the course.")
            .with("present", present),
        Refusal::CourseClosed { present } => Problem::new(Kind::COURSE_NOT_OPEN)
            .detail(format!("The course is `{present}`."))
            .next("Follow the links of the course: they name what can be done now.")
            .with("presentStatus", present),
        Refusal::CourseTransition { present, asked } => transition(present, asked).next(
            "A course goes from Open to Started to Finished, and may be canceled until it is finished.",
        ),
        Refusal::ReservationTransition { present, asked } => transition(present, asked).next(
            "Confirm what is requested; reject what is requested or waits. Customers cancel their order.",
        ),
        Refusal::CapacityBelowTaken { taken } => Problem::new(Kind::CAPACITY_BELOW_TAKEN)
            .detail(format!("{taken} seats are taken."))
            .next("Choose at least as many seats as are taken.")
            .with("taken", taken),
        Refusal::EndsBeforeStart => Invalid::new("endsAt", "must be later than `startsAt`").into(),
        Refusal::ApprovalFixed => {
            Invalid::new("approval", "cannot be changed once the course is open").into()
        }
    }
}

fn transition(present: &impl ToString, asked: &impl ToString) -> Problem {
    let (present, asked) = (present.to_string(), asked.to_string());
    let detail = format!("It is `{present}` and cannot become `{asked}`.");
    Problem::transition_not_allowed(present).detail(detail)
}
