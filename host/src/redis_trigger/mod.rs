//! The Redis trigger: messages on channels are handed to components.
//!
//! As in Spin, one component handles its messages one after another. Unlike Spin:
//!
//! - A lost connection is made again, and different components do not wait for each other.
//! - An instance serves several messages in a row, as it does HTTP requests in Spin and here. What a
//!   component keeps in memory, and what it left running, may still be there at its next message.
//!   A message that fails, traps or takes too long ends its instance.
//!
//! Publish/subscribe is at most once: what is published while there is no connection is gone.
//! Components treat a message as a wake-up call, so messages that wait for the same component
//! and say the same are handed over once.

mod queue;
mod subscriber;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use indexmap::IndexMap;
use opentelemetry::trace::SpanContext;
use redis::IntoConnectionInfo as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wasmtime::Store;

pub use subscriber::Subscriptions;

use self::queue::{Message, Queue};
use crate::{
    component::{CalledBy, LoadedComponent},
    engine,
    instance::InstanceState,
    metrics,
    reuse::Reuse,
    telemetry,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "sugang:host/redis-trigger",
        exports: { default: async | store },
    });
}

use bindings::{RedisTriggerPre, spin::redis::redis::Error};

/// How long a component may take for one message, and how many may wait for it.
#[derive(Clone, Copy, Debug)]
pub struct HandlerLimits {
    /// How long one message may take.
    pub timeout: Duration,
    /// How many different messages may wait for one component; more are dropped, with a warning.
    pub max_waiting: usize,
}

impl Default for HandlerLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), max_waiting: 1024 }
    }
}

/// The Redis side of an application, before it is started.
pub struct RedisTrigger {
    /// The application's, for the telemetry.
    name: Arc<str>,
    limits: HandlerLimits,
    reuse: Reuse,
    handlers: IndexMap<String, Handler>,
    servers: IndexMap<String, Subscriptions>,
}

/// Hands messages to one component.
struct Handler {
    application: Arc<str>,
    component: Arc<LoadedComponent>,
    guest: RedisTriggerPre<InstanceState>,
    queue: Arc<Queue>,
    timeout: Duration,
    reuse: Reuse,
}

/// An instance that handles messages, and how many more.
struct Instance {
    store: Store<InstanceState>,
    guest: bindings::RedisTrigger,
    left: usize,
}

/// What a component itself says about a message that it did not handle.
#[derive(Debug, thiserror::Error)]
#[error("it answered with an error: {0}")]
struct Refusal(String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(match error {
            Error::Other(words) => words,
            named => format!("{named:?}"),
        })
    }
}

/// Why a message was not handled, as the log has it. What a component says itself is complete: where the host heard of it is no
/// help, so there is no backtrace, whatever the environment asks for.
fn logged(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Refusal>() {
        Some(refusal) => refusal.to_string(),
        None => format!("{error:?}"),
    }
}

impl RedisTrigger {
    /// Nothing is subscribed to yet.
    pub fn new(name: &str, limits: HandlerLimits, reuse: Reuse) -> Self {
        Self { name: name.into(), limits, reuse, handlers: IndexMap::new(), servers: IndexMap::new() }
    }

    /// Lets a component handle the messages of a channel. Refuses one without a handler, and an
    /// address that is none.
    pub fn add(&mut self, component: &Arc<LoadedComponent>, address: &str, channel: &str) -> Result<()> {
        if !self.servers.contains_key(address) {
            // The address is not repeated: it may hold a password.
            let info = address.into_connection_info().context("the address is not a Redis URL")?;
            self.servers.insert(address.to_owned(), Subscriptions::new(info));
        }
        let queue = self.queue(component)?;
        if let Some(server) = self.servers.get_mut(address) {
            server.add(channel, queue);
        }
        Ok(())
    }

    fn queue(&mut self, component: &Arc<LoadedComponent>) -> Result<Arc<Queue>> {
        if let Some(handler) = self.handlers.get(&*component.id) {
            return Ok(handler.queue.clone());
        }
        let guest = RedisTriggerPre::new(component.pre.clone())
            .map_err(anyhow::Error::from)
            .context("the component does not export `spin:redis/inbound-redis@3.0.0`")?;
        let queue = Arc::new(Queue::new(&component.id, self.limits.max_waiting));
        let handler = Handler {
            application: self.name.clone(),
            component: component.clone(),
            guest,
            queue: queue.clone(),
            timeout: self.limits.timeout,
            reuse: self.reuse,
        };
        self.handlers.insert(component.id.to_string(), handler);
        Ok(queue)
    }

    /// What is subscribed to: `server/channel` and the components.
    pub fn channels(&self) -> impl Iterator<Item = (String, Vec<&str>)> {
        self.servers.values().flat_map(Subscriptions::channels)
    }

    /// Subscribes and handles messages until told to stop.
    pub fn start(self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        for server in self.servers.into_values() {
            let listening = stop.clone().run_until_cancelled_owned(server.listen());
            tasks.spawn(async { listening.await.unwrap_or_default() });
        }
        for handler in self.handlers.into_values() {
            tasks.spawn(handler.run(stop.clone()));
        }
    }
}

impl Handler {
    /// Handles one message after another; finishes the one it is at when told to stop.
    async fn run(self, stop: CancellationToken) {
        let mut kept = None;
        while let Some(message) = stop.run_until_cancelled(self.next(&mut kept)).await {
            metrics::REDIS_MESSAGES.add_one();
            let id = &self.component.id;
            let told = telemetry::Message::begin(&self.application, id, &message.channel);
            let handling = self.handle(kept.take(), message.payload, told.context());
            let handled = tokio::time::timeout(self.timeout, handling).await;
            told.inside(|| match &handled {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::error!("component `{id}` failed to handle a message: {}", logged(error));
                }
                Err(_) => {
                    tracing::error!("component `{id}` did not handle a message within {:?}", self.timeout);
                }
            });
            told.end(matches!(handled, Ok(Ok(_))));
            if let Ok(Ok(instance)) = handled {
                kept = (instance.left > 0).then_some(instance);
            }
        }
    }

    /// The next message. An instance that waits for it too long is given up meanwhile.
    async fn next(&self, kept: &mut Option<Instance>) -> Message {
        let patience = self.reuse.idle_timeout.choose_time();
        if let Ok(message) = tokio::time::timeout(patience, self.queue.next()).await {
            return message;
        }
        *kept = None;
        self.queue.next().await
    }

    /// Waits where there are as many instances as there may be: the message must not get lost.
    async fn instantiate(&self) -> Result<Instance> {
        loop {
            let mut store = self.component.store(CalledBy::Redis)?;
            match self.guest.instantiate_async(&mut store).await {
                Ok(guest) => return Ok(Instance { store, guest, left: self.reuse.requests.choose() }),
                Err(error) if engine::is_full(&error) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Has `kept`, or a new instance, handle a message, and answers it if it is still good.
    async fn handle(
        &self,
        kept: Option<Instance>,
        message: Vec<u8>,
        context: Option<SpanContext>,
    ) -> Result<Instance> {
        let mut instance = match kept {
            Some(kept) => kept,
            None => self.instantiate().await?,
        };
        let Instance { store, guest, left } = &mut instance;
        store.data().traces.enter_message(context);
        *left = left.saturating_sub(1);
        // It may have slept through many ticks; that is no reason to interrupt it now.
        store.set_epoch_deadline(1);
        let busy = store.data().busy.clone();
        {
            let mut call = std::pin::pin!(store.run_concurrent(async |accessor| {
                guest.spin_redis_inbound_redis().call_handle_message(accessor, message).await
            }));
            let answer = std::future::poll_fn(|context| {
                let polled = call.as_mut().poll(context);
                busy.pause();
                polled
            });
            answer.await??.map_err(Refusal::from)?;
        }
        Ok(instance)
    }
}
