//! The subscriptions at one Redis server, kept up through its absences.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures::StreamExt as _;
use indexmap::IndexMap;
use redis::{ConnectionInfo, aio::PubSub};

use super::queue::Queue;
use crate::redis_client::{CONNECTING, client};

/// How long to wait before connecting again: from the first to the second, doubling.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The channels of one server, each with the components that its messages go to.
pub struct Subscriptions {
    server: ConnectionInfo,
    channels: IndexMap<Arc<str>, Vec<Arc<Queue>>>,
}

impl Subscriptions {
    /// No channels yet.
    pub fn new(server: ConnectionInfo) -> Self {
        Self { server, channels: IndexMap::new() }
    }

    /// Lets the messages of a channel go to a component.
    pub fn add(&mut self, channel: &str, queue: Arc<Queue>) {
        let queues = self.channels.entry(channel.into()).or_default();
        if !queues.iter().any(|other| Arc::ptr_eq(other, &queue)) {
            queues.push(queue);
        }
    }

    /// `server/channel`, and the components.
    pub fn channels(&self) -> impl Iterator<Item = (String, Vec<&str>)> {
        self.channels.iter().map(|(channel, queues)| {
            (
                format!("{}/{channel}", self.server.addr()),
                queues.iter().map(|queue| queue.component()).collect(),
            )
        })
    }

    /// Subscribes, and subscribes again whenever the connection is lost.
    pub async fn listen(self) {
        let mut wait = BACK_OFF.0;
        loop {
            let started = std::time::Instant::now();
            let Err(error) = self.receive().await;
            tracing::warn!("no connection to Redis at {}: {error:#}; trying again", self.server.addr());
            if started.elapsed() > BACK_OFF.1 {
                wait = BACK_OFF.0;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACK_OFF.1);
        }
    }

    async fn subscribe(&self) -> Result<PubSub> {
        let mut connection = client(self.server.clone())?.get_async_pubsub().await?;
        for channel in self.channels.keys() {
            connection
                .subscribe(&**channel)
                .await
                .with_context(|| format!("cannot subscribe to `{channel}`"))?;
        }
        Ok(connection)
    }

    async fn receive(&self) -> Result<std::convert::Infallible> {
        let subscribing = tokio::time::timeout(CONNECTING, self.subscribe()).await;
        let connection = subscribing.context("it does not answer")??;
        tracing::info!("subscribed to {} channel(s) of Redis at {}", self.channels.len(), self.server.addr());
        let mut messages = connection.into_on_message();
        while let Some(message) = messages.next().await {
            let Some((channel, queues)) = self.channels.get_key_value(message.get_channel_name()) else {
                continue;
            };
            for queue in queues {
                queue.add(channel, message.get_payload_bytes());
            }
        }
        anyhow::bail!("the connection was closed")
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_away_is_asked_ever_less_often_up_to_a_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let listening = tokio::spawn(Subscriptions::new(url.into_connection_info().unwrap()).listen());
        let mut calls = 0;
        let counting = async {
            loop {
                drop(listener.accept().await.unwrap());
                calls += 1;
            }
        };
        // At 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 5.1 s.
        let _ = tokio::time::timeout(Duration::from_secs(6), counting).await;
        assert!((6..=7).contains(&calls), "{calls}");
        listening.abort();
    }

    #[tokio::test]
    async fn a_connection_that_held_is_made_again_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let listening = tokio::spawn(Subscriptions::new(url.into_connection_info().unwrap()).listen());
        for _ in 0..4 {
            drop(listener.accept().await.unwrap());
        }
        // The next wait would be 1.6 s, but this one holds.
        let held = listener.accept().await.unwrap();
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        drop(held);
        let again = tokio::time::timeout(Duration::from_millis(800), listener.accept()).await;
        assert!(again.is_ok());
        listening.abort();
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_left_and_called_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let listening = tokio::spawn(Subscriptions::new(url.into_connection_info().unwrap()).listen());
        let _silent = listener.accept().await.unwrap();
        let again = tokio::time::timeout(CONNECTING * 2, listener.accept()).await;
        assert!(again.is_ok());
        listening.abort();
    }
}
