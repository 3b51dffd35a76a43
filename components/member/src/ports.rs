//! What `member` needs from outside: something that carries messages, the key that tokens are signed with, the keys of an OpenID
//! provider, the store in which every context looks whether a session has ended, and the event log as operators see it.

use crate::messages::Outgoing;
use crate::settings::Settings;
use access::token::{Claims, SigningKey};
use anyhow::{Context, anyhow, ensure};
use bindings::sugang::notification::channel::{self, Message, SendError};
use eventlog::topology::Consumer;
use eventlog::{DeadLetter, Lag, LogError};
use futures::future::{Either, select};
use http_body_util::{BodyExt, Limited};
use kernel::Unavailable;
use spin_sdk::http::EmptyBody;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated code, documented in the WIT")]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/notification",
        world: "member",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

/// How long the channel may take for one message.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the OpenID provider may take for its keys: whoever signs in waits for it.
const PROVIDER_PATIENCE: Duration = Duration::from_secs(2);

/// The most bytes that are read of its keys.
const MOST_BYTES: usize = 64 * 1024;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// It may be later.
    #[error("the channel: {0}")]
    Later(#[source] Unavailable),
    /// It never will.
    #[error("the channel refuses it: {0}")]
    Never(String),
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum NotSigned {
    /// There is no key to sign with.
    #[error("the variable `token_signing_key` is not set")]
    NotSetUp,
    /// The key is none.
    #[error("signing a token: {0}")]
    Failed(String),
}

/// A message that a channel shows which reaches nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whom it is for.
    pub to: String,
    /// What they would read.
    pub body: String,
}

/// What the service is given.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Ports {
    /// Has a message carried to a telephone.
    async fn send(&self, message: Outgoing) -> Result<(), NotSent>;

    /// The newest messages whose ids begin with `prefix`; none where the channel reaches people.
    async fn peek(&self, prefix: &str, limit: u32) -> Option<Vec<Shown>>;

    /// A token that says this.
    async fn sign(&self, claims: &Claims) -> Result<String, NotSigned>;

    /// What is under an address of the OpenID provider.
    async fn fetch(&self, url: &str) -> Result<String, Unavailable>;

    /// From now on no context takes the access tokens of a session.
    async fn end_session(&self, session: &str) -> anyhow::Result<()>;

    /// The last access token of a session that has ended has expired.
    async fn forget_session(&self, session: &str) -> anyhow::Result<()>;

    /// How far behind each consumer of the event log is.
    async fn lag(&self) -> Result<Vec<Lag>, LogError>;

    /// What consumers gave up on.
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, LogError>;

    /// One of them.
    async fn dead_letter(
        &self,
        consumer: &'static Consumer,
        id: &str,
    ) -> Result<Option<DeadLetter>, LogError>;

    /// Has its consumer handle one again; false where it is there no more.
    async fn replay(&self, consumer: &'static Consumer, id: &str) -> Result<bool, LogError>;

    /// Throws one away; false where it is there no more.
    async fn drop(&self, consumer: &'static Consumer, id: &str) -> Result<bool, LogError>;
}

/// The ports as the component has them.
pub(crate) struct Spin(pub(crate) Rc<Settings>);

impl Ports for Spin {
    async fn send(&self, message: Outgoing) -> Result<(), NotSent> {
        let Outgoing { id, phone, language, template, variables, body } = message;
        let number = phone.as_str().to_owned();
        let sending = channel::send(vec![Message {
            id,
            to: number.clone(),
            phone: Some(number),
            language: language.to_string(),
            template: template.to_owned(),
            variables,
            body,
        }]);
        let later = |reason: String| NotSent::Later(Unavailable(reason));
        match select(pin!(sending), pin!(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((mut results, _)) => match results.pop() {
                Some(Ok(_)) => Ok(()),
                Some(Err(SendError::Retryable(reason))) => Err(later(reason)),
                Some(Err(SendError::Permanent(reason))) => Err(NotSent::Never(reason)),
                None => Err(later("it said nothing about the message".to_owned())),
            },
            Either::Right(_) => Err(later(format!("it did not answer within {PATIENCE:?}"))),
        }
    }

    async fn peek(&self, prefix: &str, limit: u32) -> Option<Vec<Shown>> {
        let messages = channel::peek(prefix.to_owned(), limit).await?;
        Some(messages.into_iter().map(|message| Shown { to: message.to, body: message.body }).collect())
    }

    async fn sign(&self, claims: &Claims) -> Result<String, NotSigned> {
        let failed = |error: anyhow::Error| NotSigned::Failed(format!("{error:#}"));
        let key = settings::text("token_signing_key").await.map_err(failed)?;
        if key.is_empty() {
            return Err(NotSigned::NotSetUp);
        }
        SigningKey::parse(&key).and_then(|key| key.sign(claims)).map_err(failed)
    }

    async fn fetch(&self, url: &str) -> Result<String, Unavailable> {
        let fetching = pin!(fetch(url));
        match select(fetching, pin!(spin_sdk::time::sleep(PROVIDER_PATIENCE))).await {
            Either::Left((fetched, _)) => fetched.map_err(|error| Unavailable(format!("{error:#}"))),
            Either::Right(_) => Err(Unavailable(format!("it did not answer within {PROVIDER_PATIENCE:?}"))),
        }
    }

    async fn end_session(&self, session: &str) -> anyhow::Result<()> {
        access::end_session(session).await
    }

    async fn forget_session(&self, session: &str) -> anyhow::Result<()> {
        access::forget_session(session).await
    }

    async fn lag(&self) -> Result<Vec<Lag>, LogError> {
        eventlog::lag(&self.0.redis_url).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, LogError> {
        eventlog::dead_letters(&self.0.redis_url).await
    }

    async fn dead_letter(
        &self,
        consumer: &'static Consumer,
        id: &str,
    ) -> Result<Option<DeadLetter>, LogError> {
        eventlog::dead_letter(&self.0.redis_url, consumer, id).await
    }

    async fn replay(&self, consumer: &'static Consumer, id: &str) -> Result<bool, LogError> {
        eventlog::replay_dead_letter(&self.0.redis_url, consumer, id).await
    }

    async fn drop(&self, consumer: &'static Consumer, id: &str) -> Result<bool, LogError> {
        eventlog::drop_dead_letter(&self.0.redis_url, consumer, id).await
    }
}

/// What is answered with a 200 and is not too long. Redirects are not followed: the provider's operator says where its keys are.
async fn fetch(url: &str) -> anyhow::Result<String> {
    let request = http::Request::get(url).header("accept", "application/json");
    let response =
        spin_sdk::http::send(request.body(EmptyBody::new())?).await.map_err(|error| anyhow!("{error:?}"))?;
    ensure!(response.status() == http::StatusCode::OK, "it answered {}", response.status());
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|error| anyhow!("its answer: {error:?}"))?.to_bytes();
    String::from_utf8(body.into()).context("its answer")
}
