//! Waking consumers over HTTP, where nothing subscribes to their channels: on a platform without a Redis trigger.
//!
//! A call is as a message is, a wake-up and never the event itself: it may be lost, repeated or late, and the tick does what
//! a lost one would have done. It is sent beside everything else, so nobody waits for it.

use crate::runtime::{post, sleep, spawn, variable};
use crate::topology::Consumer;
use futures::future::{Either, select};
use kernel::waking::PATH;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// How long whoever is woken has for its work. Such platforms end a request after 30 seconds.
const PATIENCE: Duration = Duration::from_secs(25);

thread_local! {
    /// The key that consumers are woken with; empty where messages on channels do it. Not read yet: none.
    static KEY: RefCell<Option<Rc<str>>> = const { RefCell::new(None) };
}

/// Wakes these consumers, if that is how it is done here.
pub(crate) async fn wake(consumers: impl IntoIterator<Item = &'static Consumer>) {
    let key = match key().await {
        Ok(key) if key.is_empty() => return,
        Ok(key) => key,
        Err(error) => {
            eprintln!("waking others: {error:#}; the next tick does it");
            return;
        }
    };
    for consumer in consumers {
        let key = Rc::clone(&key);
        spawn(async move {
            let url = format!("http://{0}.spin.internal{PATH}{0}", consumer.name);
            let told = pin!(post(url, &key));
            let failed = match select(told, pin!(sleep(PATIENCE))).await {
                Either::Left((told, _)) => told.err(),
                Either::Right(_) => Some(anyhow::anyhow!("no answer within {PATIENCE:?}")),
            };
            if let Some(error) = failed {
                eprintln!("waking {}: {error:#}; the next tick does it", consumer.name);
            }
        });
    }
}

async fn key() -> anyhow::Result<Rc<str>> {
    if let Some(key) = KEY.with_borrow(Clone::clone) {
        return Ok(key);
    }
    let key = match &*variable("wake_by").await? {
        "" | "redis" => Rc::default(),
        "http" => first(&variable("wake_keys").await?)?,
        _ => anyhow::bail!("the variable `wake_by` must be `redis` or `http`"),
    };
    KEY.set(Some(Rc::clone(&key)));
    Ok(key)
}

/// Of several keys the first is the one to show.
fn first(keys: &str) -> anyhow::Result<Rc<str>> {
    let key = keys.split(',').map(str::trim).find(|key| !key.is_empty());
    key.map(Into::into)
        .ok_or_else(|| anyhow::anyhow!("the variable `wake_keys` is empty, so nobody can be woken"))
}
