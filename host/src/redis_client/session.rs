//! A component's handle to a Redis.

use std::sync::Arc;

use redis::{
    Arg, Cmd, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::sync::OnceCell;

use super::link::Link;
use crate::metrics;

/// Sends commands over the application's shared connection until one of them needs a connection of
/// its own; that and all later ones then go there. If that one breaks, so does the handle, as in
/// Spin: what lived on it is lost, and the component must know.
#[derive(Clone, Debug)]
pub struct Session {
    link: Arc<Link>,
    own: Arc<OnceCell<MultiplexedConnection>>,
}

impl Session {
    /// A handle to a Redis that answers.
    pub(super) async fn open(link: Arc<Link>) -> RedisResult<Self> {
        link.check().await?;
        Ok(Self { link, own: Arc::default() })
    }

    pub(super) async fn run(&self, command: Cmd) -> RedisResult<Value> {
        let own = match self.own.get() {
            Some(own) => own,
            None if !needs_own_connection(&command) => return self.link.run(&command).await,
            None => self.own.get_or_try_init(|| self.link.own()).await?,
        };
        metrics::REDIS_COMMANDS.add_one();
        own.clone().req_packed_command(&command).await.and_then(Value::extract_error)
    }
}

/// Whether `command` leaves something behind on its connection, or holds it up.
fn needs_own_connection(command: &Cmd) -> bool {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(word) => Some(word.to_ascii_uppercase()),
        _ => None,
    });
    let name = words.next().unwrap_or_default();
    match name.as_slice() {
        // Transactions.
        b"MULTI" | b"EXEC" | b"DISCARD" | b"WATCH" | b"UNWATCH"
        // Subscriptions.
        | b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SUNSUBSCRIBE"
        // Settings of the connection.
        | b"SELECT" | b"AUTH" | b"HELLO" | b"RESET" | b"QUIT" | b"CLIENT" | b"ASKING" | b"READONLY" | b"READWRITE"
        // Answers without end.
        | b"MONITOR" | b"SYNC" | b"PSYNC" | b"REPLCONF"
        // Waiting.
        | b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX" | b"BZMPOP"
        | b"WAIT" | b"WAITAOF" => true,
        b"XREAD" | b"XREADGROUP" => words.take_while(|word| word != b"STREAMS").any(|word| word == b"BLOCK"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(line: &str) -> bool {
        let mut command = Cmd::new();
        command.arg(line.split(' ').collect::<Vec<_>>());
        needs_own_connection(&command)
    }

    #[test]
    fn what_leaves_something_behind_or_waits_gets_a_connection_of_its_own() {
        for line in [
            "MULTI",
            "multi",
            "EXEC",
            "DISCARD",
            "WATCH k",
            "UNWATCH",
            "SUBSCRIBE c",
            "PSUBSCRIBE c",
            "SSUBSCRIBE c",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "SUNSUBSCRIBE",
            "Select 1",
            "AUTH p",
            "HELLO 3",
            "RESET",
            "QUIT",
            "CLIENT REPLY OFF",
            "ASKING",
            "READONLY",
            "READWRITE",
            "MONITOR",
            "SYNC",
            "PSYNC ? -1",
            "REPLCONF",
            "BLPOP k 0",
            "BRPOP k 0",
            "BLMOVE a b LEFT LEFT 0",
            "BRPOPLPUSH a b 0",
            "BLMPOP 0 1 k LEFT",
            "BZPOPMIN k 0",
            "BZPOPMAX k 0",
            "BZMPOP 0 1 k MIN",
            "WAIT 1 0",
            "WAITAOF 1 0 0",
            "xread block 0 STREAMS s $",
            "XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS s >",
        ] {
            assert!(is_own(line), "{line}");
        }
        for line in
            ["GET MULTI", "XREADGROUP GROUP g c STREAMS s >", "XREAD STREAMS BLOCK 0", "PUBLISH c SELECT"]
        {
            assert!(!is_own(line), "{line}");
        }
    }
}
