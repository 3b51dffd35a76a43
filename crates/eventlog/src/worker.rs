//! A context's worker: what it reacts to, and what time demands of it. One implementation runs them all.

use crate::consume::{BUDGET, Drain, Drained, Unhandled};
use crate::envelope::Envelope;
use crate::redis::{LogError, Redis};
use crate::relay::Relay;
use crate::telling;
use crate::topology::Consumer;
use crate::turn::Turn;
use journal::Tell;
use kernel::waking;
use std::cell::Cell;
use std::rc::Rc;
use store::{Database, Storage};

/// What reacts to events. They come late, twice and out of order, and the same end must be reached.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Worker {
    /// Its consumer's name in the topology, which says what it reacts to.
    const NAME: &'static str;

    /// Handles a batch (1 to 100 events of each source, in the order of its stream) and returns only when its effects are
    /// committed. It must be harmless to handle any event again.
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled>;

    /// Does what time demands, about once a second. `caught_up` says whether everything that was told has been heard.
    async fn tick(&self, caught_up: bool) -> anyhow::Result<()>;
}

/// Why a worker was woken, which is all that a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// On `sugang:tick`, with the text `tick`: also do what time demands.
    Tick,
    /// Something was appended to a stream; whatever else a message says is taken for that, since looking once too often
    /// does no harm.
    Event,
}

impl Wake {
    pub(crate) fn of(message: &[u8]) -> Self {
        if message == waking::TICK { Self::Tick } else { Self::Event }
    }
}

/// The event log as one instance of a component has it.
#[derive(Clone, Debug)]
pub struct EventLog<S: 'static = &'static Database> {
    redis_url: Rc<str>,
    relay: Option<Relay<S>>,
    /// In a worker, whose instance may end with its message: whether there is something to relay before that.
    committed: Option<Rc<Cell<bool>>>,
}

impl<S: Storage + Clone + 'static> EventLog<S> {
    /// For what answers requests: what is committed is relayed beside the answers.
    pub fn answering(redis_url: &str, relay: Relay<S>) -> Self {
        Self { redis_url: redis_url.into(), relay: Some(relay), committed: None }
    }

    /// For a worker: what is committed is relayed before its message is done with.
    pub fn working(redis_url: &str, relay: Relay<S>) -> Self {
        Self { redis_url: redis_url.into(), relay: Some(relay), committed: Some(Rc::default()) }
    }

    /// For a worker that decides nothing.
    pub fn reading(redis_url: &str) -> Self {
        Self { redis_url: redis_url.into(), relay: None, committed: None }
    }

    /// Answers one message that wakes a worker. A duty that fails does not keep the others from being done.
    /// Of those that come while an instance is at one, all are together one more.
    pub async fn work(&self, worker: &impl Worker, message: &[u8]) -> anyhow::Result<()> {
        let mut wake = Wake::of(message);
        let Some(turn) = Turn::take(wake) else { return Ok(()) };
        loop {
            let worked = self.work_once(worker, wake).await;
            match turn.again() {
                Some(again) if worked.is_ok() => wake = again,
                _ => return worked,
            }
        }
    }

    async fn work_once(&self, worker: &impl Worker, wake: Wake) -> anyhow::Result<()> {
        let drained = self.drain(worker, wake).await;
        let ticked = match wake {
            Wake::Tick => worker.tick(drained.as_ref().is_ok_and(Drained::has_caught_up)).await,
            Wake::Event => Ok(()),
        };
        let relayed = self.relay(wake).await;
        ticked.and(drained.map_err(Into::into)).and(relayed.map_err(Into::into)).map(drop)
    }

    async fn drain<W: Worker>(&self, worker: &W, wake: Wake) -> Result<Drained, LogError> {
        let unknown = || LogError::Redis(format!("the topology has no consumer `{}`", W::NAME));
        let consumer = Consumer::named(W::NAME).ok_or_else(unknown)?;
        let redis = Redis::connect(&self.redis_url).await?;
        let handle = async |events: &[Envelope]| worker.handle(events).await;
        let drained = Drain::new(&redis, consumer, BUDGET, handle).run(wake == Wake::Tick).await?;
        if wake == Wake::Tick
            && telemetry::metrics()
            && let Err(error) = telling::look(&redis, consumer).await
        {
            // Whoever looks on must not be in the way; what the connection is still good for is not known.
            eprintln!("{}: looking how far behind it is: {error}", W::NAME);
            return Ok(drained);
        }
        redis.release();
        Ok(drained)
    }

    async fn relay(&self, wake: Wake) -> Result<(), LogError> {
        let Some(relay) = &self.relay else { return Ok(()) };
        let committed = self.committed.as_ref().is_some_and(|committed| committed.replace(false));
        match wake {
            Wake::Tick => relay.tick(&self.redis_url).await,
            Wake::Event if committed => relay.run(&self.redis_url).await.map(drop),
            Wake::Event => Ok(()),
        }
    }
}

impl<S: Storage + Clone + 'static> Tell for EventLog<S> {
    fn committed(&self) {
        match (&self.committed, &self.relay) {
            (Some(committed), _) => committed.set(true),
            (None, Some(relay)) => relay.soon(&self.redis_url),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Wake;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_message_says_only_the_tick_is_one(message: Vec<u8>) {
            prop_assert_eq!(Wake::of(&message) == Wake::Tick, message == b"tick");
            prop_assert_eq!(Wake::of(b"tick"), Wake::Tick);
        }
    }
}
