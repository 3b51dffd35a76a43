//! The tick: the text `tick` on a Redis channel, about once a second.
//!
//! The workers do on it whatever is due by time alone. A tick that is missed is no loss, since the next one
//! does the same; so this never fails, it only tries again. `cargo xtask up` runs it, and `sugang tick` by itself.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// The channel every worker is subscribed to.
pub const CHANNEL: &str = "sugang:tick";

/// The time between two ticks.
pub const PERIOD: Duration = Duration::from_secs(1);

/// The time until the next one where nobody heard it: a system that is just starting should not lose a second.
const UNHEARD: Duration = Duration::from_millis(50);

/// Publishes the tick for as long as this value lives.
#[derive(Debug)]
pub struct Tick {
    // Dropping the sender is what ends the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tick {
    /// Starts publishing to the Redis at `url`, which need not be up yet.
    pub fn start(url: &str, period: Duration) -> Result<Self> {
        // The address is not repeated: it may hold a password.
        let client =
            redis::Client::open(url).context("what is to be ticked at is not the address of a Redis")?;
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("tick".to_owned()).spawn(move || {
            let mut connection = None;
            loop {
                let listeners = publish(&client, &mut connection);
                let pause = if listeners == 0 { UNHEARD.min(period) } else { period };
                if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Publishes once, and says how many heard it. A connection that fails is given up, and made anew next time.
fn publish(client: &redis::Client, connection: &mut Option<redis::Connection>) -> u64 {
    let heard = connection.take().map_or_else(|| connect(client), Ok).and_then(|mut open| {
        let listeners = redis::cmd("PUBLISH").arg(CHANNEL).arg("tick").query(&mut open)?;
        *connection = Some(open);
        Ok(listeners)
    });
    heard.unwrap_or_default()
}

fn connect(client: &redis::Client) -> redis::RedisResult<redis::Connection> {
    // A server that hangs must not hang us.
    let patience = Duration::from_secs(1);
    let connection = client.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;
    use xtask::redis_server::RedisServer;

    fn hears_a_tick(url: &str) -> bool {
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut channel = connection.as_pubsub();
        channel.subscribe(CHANNEL).unwrap();
        channel.get_message().unwrap().get_payload::<String>().unwrap() == "tick"
    }

    #[test]
    fn the_tick_goes_on_after_redis_was_away() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = RedisServer::start(folder.path(), None).unwrap();
        let _tick = Tick::start(&server.url(), Duration::from_millis(20)).unwrap();
        assert!(hears_a_tick(&server.url()));
        server.process().kill().unwrap();
        let server = RedisServer::start(folder.path(), None).unwrap();
        assert!(hears_a_tick(&server.url()));
    }

    #[test]
    fn a_redis_behind_tls_is_ticked_at_in_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _tick = Tick::start(&format!("rediss://{}", listener.local_addr().unwrap()), PERIOD).unwrap();
        let mut first = [0];
        listener.accept().unwrap().0.read_exact(&mut first).unwrap();
        // A handshake record: RFC 8446, section 5.1.
        assert_eq!(first, [22]);
    }

    #[test]
    fn what_is_no_address_is_not_repeated() {
        let refusal = Tick::start("redis://:hunter2@h/x", PERIOD).unwrap_err();
        assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
    }
}
