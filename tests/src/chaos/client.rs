//! A client as there should be: one that asks again, with the same number or key, until it has been told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::answer::Answer;
use crate::api::Api;

/// How long a client waits for one answer.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// How long it goes on asking. Longer than any fault lasts.
const PERSISTENCE: Duration = Duration::from_secs(40);

/// The pause before asking again.
const PAUSE: Duration = Duration::from_millis(250);

/// What all clients did.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: AtomicU64,
    retries: AtomicU64,
    unanswered: AtomicU64,
    hurry: AtomicBool,
}

impl Traffic {
    /// How many requests were sent, those sent again included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many of them because the one before went unanswered, or was answered with a 5xx.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How many wishes were given up without an answer.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Whether everyone is to finish what they have begun.
    pub fn hurry(&self, hurry: bool) {
        self.hurry.store(hurry, Ordering::Relaxed);
    }

    /// Sends a request until it is answered for good; none where that takes too long.
    pub fn insist(&self, api: &Api, ask: &Ask) -> Option<Answer> {
        let begun = Instant::now();
        let mut first = true;
        while first || begun.elapsed() < PERSISTENCE {
            if !first {
                self.retries.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
            first = false;
            match self.once(api, ask) {
                Some(answer) if answer.status < 500 && answer.status != 429 => return Some(answer),
                _ => {}
            }
        }
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Sends a request once.
    pub fn once(&self, api: &Api, ask: &Ask) -> Option<Answer> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = api.request(ask.method, &ask.path);
        if ask.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(key) = &ask.key {
            request = request.header("idempotency-key", format!("\"{key}\""));
        }
        api.attempt(request, ask.body.as_ref().map(Value::to_string)).ok()
    }

    /// Waits, unless everyone is to finish.
    pub fn pause(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.hurry.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20).min(time));
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    path: String,
    body: Option<Value>,
    key: Option<String>,
}

impl Ask {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, key: None }
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With this `Idempotency-Key`.
    #[must_use]
    pub fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }
}

/// What an answer says at a JSON pointer; null where it says nothing or is no JSON.
#[must_use]
pub fn said(answer: &Answer, pointer: &str) -> Value {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    body.pointer(pointer).cloned().unwrap_or_default()
}
