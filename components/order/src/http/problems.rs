//! What the domain says no to, as problem documents.

use crate::domain::Refusal;
use crate::service::NotDone;
use hal::{Error, Kind, Preconditions, Problem};
use kernel::{CourseStatus, Invalid, OrderStatus};

/// Why nothing was done, as the client is told.
pub(super) fn refuse(preconditions: &Preconditions, not_done: NotDone) -> Error {
    let refusal = match not_done {
        NotDone::Refused(refusal) => refusal,
        NotDone::PreconditionFailed => return preconditions.failed().into(),
        NotDone::KeyReused => return Problem::key_reused().into(),
        NotDone::CardMissing => {
            return Invalid::new("cardNo", "is required where there is something to pay").into();
        }
        NotDone::TooMany(seconds) => {
            let detail = "Orders and payments were asked for too often, by this member or from this address.";
            return Problem::too_often(detail, seconds).into();
        }
        NotDone::Seal(error) => return error.into(),
        NotDone::Store(error) => return error.into(),
    };
    let detail = refusal.to_string();
    match refusal {
        Refusal::UnknownCourse(_) => {
            Problem::new(Kind::UNKNOWN_COURSE)
                .next("Choose one of `GET /courses`; nothing was stored.")
        }
        Refusal::CourseNotOpen(_, status) => {
            Problem::new(Kind::COURSE_NOT_OPEN)
                .next("Choose another of `GET /courses?status=Open`; nothing was stored.")
                .with("presentStatus", status)
        }
        Refusal::ContentDiffers => {
            Problem::new(Kind::ORDER_CONTENT_DIFFERS)
                .next("Choose another `orderId`, or leave it out; to pay with another card, `POST /orders/{orderId}/payment`.")
        }
        Refusal::UnknownOrder => return Problem::not_found("There is no order with this number.").into(),
        Refusal::Ended(_) => Problem::transition_not_allowed(OrderStatus::OrderCanceled)
            .next("A canceled order stays canceled; apply again with `POST /orders`."),
        Refusal::CourseFinished => Problem::transition_not_allowed(OrderStatus::Ordered)
            .with("courseStatus", CourseStatus::Finished)
            .next("A course that was paid for and is over cannot be canceled; ask its manager."),
        Refusal::Paid => {
            Problem::transition_not_allowed(OrderStatus::Ordered).next("Cancel it with `DELETE` if that is what you want.")
        }
    }
    .detail(detail)
    .into()
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
        let error = refuse(&Preconditions::default(), not_done);
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
            NotDone::TooMany(60),
        ]);
        for problem in refused.map(told) {
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
