//! A Redis, a store, and what can be done to them.

use super::recorder::{Recorder, Then};
use super::store::{REJECTED, Store, data};
use crate::consume::{BUDGET, Drain, Drained};
use crate::envelope::{Envelope, Stored, to_json};
use crate::redis::{LogError, Redis};
use crate::relay::Relay;
use crate::topology::{Consumer, Pace, readers_of};
use redis::{FromRedisValue, ToRedisArgs};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use store::native::Engine;
use xtask::redis_server::RedisServer;

/// The context whose events these are.
pub(crate) const CONTEXT: &str = "reservation";
pub(crate) const STREAM: &str = "sugang:events:reservation";
/// The group that reads them, and no other stream.
pub(crate) const GROUP: &str = "pay";
pub(crate) const ATTEMPTS: &str = "sugang:attempts:pay";
pub(crate) const DEAD: &str = "sugang:dead:pay";
pub(crate) const REPLAYED: &str = "sugang:replay:pay";

/// What a drain does where there is nothing to do.
pub(crate) const NOTHING: Drained = Drained { handled: 0, dead: 0, left: 0, to_the_end: true };

pub(crate) struct World {
    pub(crate) server: RedisServer,
    pub(crate) store: Store,
    pub(crate) relay: Relay<Store>,
    client: redis::Client,
    _folder: tempfile::TempDir,
}

/// Runs a test on a thread of its own, as an instance has its own memory, and with work that is spawned.
pub(crate) fn run(test: impl AsyncFnOnce(World) + Send) {
    let engine = Engine::current();
    let instance = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tasks = tokio::task::LocalSet::new();
        engine.run(|| runtime.block_on(tasks.run_until(async { test(World::new()).await })));
    };
    let ended = std::thread::scope(|scope| scope.spawn(instance).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = RedisServer::start(folder.path(), None).unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let store = Store::new();
        let relay = Relay::new(store.clone(), CONTEXT);
        Self { server, store, relay, client, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Runs a command by hand.
    #[track_caller]
    pub(crate) fn redis<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.redis_with(words, &[] as &[&str])
    }

    #[track_caller]
    pub(crate) fn redis_with<T: FromRedisValue>(&self, words: &[&str], last: impl ToRedisArgs) -> T {
        let mut cmd = redis::Cmd::new();
        cmd.arg(words).arg(last);
        cmd.query(&mut self.client.get_connection().unwrap()).unwrap()
    }

    /// Who was woken meanwhile, in that order.
    pub(crate) async fn woken(&self, act: impl Future<Output = ()>) -> Vec<String> {
        let mut connection = self.client.get_connection().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut channel = connection.as_pubsub();
        channel.psubscribe("sugang:wake:*").unwrap();
        act.await;
        // Messages come in their order: what comes before this one is all there was.
        self.redis::<i64>(&["PUBLISH", "sugang:wake:nobody", "the end"]);
        let messages = std::iter::from_fn(|| {
            let message = channel.get_message().unwrap();
            let name = message.get_channel_name().strip_prefix("sugang:wake:").unwrap().to_owned();
            assert_eq!(message.get_payload::<String>().unwrap() == "event", name != "nobody");
            Some(name)
        });
        messages.take_while(|name| name != "nobody").collect()
    }

    pub(crate) async fn relay(&self) -> Result<u64, LogError> {
        self.relay.run(&self.url()).await
    }

    /// A relay whose budget is spent at once: it does no more than it must.
    pub(crate) async fn relay_a_little(&self) -> u64 {
        self.relay.run_within(Duration::ZERO, &self.url(), Pace::AtOnce).await.unwrap().appended
    }

    pub(crate) async fn tick(&self) {
        self.relay.tick(&self.url()).await.unwrap();
    }

    /// Waits until the stream has so many entries.
    pub(crate) async fn until_sent(&self, entries: usize) {
        let begun = Instant::now();
        while self.redis::<usize>(&["XLEN", STREAM]) < entries {
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The events in the stream: where each stands, and whose it is.
    #[track_caller]
    pub(crate) fn log(&self) -> Vec<String> {
        let entries: Vec<(String, Vec<String>)> = self.redis(&["XRANGE", STREAM, "-", "+"]);
        let read = entries.into_iter().map(|(id, fields)| {
            let [field, json] = fields.as_slice() else { panic!("{fields:?}") };
            assert_eq!(field, "e");
            format!("{id} {}", Envelope::parse(json).unwrap().subject)
        });
        read.collect()
    }

    /// The ids of the stream's entries.
    #[track_caller]
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries: Vec<(String, Vec<Vec<u8>>)> = self.redis(&["XRANGE", STREAM, "-", "+"]);
        entries.into_iter().map(|(id, _)| id).collect()
    }

    /// The id with which the stream ends.
    pub(crate) fn end(&self) -> String {
        let about: HashMap<String, redis::Value> = self.redis(&["XINFO", "STREAM", STREAM]);
        String::from_redis_value(about["last-generated-id"].clone()).unwrap()
    }

    /// Puts events straight into the stream.
    pub(crate) fn append(&self, subjects: impl IntoIterator<Item = u64>) {
        let mut pipe = redis::pipe();
        for subject in subjects {
            pipe.cmd("XADD").arg(&[STREAM, "1-*", "e", &json(CONTEXT, REJECTED, subject)]);
        }
        pipe.exec(&mut self.client.get_connection().unwrap()).unwrap();
    }

    pub(crate) fn append_text(&self, text: &str) -> String {
        self.redis(&["XADD", STREAM, "1-*", "e", text])
    }

    /// The stream as it is now, to come back to: what Redis has on disk when it loses what it has not.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        self.redis(&["DUMP", STREAM])
    }

    /// Redis starts again with what it had then.
    pub(crate) fn roll_back(&self, snapshot: &[u8]) {
        self.redis_with::<()>(&["RESTORE", STREAM, "0"], (snapshot, "REPLACE"));
    }

    /// A drain of `pay`, as on an event.
    pub(crate) async fn drain<F: Fn(&[String]) -> Then>(&self, consumer: &Recorder<F>) -> Drained {
        self.drain_as(GROUP, BUDGET, false, consumer).await
    }

    /// A drain of `pay`, as on the tick: it claims what was left, too.
    pub(crate) async fn claim<F: Fn(&[String]) -> Then>(&self, consumer: &Recorder<F>) -> Drained {
        self.drain_as(GROUP, BUDGET, true, consumer).await
    }

    pub(crate) async fn drain_as<F: Fn(&[String]) -> Then>(
        &self,
        group: &str,
        budget: Duration,
        claim: bool,
        consumer: &Recorder<F>,
    ) -> Drained {
        let redis = Redis::connect(&self.url()).await.unwrap();
        let handle = async |events: &[Envelope]| consumer.handle(events).await;
        let drain = Drain::new(&redis, Consumer::named(group).unwrap(), budget, handle);
        let drained = drain.run(claim).await.unwrap();
        redis.release();
        drained
    }

    /// Everyone who reads the stream reads all of it, and acknowledges all but what `pay` has left over.
    pub(crate) fn all_read(&self, left_over: &[&str]) {
        for reader in readers_of(CONTEXT) {
            self.read(reader.name, if reader.name == GROUP { left_over } else { &[] });
        }
    }

    /// Has a group read everything in the stream, and acknowledge all but these entries.
    pub(crate) fn read(&self, group: &str, left_over: &[&str]) {
        let mut connection = self.client.get_connection().unwrap();
        let mut command =
            |words: &[&str]| redis::Cmd::new().arg(words).query::<redis::Value>(&mut connection);
        // It may be there already.
        _ = command(&["XGROUP", "CREATE", STREAM, group, "0"]);
        command(&["XREADGROUP", "GROUP", group, "worker", "COUNT", "100000", "STREAMS", STREAM, ">"])
            .unwrap();
        let ids = self.ids();
        let mut words = vec!["XACK", STREAM, group];
        words.extend(ids.iter().map(String::as_str).filter(|id| !left_over.contains(id)));
        if words.len() > 3 {
            command(&words).unwrap();
        }
    }

    /// How many entries `pay` has read and not acknowledged.
    #[track_caller]
    pub(crate) fn pending(&self) -> usize {
        self.redis::<Vec<redis::Value>>(&["XPENDING", STREAM, GROUP, "-", "+", "100000"]).len()
    }

    /// So much time goes by for everything that `pay` has read and not acknowledged.
    #[track_caller]
    pub(crate) fn let_pending_wait(&self, milliseconds: u64) {
        self.let_pending_wait_in(STREAM, milliseconds);
    }

    pub(crate) fn let_pending_wait_in(&self, stream: &str, milliseconds: u64) {
        // Claiming what is no longer in the stream would forget it.
        let script = "local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100000)
            for _, entry in ipairs(pending) do if redis.call('XRANGE', KEYS[1], entry[1], entry[1])[1] then
                redis.call('XCLAIM', KEYS[1], ARGV[1], 'worker', 0, entry[1], 'IDLE', ARGV[2], 'JUSTID')
            end end return 1";
        self.redis::<i64>(&["EVAL", script, "1", stream, GROUP, &milliseconds.to_string()]);
    }

    /// The dead letters: of each its fields.
    #[track_caller]
    pub(crate) fn dead(&self) -> Vec<HashMap<String, String>> {
        let entries: Vec<(String, HashMap<String, String>)> = self.redis(&["XRANGE", DEAD, "-", "+"]);
        entries.into_iter().map(|(_, fields)| fields).collect()
    }

    /// Puts a dead letter somewhere, among those of a group or among those that were replayed.
    pub(crate) fn put_dead(&self, key: &str, stream: &str, id: &str, text: &str) -> String {
        self.redis(&["XADD", key, "*", "stream", stream, "id", id, "e", text, "reason", "no", "at", "now"])
    }

    pub(crate) fn exists(&self, key: &str) -> bool {
        self.redis(&["EXISTS", key])
    }

    /// How many connections Redis has ever been opened.
    pub(crate) fn opened(&self) -> u64 {
        let stats: String = self.redis(&["INFO", "stats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse().unwrap()
    }
}

/// What the log shows of these subjects where each has its own number as position.
pub(crate) fn shown(generation: u64, subjects: impl IntoIterator<Item = u64>) -> Vec<String> {
    subjects.into_iter().map(|subject| format!("{generation}-{subject} {subject}")).collect()
}

/// The events' ids of these subjects.
pub(crate) fn events(subjects: impl IntoIterator<Item = u64>) -> Vec<String> {
    subjects.into_iter().map(|subject| format!("{subject}:1")).collect()
}

/// An event as it travels.
pub(crate) fn json(context: &str, name: &str, subject: u64) -> String {
    let stored = Stored {
        subject: &subject.to_string(),
        version: 1,
        name,
        data: &data(subject),
        time: kernel::Timestamp::from_millis(0),
        traceparent: None,
        actor: None,
    };
    to_json(context, &stored).unwrap()
}
