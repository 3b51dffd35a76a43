//! The messages that wait for one component.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

/// A message, and the channel that it came on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub channel: Arc<str>,
    /// What it says.
    pub payload: Vec<u8>,
}

/// First in, first out; equal messages wait once.
pub struct Queue {
    component: String,
    capacity: usize,
    waiting: Mutex<VecDeque<Message>>,
    arrived: Notify,
}

impl Queue {
    /// An empty queue in front of `component`.
    pub fn new(component: &str, capacity: usize) -> Self {
        Self { component: component.to_owned(), capacity, waiting: Mutex::default(), arrived: Notify::new() }
    }

    /// The component that the messages wait for.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Adds a message, unless an equal one is waiting already: whoever handles that one, handles
    /// it after this one was sent.
    pub fn add(&self, channel: &Arc<str>, payload: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.iter().any(|other| other.payload == payload) {
            return;
        }
        if waiting.len() >= self.capacity {
            tracing::warn!(
                "component `{}` is behind by {} messages: one was dropped",
                self.component,
                self.capacity
            );
            return;
        }
        waiting.push_back(Message { channel: channel.clone(), payload: payload.to_owned() });
        drop(waiting);
        self.arrived.notify_one();
    }

    /// The next message, as soon as there is one.
    pub async fn next(&self) -> Message {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(message) => return message,
                // A notification sent since the look above is kept, so none is missed.
                None => self.arrived.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_messages_wait_once_and_different_ones_keep_their_order() {
        let queue = Queue::new("c", 10);
        for message in ["tick", "a", "tick", "a", "b"] {
            queue.add(&"c".into(), message.as_bytes());
        }
        for expected in ["tick", "a", "b"] {
            assert_eq!(queue.next().await.payload, expected.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_message_that_arrives_while_an_equal_one_is_handled_is_not_lost() {
        let queue = Queue::new("c", 10);
        queue.add(&"c".into(), b"tick");
        queue.next().await;
        queue.add(&"c".into(), b"tick");
        assert_eq!(queue.next().await.payload, b"tick");
    }

    #[tokio::test]
    async fn a_queue_does_not_grow_without_bound() {
        let queue = Queue::new("c", 2);
        for message in ["a", "b", "c"] {
            queue.add(&"c".into(), message.as_bytes());
        }
        assert_eq!(queue.next().await.payload, b"a");
        assert_eq!(queue.next().await.payload, b"b");
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), queue.next());
        assert!(third.await.is_err());
    }
}
