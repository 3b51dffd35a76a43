//! Requests, and what whoever made them was told.

use super::Shared;
use crate::step::Link;
use bytes::Bytes;
use hal::{Error, Method, Request, Response, StatusCode};
use serde_json::Value;

impl Shared {
    /// Status and body of an answer. That something broke is a violation, unless the card company was not well.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
        gateway: Link,
        answer: impl AsyncFn(&Request) -> Result<Response, Error>,
    ) -> (StatusCode, Bytes) {
        let answered = match Request::new(method, path, headers, body) {
            Ok(request) => answer(&request).await,
            Err(problem) => Err(problem.into()),
        };
        match &answered {
            Err(Error::Failure(causes)) => self.violated(format!("{path} failed: {causes:#}")),
            Err(Error::Unavailable(causes)) => {
                self.violated(format!("{path} was refused for no reason: {causes:#}"));
            }
            Ok(_) | Err(Error::Problem(_)) => {}
        }
        let response = answered.unwrap_or_else(|error| error.into_problem(path).into());
        let (status, body) = (response.status(), response.bytes());
        if status.is_server_error() && gateway == Link::Up && status != StatusCode::BAD_GATEWAY {
            self.violated(format!("{path} answered {status}: {}", String::from_utf8_lossy(body)));
        }
        (status, Bytes::copy_from_slice(body))
    }
}

/// What a client was told.
pub(super) struct Answer {
    pub(super) shown: String,
    pub(super) order: Option<u64>,
    paid: bool,
}

impl Answer {
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        let read: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| read.get(name).and_then(Value::as_str).unwrap_or_default();
        let words = [field("status"), field("payStatus"), field("type")].join(" ");
        Self {
            shown: format!("{} {}", status.as_u16(), words.trim()),
            order: read.get("orderId").and_then(Value::as_u64).filter(|_| status.is_success()),
            paid: status.is_success() && field("payStatus") == "Paid",
        }
    }

    /// Nobody is told that an order is paid which is not.
    pub(super) fn check(&self, shared: &Shared) {
        let Some(order) = self.order.filter(|_| self.paid) else { return };
        let sql = format!("SELECT count(*) FROM events WHERE subject = '{order}' AND type = 'Paid'");
        if shared.stores.of("pay").number(&sql) == Ok(0) {
            shared.violated(format!(
                "a customer was told that order {order} is paid, and pay knows nothing of it"
            ));
        }
    }
}
