//! What the domain says no to, as problem documents.

use crate::domain::Refusal;
use crate::service::NotDone;
use hal::{Error, Preconditions, Problem, StatusCode};
use kernel::{CourseStatus, Invalid, OrderStatus};

/// Why nothing was done, as the client is told.
pub(super) fn refuse(preconditions: &Preconditions, not_done: NotDone) -> Error {
    let refusal = match not_done {
        NotDone::Refused(refusal) => refusal,
        NotDone::PreconditionFailed => return preconditions.failed().into(),
        NotDone::KeyReused => return key_reused().into(),
        NotDone::CardMissing => {
            return Invalid::new("cardNo", "is required where there is something to pay").into();
        }
        NotDone::Seal(error) => return error.into(),
        NotDone::Store(error) => return error.into(),
    };
    let detail = refusal.to_string();
    match refusal {
        Refusal::UnknownCourse(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-course", "There is no such course")
                .next("Choose one of `GET /courses`; nothing was stored.")
        }
        Refusal::CourseNotOpen(_, status) => {
            Problem::conflict("course-not-open", "The course is not open")
                .next("Choose another of `GET /courses?status=Open`; nothing was stored.")
                .with("presentStatus", status)
        }
        Refusal::ContentDiffers => {
            Problem::conflict("order-content-differs", "That number belongs to another order")
                .next("Choose another `orderId`, or leave it out; to pay with another card, `POST /orders/{orderId}/payment`.")
        }
        Refusal::UnknownOrder => return Problem::not_found("There is no order with this number.").into(),
        Refusal::Ended(_) => not_now(OrderStatus::OrderCanceled)
            .next("A canceled order stays canceled; apply again with `POST /orders`."),
        Refusal::CourseFinished => not_now(OrderStatus::Ordered)
            .with("courseStatus", CourseStatus::Finished)
            .next("A course that was paid for and is over cannot be canceled; ask its manager."),
        Refusal::Paid => {
            not_now(OrderStatus::Ordered).next("Cancel it with `DELETE` if that is what you want.")
        }
    }
    .detail(detail)
    .into()
}

fn not_now(present: OrderStatus) -> Problem {
    Problem::conflict("transition-not-allowed", "Its present state does not allow this")
        .with("presentStatus", present)
}

fn key_reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "This Idempotency-Key was used for another request",
    )
    .detail("The same key came before with other content.")
    .next("Send a new key with a new request; nothing was stored.")
}

/// A key is promised to stand for one request. What stands for a payment is its order's number, and another card after a
/// refusal is another try.
pub(super) fn refuse_key() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "idempotency-key-not-taken", "No Idempotency-Key is taken here")
        .detail("A payment is known by its order's number: an order is never charged twice.")
        .next("Send the request without the header, as often as you like.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hal::Response;
    use kernel::EduNo;
    use kernel::event::CancelReason;
    use serde_json::Value;

    /// What the client is told.
    fn told(not_done: NotDone) -> Value {
        shown(refuse(&Preconditions::default(), not_done))
    }

    fn shown(error: Error) -> Value {
        Response::from(error.into_problem("/orders")).json()
    }

    #[test]
    fn every_refusal_says_what_to_do_next() {
        let course = EduNo::parse(101).unwrap();
        let refusals = [
            Refusal::UnknownCourse(course),
            Refusal::CourseNotOpen(course, CourseStatus::Started),
            Refusal::ContentDiffers,
            Refusal::UnknownOrder,
            Refusal::Ended(CancelReason::Expired),
            Refusal::CourseFinished,
            Refusal::Paid,
        ];
        let refused = refusals.map(NotDone::from).into_iter().chain([
            NotDone::CardMissing,
            NotDone::PreconditionFailed,
            NotDone::KeyReused,
        ]);
        for problem in refused.map(told).chain([shown(refuse_key().into())]) {
            assert!(problem["next"].is_string(), "no word on what to do next: {problem}");
            assert!(problem["detail"].is_string(), "no word on what was wrong: {problem}");
        }
    }

    #[test]
    fn a_course_that_is_not_open_is_said_to_be_what_it_is() {
        let refusal = Refusal::CourseNotOpen(EduNo::parse(101).unwrap(), CourseStatus::Started);
        assert_eq!(told(refusal.into())["presentStatus"], "Started");
    }
}
