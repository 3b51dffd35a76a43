//! The live status of one order, as server-sent events (WHATWG HTML §9.2).
//!
//! The present state comes at once, then each change. The row is looked at a few times a second rather than
//! being told of changes, since the worker that writes it is another process. Every event carries the whole
//! document and the state's `ETag` as its id, so a client that was cut off misses nothing by connecting again.

use crate::http::{unknown, with_timeline};
use crate::store::{self, Found};
use futures::SinkExt;
use futures::channel::mpsc::Sender;
use hal::{Error, Request, Response};
use kernel::OrderId;
use spin_sdk::http::{body, box_body};
use std::time::{Duration, Instant};

/// How often the row is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// After this long without a change something is sent all the same, so that proxies keep the connection and a
/// client that went away is noticed.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// A stream ends after this long, and the client connects again by itself; so an instance of the component can
/// be retired, and a forgotten tab does not hold on to one for ever.
const LONGEST: Duration = Duration::from_secs(300);

/// Follows an order. 204 for a client that comes back (`Last-Event-ID`) when it has seen the final state: it
/// is what tells an `EventSource` to stop connecting again.
pub(crate) async fn follow(request: &Request, order_id: OrderId) -> Result<Response, Error> {
    let found = store::find(&store::DATABASE, order_id).await?.ok_or_else(|| unknown(order_id))?;
    let seen = request.header("last-event-id") == Some(found.etag.as_str());
    if seen && found.statuses.are_final() {
        return Ok(Response::no_content());
    }
    let (client, body) = body::stream::<String>();
    let follower = Follower { order_id, base: request.base.clone(), client };
    spin_sdk::wasip3::spawn(async move {
        if let Err(End::Failed(reason)) = follower.run(found).await {
            eprintln!("the live status of order {order_id} ended: {reason}");
        }
    });
    Ok(Response::stream("text/event-stream", box_body(body)).header("cache-control", "no-store"))
}

/// Why a stream ended before its time.
enum End {
    /// The client closed the connection, which is its good right.
    Gone,
    /// The store could not be read; the client connects again by itself.
    Failed(::store::StoreError),
}

struct Follower {
    order_id: OrderId,
    base: String,
    client: Sender<String>,
}

impl Follower {
    async fn run(mut self, mut found: Found) -> Result<(), End> {
        let begun = Instant::now();
        self.send("retry: 1000\n\n".to_owned()).await?;
        self.tell(&found).await?;
        let mut told = Instant::now();
        while !found.statuses.are_final() && begun.elapsed() < LONGEST {
            spin_sdk::time::sleep(LOOK_EVERY).await;
            match store::find(&store::DATABASE, self.order_id).await.map_err(End::Failed)? {
                Some(changed) if changed.etag != found.etag => {
                    self.tell(&changed).await?;
                    found = changed;
                    told = Instant::now();
                }
                _ if told.elapsed() >= HEARTBEAT_EVERY => {
                    self.send(": nothing new\n\n".to_owned()).await?;
                    told = Instant::now();
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn tell(&mut self, found: &Found) -> Result<(), End> {
        let timeline = store::timeline(&store::DATABASE, self.order_id).await.map_err(End::Failed)?;
        let document = with_timeline(&self.base, found, &timeline).to_string();
        self.send(event(&found.etag, &document)).await
    }

    async fn send(&mut self, text: String) -> Result<(), End> {
        self.client.send(text).await.map_err(|_| End::Gone)
    }
}

/// One event. JSON on one line has no line break, which would end the data.
fn event(id: &str, json: &str) -> String {
    format!("id: {id}\nevent: status\ndata: {json}\n\n")
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn an_event_is_id_name_data_and_an_empty_line() {
        assert_eq!(event("1-0-0-0-1", r#"{"a":1}"#), "id: 1-0-0-0-1\nevent: status\ndata: {\"a\":1}\n\n");
    }
}
