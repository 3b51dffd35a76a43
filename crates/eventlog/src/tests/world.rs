//! A Redis, a store, and what can be done to them.

use crate::consume::{Consumer, Drained, Unhandled, drain, drain_within};
use crate::envelope::Envelope;
use crate::keys::Wake;
use crate::outbox::Outbox;
use crate::position::Position;
use crate::redis::LogError;
use redis::{FromRedisValue, ToRedisArgs};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use store::native::Sqlite;
use store::{Database, Row, Storage, StoreError, Value, int, text};
use tokio::join;
use tokio::sync::Notify;
use xtask::redis_server::RedisServer;

/// The context whose events these are.
pub(crate) const CONTEXT: &str = "reservation";
pub(crate) const STREAM: &str = "sugang:events:reservation";
pub(crate) const LOCK: &str = "sugang:relay:reservation";
pub(crate) const NOTE: &str = "sugang:relay:reservation:again";
/// The group that reads them.
pub(crate) const GROUP: &str = "pay";
pub(crate) const ATTEMPTS: &str = "sugang:attempts:pay";
pub(crate) const DEAD: &str = "sugang:dead:pay";

/// What a drain does where there is nothing to do.
pub(crate) const NOTHING: Drained = Drained { handled: 0, buried: 0, left: 0, to_the_end: true };

static DATABASE: Database = Database::new("test", 1, &crate::EVENTS_TABLE);

pub(crate) struct World {
    pub(crate) server: RedisServer,
    pub(crate) store: Store,
    pub(crate) outbox: &'static Outbox<Store>,
    client: redis::Client,
    _folder: tempfile::TempDir,
}

/// Runs a test on a runtime of its own, with work that is spawned.
pub(crate) fn run(test: impl AsyncFnOnce(World)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    runtime.block_on(tasks.run_until(async { test(World::new()).await }));
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = RedisServer::start(folder.path(), None).unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let store = Store::new();
        let outbox = Box::leak(Box::new(Outbox::new(store.clone(), CONTEXT)));
        Self { server, store, outbox, client, _folder: folder }
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

    /// The same for one that may fail.
    pub(crate) fn try_redis<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        redis::Cmd::new().arg(words).query(&mut self.client.get_connection()?)
    }

    /// How many wake-ups `act` published, and with which message.
    pub(crate) async fn wake_ups(&self, act: impl Future<Output = ()>) -> Vec<String> {
        let mut connection = self.client.get_connection().unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut channel = connection.as_pubsub();
        channel.subscribe(STREAM).unwrap();
        act.await;
        // Messages come in their order: what comes before this one is all there was.
        self.redis::<i64>(&["PUBLISH", STREAM, "the end"]);
        let messages = std::iter::from_fn(|| channel.get_message().unwrap().get_payload().ok());
        messages.take_while(|message: &String| message != "the end").collect()
    }

    pub(crate) async fn relay(&self) -> Result<usize, LogError> {
        self.outbox.relay(&self.url()).await
    }

    /// A relay stands still between appending these events and marking them; meanwhile Redis is flushed, and another
    /// relay comes as far as `until`: a statement, how many like it pass, and whether it is done before that one stops.
    /// Then the first goes on.
    pub(crate) async fn mark_late(
        &self,
        subjects: impl IntoIterator<Item = u64>,
        until: (&'static str, usize, bool),
    ) {
        self.store.commit(subjects);
        let frozen = self.store.hold_before(MARK);
        let (_, ()) = join!(self.relay(), async {
            frozen.reached().await;
            self.redis::<()>(&["FLUSHALL"]);
            let (statement, passing, after) = until;
            let other = self.store.hold(statement, passing, after);
            let (_, ()) = join!(self.relay(), async {
                other.reached().await;
                frozen.open();
                tokio::time::sleep(Duration::from_millis(30)).await;
                other.open();
            });
        });
    }

    /// A relay whose budget is spent at once: it does no more than it must.
    pub(crate) async fn relay_a_little(&self) -> usize {
        self.outbox.relay_within(Duration::ZERO, &self.url()).await.unwrap()
    }

    /// The ids of the events in the stream, in its order.
    #[track_caller]
    pub(crate) fn log(&self) -> Vec<String> {
        self.entries().into_iter().map(|(_, event)| event).collect()
    }

    /// The entries of the stream: each one's id and its event's.
    #[track_caller]
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        let entries: Vec<(String, Vec<String>)> = self.redis(&["XRANGE", STREAM, "-", "+"]);
        let read = entries.into_iter().map(|(id, fields)| {
            let [field, json] = fields.as_slice() else { panic!("{fields:?}") };
            assert_eq!(field, "e");
            (id, Envelope::parse(json).unwrap().id)
        });
        read.collect()
    }

    /// What the store says of where the events are, as the stream has their last entries.
    #[track_caller]
    pub(crate) fn assert_positions_are_right(&self) {
        let (places, stored) = (self.places(), self.stored());
        assert_eq!(places, stored);
    }

    /// The same for those events that are in the stream.
    #[track_caller]
    pub(crate) fn assert_sent_positions_are_right(&self) {
        let stored = self.stored();
        for (event, place) in self.places() {
            assert_eq!(stored.get(&event), Some(&place), "{event}");
        }
    }

    fn places(&self) -> BTreeMap<String, i64> {
        let place = |id: &str| Position::parse(id).unwrap().to_stored();
        self.entries().into_iter().map(|(id, event)| (event, place(&id))).collect()
    }

    fn stored(&self) -> BTreeMap<String, i64> {
        let rows = self.store.sqlite.run("SELECT subject || ':' || version, sent FROM events", &[]);
        let read = |row: &Row| (row.text(0).unwrap().to_owned(), row.int(1).unwrap());
        rows.unwrap().iter().map(read).collect()
    }

    /// Puts events straight into the stream.
    pub(crate) fn append(&self, subjects: impl IntoIterator<Item = u64>) {
        for subject in subjects {
            let _: String = self.redis(&["XADD", STREAM, "*", "e", &json(subject)]);
        }
    }

    pub(crate) async fn drain(&self, wake: Wake, consumer: &impl Consumer) -> Drained {
        drain(&self.url(), GROUP, &[CONTEXT], wake, consumer).await.unwrap()
    }

    /// A drain whose budget is spent at once: it does no more than it must.
    pub(crate) async fn drain_a_little(&self, wake: Wake, consumer: &impl Consumer) -> Drained {
        drain_within(Duration::ZERO, &self.url(), GROUP, &[CONTEXT], wake, consumer).await.unwrap()
    }

    /// How many entries were read and not acknowledged.
    #[track_caller]
    pub(crate) fn pending(&self) -> usize {
        let pending: Vec<redis::Value> = self.redis(&["XPENDING", STREAM, GROUP, "-", "+", "100000"]);
        pending.len()
    }

    /// So much time goes by for everything that was read and not acknowledged.
    #[track_caller]
    pub(crate) fn let_pending_wait(&self, milliseconds: u64) {
        let pending: Vec<(String, String, i64, i64)> =
            self.redis(&["XPENDING", STREAM, GROUP, "-", "+", "100000"]);
        for (id, ..) in pending {
            let idle = milliseconds.to_string();
            let _: redis::Value =
                self.redis(&["XCLAIM", STREAM, GROUP, "worker", "0", &id, "IDLE", &idle, "JUSTID"]);
        }
    }

    /// The server's clock, in milliseconds.
    pub(crate) fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = self.redis(&["TIME"]);
        seconds * 1_000 + micros / 1_000
    }

    /// When each of the pending entries was last handed out, in milliseconds.
    pub(crate) fn read_at(&self) -> Vec<i64> {
        let script = "local about = redis.call('XINFO', 'STREAM', KEYS[1], 'FULL')
            local times = {}
            for i = 1, #about, 2 do if about[i] == 'groups' then
                local group = about[i + 1][1]
                for j = 1, #group, 2 do if group[j] == 'pending' then
                    for _, entry in ipairs(group[j + 1]) do times[#times + 1] = entry[3] end
                end end
            end end
            return times";
        self.redis(&["EVAL", script, "1", STREAM])
    }

    /// Has the pending entries be read when the server's clock was ahead by so much: no command does that, so the
    /// stream is put back as it would have been kept.
    pub(crate) fn read_ahead(&self, milliseconds: i64) {
        let mut kept: Vec<u8> = self.redis(&["DUMP", STREAM]);
        for time in self.read_at() {
            let (is, ahead) = (time.to_le_bytes(), (time + milliseconds).to_le_bytes());
            for at in 0..kept.len() - is.len() {
                if kept[at..].starts_with(&is) {
                    kept[at..at + is.len()].copy_from_slice(&ahead);
                }
            }
        }
        // The last eight bytes are the sum of all before.
        let content = kept.len() - 8;
        let sum = crc::Crc::<u64>::new(&crc::CRC_64_REDIS).checksum(&kept[..content]);
        kept[content..].copy_from_slice(&sum.to_le_bytes());
        self.redis_with::<()>(&["RESTORE", STREAM, "0"], (kept, "REPLACE"));
    }

    /// The dead letters: of each its fields.
    #[track_caller]
    pub(crate) fn dead(&self) -> Vec<std::collections::HashMap<String, String>> {
        let entries: Vec<(String, std::collections::HashMap<String, String>)> =
            self.redis(&["XRANGE", DEAD, "-", "+"]);
        entries.into_iter().map(|(_, fields)| fields).collect()
    }
}

/// The events' ids of these subjects.
pub(crate) fn ids(subjects: impl IntoIterator<Item = u64>) -> Vec<String> {
    subjects.into_iter().map(|subject| format!("{subject}:1")).collect()
}

/// The data of an event.
fn data(subject: u64) -> String {
    format!(r#"{{"orderId":{subject},"eduNo":101,"guest":1,"language":"ko"}}"#)
}

/// An event as it travels.
pub(crate) fn json(subject: u64) -> String {
    let stored = crate::envelope::Stored {
        subject: &subject.to_string(),
        version: 1,
        name: "ReservationConfirmed",
        data: &data(subject),
        time: kernel::Timestamp::from_millis(0),
        traceparent: None,
    };
    crate::envelope::to_json(CONTEXT, &stored).unwrap()
}

/// A store in which a statement can be held up, or fail.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) sqlite: Sqlite,
    traps: Rc<RefCell<Vec<Trap>>>,
}

struct Trap {
    /// What the statement begins with.
    statement: &'static str,
    /// How many of these are let pass first.
    passing: usize,
    after: bool,
    gate: Option<Rc<Gate>>,
}

/// Where a statement is held up.
#[derive(Default)]
pub(crate) struct Gate {
    reached: Notify,
    open: Notify,
}

impl Gate {
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(Duration::from_secs(10), self.reached.notified());
        reached.await.expect("somebody to come by");
    }

    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

/// How the statements begin that read the outbox, mark events as sent, and put them back.
pub(crate) const READ: &str = "SELECT stream.reached";
pub(crate) const MARK: &str = "UPDATE events SET sent = place";
pub(crate) const PUT_BACK: &str = "UPDATE events SET sent = 0";

impl Store {
    fn new() -> Self {
        Self { sqlite: Sqlite::in_memory(&DATABASE).unwrap(), traps: Rc::default() }
    }

    /// Commits an event of each of these subjects.
    pub(crate) fn commit(&self, subjects: impl IntoIterator<Item = u64>) {
        for subject in subjects {
            let sql = "INSERT INTO events (subject, version, type, data, time) VALUES (?, 1, 'ReservationConfirmed', ?, ?)";
            let time = kernel::Timestamp::from_millis(0).to_string();
            let params = [text(subject.to_string()), text(data(subject)), text(time)];
            self.sqlite.run(sql, &params).unwrap();
        }
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.sqlite.number(sql).unwrap()
    }

    pub(crate) fn unsent(&self) -> i64 {
        self.number("SELECT count(*) FROM events WHERE sent = 0")
    }

    pub(crate) fn sent(&self, subject: u64) -> i64 {
        let rows = self.sqlite.run("SELECT sent FROM events WHERE subject = ?", &[text(subject.to_string())]);
        rows.unwrap()[0].int(0).unwrap()
    }

    pub(crate) fn set_sent(&self, subject: u64, sent: i64) {
        let params = [int(sent), text(subject.to_string())];
        self.sqlite.run("UPDATE events SET sent = ? WHERE subject = ?", &params).unwrap();
    }

    /// The next statement that begins so is held up before it runs.
    pub(crate) fn hold_before(&self, statement: &'static str) -> Rc<Gate> {
        self.hold(statement, 0, false)
    }

    /// The next statement that begins so is held up when it has run.
    pub(crate) fn hold_after(&self, statement: &'static str) -> Rc<Gate> {
        self.hold(statement, 0, true)
    }

    pub(crate) fn hold(&self, statement: &'static str, passing: usize, after: bool) -> Rc<Gate> {
        let gate = Rc::<Gate>::default();
        self.traps.borrow_mut().push(Trap { statement, passing, after, gate: Some(Rc::clone(&gate)) });
        gate
    }

    /// A statement that begins so fails, once `passing` of them have run.
    pub(crate) fn fail(&self, statement: &'static str, passing: usize) {
        self.traps.borrow_mut().push(Trap { statement, passing, after: false, gate: None });
    }

    fn sprung(&self, sql: &str) -> Option<Trap> {
        let mut traps = self.traps.borrow_mut();
        let at = traps.iter().position(|trap| sql.starts_with(trap.statement))?;
        let trap = traps.get_mut(at)?;
        if trap.passing > 0 {
            trap.passing -= 1;
            return None;
        }
        Some(traps.remove(at))
    }
}

impl Storage for Store {
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let trap = self.sprung(sql);
        let hold = async |after: bool| match &trap {
            Some(Trap { gate: None, .. }) => Err(StoreError::Unavailable("disk I/O error".to_owned())),
            Some(trap) if trap.after == after => {
                let gate = trap.gate.as_ref().unwrap();
                gate.reached.notify_one();
                let opened = tokio::time::timeout(Duration::from_secs(20), gate.open.notified());
                opened.await.expect("the gate to be opened");
                Ok(())
            }
            _ => Ok(()),
        };
        hold(false).await?;
        let rows = self.sqlite.query(sql, params).await?;
        hold(true).await?;
        Ok(rows)
    }

    async fn pause(&self, _attempt: u64) {}
}

/// What a consumer does with events.
pub(crate) enum Then {
    Handled,
    Later,
    Poison,
    /// It never comes back, as one that traps does not.
    Traps,
}

/// A consumer that does what it is told and keeps what it saw.
pub(crate) struct Recorder<F> {
    pub(crate) seen: RefCell<Vec<Vec<String>>>,
    /// Told when it does not come back.
    pub(crate) trapped: Notify,
    then: F,
}

impl<F: Fn(&[String]) -> Then> Recorder<F> {
    pub(crate) fn new(then: F) -> Self {
        Self { seen: RefCell::default(), trapped: Notify::new(), then }
    }

    /// The events that were handed over, batch by batch.
    pub(crate) fn batches(&self) -> Vec<Vec<String>> {
        self.seen.take()
    }

    /// The same, one by one.
    pub(crate) fn events(&self) -> Vec<String> {
        self.seen.take().concat()
    }
}

impl<F: Fn(&[String]) -> Then> Consumer for Recorder<F> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        self.seen.borrow_mut().push(ids.clone());
        match (self.then)(&ids) {
            Then::Handled => Ok(()),
            Then::Later => Err(Unhandled::Later("something is missing".to_owned())),
            Then::Poison => Err(Unhandled::Poison("it makes no sense".to_owned())),
            Then::Traps => {
                self.trapped.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// A consumer that everything is fine for.
pub(crate) fn content() -> Recorder<impl Fn(&[String]) -> Then> {
    Recorder::new(|_| Then::Handled)
}

/// A consumer that does something else with a batch that has this event in it.
pub(crate) fn but_for(event: &'static str, then: fn() -> Then) -> Recorder<impl Fn(&[String]) -> Then> {
    Recorder::new(move |ids| if ids.iter().any(|id| id == event) { then() } else { Then::Handled })
}
