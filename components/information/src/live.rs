//! The live status of one order, as server-sent events (WHATWG HTML §9.2).
//!
//! The present state comes at once, then each change. The row is looked at a few times a second rather than
//! being told of changes, since the worker that writes it is another process. Every event carries the whole
//! document, and the document's tag as its id, so a client that was cut off misses nothing by connecting again.
//!
//! | a client that | gets |
//! |---|---|
//! | follows an order that was taken just now | a stream at once, and the state as soon as something has been heard of it |
//! | follows a number that nothing is heard of for [`HEARD_WITHIN`] | the end of the stream, with the id [`UNHEARD`] |
//! | comes back with that id, and still nothing has been heard | 404: an `EventSource` gives it up |
//! | comes back with the id (`Last-Event-ID`) of what it saw | only what is new to it |
//! | sees the final state | the end of the stream, and by coming back 204: an `EventSource` does not come again |
//! | is still there after as long as the operator lets a stream be | the end of the stream: it comes back by itself |
//!
//! An answer begins at once in every case. One that is waited for has a place among those that a server works on at the
//! same time, so whoever asked for many numbers of no order would hold up others.

use crate::http::{Document, find, unknown};
use crate::ports::{Background, stream};
use crate::store::Found;
use ::store::{Storage, StoreError};
use access::Reach;
use futures::SinkExt;
use futures::channel::mpsc::Sender;
use hal::{Error, Request, Response, etag_of, sse};
use kernel::OrderId;
use std::time::{Duration, Instant};

/// How often the row is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What comes back as the id of the last event where nothing was heard. No tag of a state looks like it.
const UNHEARD: &str = "unheard";

/// How long something is waited for to be heard of an order. What is told is usually heard within a second; whoever asks
/// about any number is not to be kept for longer than it takes to be sure.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked for in the first second, in which nearly everything is heard.
const LISTEN_EVERY: Duration = Duration::from_millis(100);

/// How often after that: mostly for numbers that nothing will be heard of, of which anybody may ask for many.
const LISTEN_ON_EVERY: Duration = Duration::from_millis(500);

/// After this long without a change something is sent all the same, so that proxies keep the connection and a
/// client that went away is noticed.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// How long a client that was cut off waits before it connects again, in milliseconds.
const RETRY: u64 = 1000;

pub(crate) async fn follow<S: Storage + Clone + 'static>(
    storage: &S,
    background: impl Background,
    request: &Request,
    reach: Reach,
    order_id: OrderId,
) -> Result<Response, Error> {
    let found = find(storage, &reach, order_id).await?;
    let last = request.last_event_id().map(str::to_owned);
    match &found {
        None if last.as_deref() == Some(UNHEARD) => return Err(unknown(order_id).into()),
        Some(found)
            if found.statuses.are_final() && last == Some(etag_of(&Document::of(found, &request.base))) =>
        {
            return Ok(Response::no_content());
        }
        _ => {}
    }
    // Read here alone: a value that is none keeps nobody from the other answers.
    let longest = background.longest().await.map_err(Error::failure)?;
    let (client, body) = stream();
    let (storage, base) = (storage.clone(), request.base.clone());
    let follower = Follower { storage, background, reach, order_id, base, client, last, longest };
    background.spawn(async move {
        if let Err(End::Failed(reason)) = follower.run(found).await {
            eprintln!("the live status of order {order_id} ended: {reason}");
        }
    });
    Ok(Response::events(body))
}

/// Why a stream ended before its time.
enum End {
    /// The client closed the connection, or signed out, which is its good right.
    Gone,
    /// The state could not be read, or not be written; the client connects again by itself.
    Failed(String),
}

struct Follower<S, B> {
    storage: S,
    background: B,
    reach: Reach,
    order_id: OrderId,
    base: String,
    client: Sender<String>,
    /// The id of the last event that the client has got.
    last: Option<String>,
    /// A stream ends after this long, and the client connects again by itself; so an instance of the component can be
    /// retired, and a forgotten tab does not hold on to one for ever.
    longest: Duration,
}

impl<S: Storage, B: Background> Follower<S, B> {
    async fn run(mut self, found: Option<Found>) -> Result<(), End> {
        let begun = Instant::now();
        self.send(sse::retry(RETRY)).await?;
        let found = match found {
            Some(found) => Some(found),
            None => self.hear().await.map_err(failed)?,
        };
        match found {
            Some(found) => self.tell_changes(found, begun).await,
            None => self.send(sse::id(UNHEARD)).await,
        }
    }

    /// What is known about the order, as soon as anything is; none if that takes too long. What is out of reach takes as
    /// long as what is not there.
    async fn hear(&self) -> Result<Option<Found>, StoreError> {
        let mut waited = Duration::ZERO;
        while waited < HEARD_WITHIN {
            let pause = if waited < Duration::from_secs(1) { LISTEN_EVERY } else { LISTEN_ON_EVERY };
            self.background.sleep(pause).await;
            waited += pause;
            let found = find(&self.storage, &self.reach, self.order_id).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn tell_changes(&mut self, mut found: Found, begun: Instant) -> Result<(), End> {
        self.tell(&found).await?;
        let (mut open, mut quiet) = (Duration::ZERO, Duration::ZERO);
        // The pauses, or the time that looking took as well: where a platform cuts answers off, the stream has to end before.
        while !found.statuses.are_final() && open < self.longest && begun.elapsed() < self.longest {
            self.background.sleep(LOOK_EVERY).await;
            (open, quiet) = (open + LOOK_EVERY, quiet + LOOK_EVERY);
            let now = find(&self.storage, &self.reach, self.order_id).await.map_err(failed)?;
            found = now.unwrap_or(found);
            if self.tell(&found).await? {
                quiet = Duration::ZERO;
            } else if quiet >= HEARTBEAT_EVERY {
                self.send(sse::comment("nothing new")).await?;
                quiet = Duration::ZERO;
            }
        }
        Ok(())
    }

    /// Tells a state, unless the client knows it, and says whether it did.
    async fn tell(&mut self, found: &Found) -> Result<bool, End> {
        let document = Document::of(found, &self.base);
        let id = etag_of(&document);
        if self.last.as_ref() == Some(&id) {
            return Ok(false);
        }
        // Whoever has signed out since is told nothing more.
        if !self.reach.still_counts().await {
            return Err(End::Gone);
        }
        self.send(sse::event(&id, "status", &document).map_err(failed)?).await?;
        self.last = Some(id);
        Ok(true)
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        self.client.send(text).await.map_err(|_| End::Gone)
    }
}

fn failed(reason: impl std::error::Error) -> End {
    End::Failed(reason.to_string())
}

#[cfg(test)]
mod tests;
