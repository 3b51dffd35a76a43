//! What live answers need from outside: time that passes, how much of it is theirs, and somebody to go on once an answer has
//! begun.

use futures::channel::mpsc::Sender;
use spin_sdk::http::{BoxBody, body, box_body};
use spin_sdk::time;
use std::time::Duration;

/// What goes on beside the answers.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub(crate) trait Background: Copy + 'static {
    /// Lets time pass.
    async fn sleep(&self, time: Duration);

    /// How long the operator lets one live answer go on. The error says what is wrong with the setting.
    async fn longest(&self) -> anyhow::Result<Duration>;

    /// Has something go on after the answer that began it has been handed over.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin;

impl Background for Spin {
    async fn sleep(&self, time: Duration) {
        time::sleep(time).await;
    }

    async fn longest(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from_secs(settings::parse("live_stream_s").await?))
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        spin_sdk::wasip3::spawn(work);
    }
}

/// A body, and where what it consists of is put in.
pub(crate) fn stream() -> (Sender<String>, BoxBody) {
    let (client, body) = body::stream();
    (client, box_body(body))
}
