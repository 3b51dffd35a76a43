//! The API's client: asks the other contexts, with the visitor's own rights and a time limit, and keeps nothing.

use crate::visitor::{Session, Visitor};
use bytes::Bytes;
use futures::future::{Either, select};
use hal::{Method, StatusCode};
use http_body_util::BodyExt;
use kernel::OrderId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spin_sdk::http::{FullBody, Request};
use std::pin::pin;
use std::time::Duration;

/// A page is not kept waiting for longer than this by a context.
const READING: Duration = Duration::from_secs(2);
/// What changes something is given longer: `order` itself waits for `pay`.
const CHANGING: Duration = Duration::from_secs(5);

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    Order,
    Pay,
    Reservation,
    Member,
    Notification,
    Information,
}

impl Context {
    /// The variable with where it is.
    const fn variable(self) -> &'static str {
        match self {
            Self::Order => "order_url",
            Self::Pay => "pay_url",
            Self::Reservation => "reservation_url",
            Self::Member => "member_url",
            Self::Notification => "notification_url",
            Self::Information => "information_url",
        }
    }
}

/// What was not answered as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// It did not answer, or not in time, or could not.
    Away(Context),
    /// It says no, and why.
    Problem(Box<Problem>),
}

/// Why it says no (RFC 9457).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Problem {
    pub(crate) status: u16,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) registration_token: Option<String>,
    pub(crate) retry_after: Option<u64>,
}

/// A field that was not taken.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: String,
}

impl Problem {
    /// Whether a context says so, and not somebody in its place.
    fn is_of_a_context(&self) -> bool {
        self.kind.starts_with("/problems/")
    }

    /// The kind of problem, as in `/problems/{slug}`.
    pub(crate) fn slug(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }
}

/// What is given back, or not.
pub(crate) type Asked<T> = Result<T, Trouble>;

/// What there may be or not: `None` is what is not there.
pub(crate) fn found<T>(asked: Asked<T>) -> Asked<Option<T>> {
    match asked {
        Ok(there) => Ok(Some(there)),
        Err(Trouble::Problem(problem)) if problem.status == 404 => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// What says where a visitor is, by which contexts count how often something is asked for; and the trace.
pub(crate) const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "spin-client-addr", "traceparent"];

/// Asks with the rights of one visitor.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) visitor: &'a Visitor,
    /// The order that is asked about, whose key goes along.
    order: Option<OrderId>,
}

/// An answer as it came.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Bytes,
}

impl<'a> Client<'a> {
    pub(crate) const fn of(visitor: &'a Visitor) -> Self {
        Self { visitor, order: None }
    }

    /// For what is about one order.
    pub(crate) const fn about(self, order: OrderId) -> Self {
        Self { order: Some(order), ..self }
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, context: Context, path: &str) -> Asked<T> {
        let answer = self.send(context, Method::GET, path, &[], None, READING).await?;
        read(context, &answer)
    }

    /// Sends JSON. What was answered without a body is `null`.
    pub(crate) async fn change(
        &self,
        context: Context,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Asked<Value> {
        self.change_with(context, method, path, body, &[]).await
    }

    pub(crate) async fn change_with(
        &self,
        context: Context,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Asked<Value> {
        let body = (!body.is_null()).then(|| body.to_string());
        let answer = self.send(context, method, path, headers, body, CHANGING).await?;
        if answer.body.is_empty() { Ok(Value::Null) } else { read(context, &answer) }
    }

    /// As it is, for downloads.
    pub(crate) async fn raw(&self, context: Context, path: &str, accept: &str) -> Asked<Bytes> {
        let answer = self.send(context, Method::GET, path, &[("accept", accept)], None, CHANGING).await?;
        Ok(answer.body)
    }

    async fn send(
        &self,
        context: Context,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
        patience: Duration,
    ) -> Asked<Answer> {
        let away = |reason: String| {
            eprintln!("asking {context:?} for {}: {reason}", path.split('?').next().unwrap_or_default());
            Trouble::Away(context)
        };
        let request = self.request(context, method, path, headers, body).await;
        let request = request.map_err(|error| away(format!("{error:#}")))?;
        let answered = async {
            let response = spin_sdk::http::send(request).await.map_err(|error| format!("{error:?}"))?;
            let status = response.status();
            let retry =
                response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
            Ok::<_, String>(Answer { status, retry_after: retry, body })
        };
        let answer = match sent(answered, patience).await {
            Some(answered) => answered.map_err(away)?,
            None => return Err(away(format!("no answer within {} s", patience.as_secs()))),
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        let problem = serde_json::from_slice::<Problem>(&answer.body);
        match problem {
            // A host that answers in the place of a context that is not there has no kind of problem of its own.
            Ok(problem) if answer.status.is_client_error() && problem.is_of_a_context() => {
                let status = answer.status.as_u16();
                Err(Trouble::Problem(Box::new(Problem {
                    status,
                    retry_after: answer.retry_after,
                    ..problem
                })))
            }
            _ => Err(away(format!("it answered {}", answer.status))),
        }
    }

    async fn request(
        &self,
        context: Context,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> anyhow::Result<Request<FullBody<Bytes>>> {
        let base = settings::text(context.variable()).await?;
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header("accept-language", self.visitor.language.as_str());
        if !headers.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "application/hal+json");
        }
        if let Some(token) = &self.visitor.access {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(key) = self.order.and_then(|order| self.visitor.order_key(order)) {
            request = request.header("order-key", key);
        }
        for (name, value) in PASSED_ON.iter().zip(&self.visitor.passed_on) {
            if let Some(value) = value {
                request = request.header(*name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        Ok(request.body(FullBody::new(body.unwrap_or_default().into()))?)
    }
}

/// What is answered in time. (WASI's own request options do not time out a chained call.)
pub(crate) async fn sent<T>(answered: impl Future<Output = T>, patience: Duration) -> Option<T> {
    match select(pin!(answered), pin!(spin_sdk::time::sleep(patience))).await {
        Either::Left((answered, _)) => Some(answered),
        Either::Right(_) => None,
    }
}

/// Has the visitor's access token renewed, where that is needed and can be.
pub(crate) async fn refresh(visitor: &mut Visitor) {
    if !visitor.needs_refresh() {
        return;
    }
    let body = json!({ "refreshToken": visitor.refresh });
    let renewed = Client::of(visitor).change(Context::Member, Method::POST, "/sessions/refresh", &body).await;
    match renewed.map(serde_json::from_value::<Session>) {
        Ok(Ok(session)) => visitor.keep_session(&session),
        // Its session has ended. While `member` is away it may be renewed later.
        Err(Trouble::Problem(problem)) if problem.status == 401 => visitor.drop_session(),
        _ => {}
    }
}

fn read<T: DeserializeOwned>(context: Context, answer: &Answer) -> Asked<T> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        eprintln!("reading the answer of {context:?}: {error}");
        Trouble::Away(context)
    })
}
