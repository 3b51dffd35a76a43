//! `/event-log`: how far behind its consumers are, and what they gave up on. It is answered here since what operators do with
//! it belongs into the audit trail.

use super::sign_in::listed;
use crate::ports::Ports;
use crate::service::Service;
use ::store::Storage;
use eventlog::topology::Consumer;
use eventlog::{DeadLetter, EntryId, LogError};
use hal::{Error, Kind, Problem, Request, Response};
use journal::Tell;
use serde_json::{Value, json};

/// What a dead letter is called: `<consumer>:<id>`, the id being the one among those of its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    consumer: &'static Consumer,
    id: &'a str,
}

impl<'a> Name<'a> {
    /// None for what no dead letter is called.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (consumer, id) = text.split_once(':')?;
        EntryId::parse(id)?;
        Some(Self { consumer: Consumer::named(consumer)?, id })
    }

    fn unknown(self) -> Error {
        let Self { consumer, id } = self;
        Problem::not_found(format!("There is no dead letter {}:{id}.", consumer.name))
            .next("It may have been replayed or dropped meanwhile: look at `/event-log/dead-letters`.")
            .into()
    }
}

fn away(error: LogError) -> Problem {
    eprintln!("showing the event log: {error}");
    Problem::new(Kind::EVENT_LOG_UNAVAILABLE).header("retry-after", "5")
}

pub(super) async fn show<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let consumers = service.ports.lag().await.map_err(away)?;
    let here = format!("{}/event-log", request.base);
    Ok(Response::ok(&json!({
        "consumers": consumers,
        "_links": {
            "self": { "href": here },
            "deadLetters": { "href": format!("{here}/dead-letters") },
        },
    })))
}

fn document(request: &Request, letter: &DeadLetter) -> Value {
    let name = format!("{}:{}", letter.group, letter.id);
    let here = format!("{}/event-log/dead-letters/{name}", request.base);
    let cause = letter.cause();
    json!({
        "id": name,
        "consumer": letter.group,
        "source": letter.context,
        "entry": letter.entry,
        "what": letter.what(),
        "givenUpAt": letter.at,
        "reason": letter.reason,
        "cause": cause,
        "advice": cause.advice(),
        "_links": {
            "self": { "href": here },
            "replay": { "href": format!("{here}/replay") },
        },
    })
}

pub(super) async fn dead_letters<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let letters = service.ports.dead_letters().await.map_err(away)?;
    let shown: Vec<Value> = letters.iter().map(|letter| document(request, letter)).collect();
    Ok(Response::ok(&listed(request, "deadLetters", &shown)))
}

pub(super) async fn dead_letter<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    name: Name<'_>,
) -> Result<Response, Error> {
    match service.ports.dead_letter(name.consumer, name.id).await.map_err(away)? {
        Some(letter) => Ok(Response::ok(&document(request, &letter))),
        None => Err(name.unknown()),
    }
}

/// Has its consumer handle it again, and it alone.
pub(super) async fn replay<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    name: Name<'_>,
) -> Result<Response, Error> {
    note(service, name, "DeadLetterReplayed").await?;
    let done = service.ports.replay(name.consumer, name.id).await.map_err(away)?;
    if done { Ok(Response::no_content()) } else { Err(name.unknown()) }
}

/// Throws it away for good.
pub(super) async fn drop<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    name: Name<'_>,
) -> Result<Response, Error> {
    note(service, name, "DeadLetterDropped").await?;
    let done = service.ports.drop(name.consumer, name.id).await.map_err(away)?;
    if done { Ok(Response::no_content()) } else { Err(name.unknown()) }
}

/// Keeps in the audit trail what is about to be done with a dead letter that is there.
async fn note<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    name: Name<'_>,
    action: &'static str,
) -> Result<(), Error> {
    if service.ports.dead_letter(name.consumer, name.id).await.map_err(away)?.is_none() {
        return Err(name.unknown());
    }
    let object = format!("dead-letter/{}:{}", name.consumer.name, name.id);
    Ok(service.note(action, object).await?)
}
