//! What the domain says no to, as problem documents.

use crate::domain::Refusal;
use crate::store::Undecided;
use hal::{Error, Problem, Request, StatusCode};
use kernel::{CourseStatus, OrderStatus};
use serde_json::json;

/// Why nothing was done, as the client is told.
pub(super) fn refuse(request: &Request, undecided: Undecided) -> Error {
    let refusal = match undecided {
        Undecided::Refused(refusal) => refusal,
        Undecided::Store(error) => return error.into(),
        Undecided::Seal(error) => return Error::Failure(error.into()),
        Undecided::Changed(etag) => {
            return request.check_if_match(&etag).map_or_else(Error::from, |()| {
                Error::Failure(anyhow::anyhow!("a precondition that holds was said not to"))
            });
        }
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
                .with("presentStatus", json!(status))
        }
        Refusal::ContentDiffers => {
            Problem::conflict("order-content-differs", "That number belongs to another order")
                .next("Choose another `orderId`, or leave it out; to pay with another card, `POST /orders/{orderId}/payment`.")
        }
        Refusal::UnknownOrder => return Problem::not_found("There is no order with this number.").into(),
        Refusal::Ended(_) => not_now(OrderStatus::OrderCanceled)
            .next("A canceled order stays canceled; apply again with `POST /orders`."),
        Refusal::CourseFinished => not_now(OrderStatus::Ordered)
            .with("courseStatus", json!(CourseStatus::Finished))
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
        .with("presentStatus", json!(present))
}

pub(super) fn key_reused() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "This Idempotency-Key was used for another request",
    )
    .detail("The same key came before with other content.")
    .next("Send a new key with a new request; nothing was stored.")
}
