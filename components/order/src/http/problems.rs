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

#[cfg(test)]
mod tests {
    use super::*;
    use ::store::native::at_once;
    use hal::Response;
    use http_body_util::BodyExt;
    use kernel::EduNo;
    use kernel::event::CancelReason;
    use serde_json::Value;

    fn request() -> Request {
        Request {
            method: hal::Method::POST,
            segments: vec!["orders".to_owned()],
            path: "/orders".to_owned(),
            query: hal::Query::default(),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            base: String::new(),
        }
    }

    /// What the client is told.
    fn told(error: Error) -> Value {
        let response: Response = error.into_problem("/orders").into();
        let body = at_once(response.into_http().into_body().collect()).unwrap().unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
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
        let refused = refusals.map(|refusal| refuse(&request(), refusal.into()));
        for error in refused.into_iter().chain([Error::from(key_reused())]) {
            let problem = told(error);
            assert!(problem["next"].is_string(), "no word on what to do next: {problem}");
            assert!(problem["detail"].is_string(), "no word on what was wrong: {problem}");
        }
    }

    #[test]
    fn a_course_that_is_not_open_is_said_to_be_what_it_is() {
        let refusal = Refusal::CourseNotOpen(EduNo::parse(101).unwrap(), CourseStatus::Started);
        assert_eq!(told(refuse(&request(), refusal.into()))["presentStatus"], "Started");
    }
}
