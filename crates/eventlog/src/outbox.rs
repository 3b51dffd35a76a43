//! The relay: from the outbox to the stream.
//!
//! One relay of a context runs at a time, over all instances and replicas: a lock in Redis sees to it, so that
//! the stream keeps the order of the outbox and is not filled with repetitions. Who finds it taken leaves a
//! note, and the holder looks once more before it lets go; so no commit is left behind, however the two
//! interleave. A holder that freezes loses the lock after [`LOCK_MS`], and its late append is refused.

use crate::envelope::{Stored, to_json};
use crate::keys;
use crate::redis::{LogError, Redis};
use crate::trim::trim;
use spin_sdk::wasip3;
use std::cell::Cell;
use std::time::Duration;
use store::{Database, Row};

/// How many events go to the stream at once.
const BATCH: usize = 200;

/// How long a relay that died keeps the others out, in milliseconds. Longer than any batch takes; the tick
/// comes every second, so a crash delays events by about this much.
const LOCK_MS: &str = "3000";

/// The pause before looking again under load, so that commits gather into batches: each batch wakes every
/// consumer, and a wake-up costs Spin a new instance.
const GATHER: Duration = Duration::from_millis(50);

/// Takes the lock, or leaves a note to whoever has it.
const CLAIM: &str = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('SET', KEYS[2], '1', 'PX', 60000)
return 0";

/// Appends events and publishes one wake-up, unless the lock has gone to somebody else meanwhile.
const APPEND: &str = "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end
redis.call('PUBLISH', KEYS[1], 'event')
return 1";

/// Lets the lock go, unless somebody left a note: then look again.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if redis.call('DEL', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 0 end
redis.call('DEL', KEYS[1])
return 1";

thread_local! {
    /// Whether a relay of this instance is under way, and whether it was asked for again since.
    static UNDER_WAY: Cell<UnderWay> = const { Cell::new(UnderWay::Idle) };
}

#[derive(Clone, Copy, PartialEq)]
enum UnderWay {
    Idle,
    Running,
    RunningAskedAgain,
}

/// The outbox of one context.
pub struct Outbox {
    database: &'static Database,
    context: &'static str,
}

impl Outbox {
    /// The outbox in `database`, whose schema begins with [`EVENTS_TABLE`](crate::EVENTS_TABLE), of the context
    /// of that name.
    pub const fn new(database: &'static Database, context: &'static str) -> Self {
        Self { database, context }
    }

    /// Relays soon, after the answer has left: to be called right after a commit. Calls while a relay of this
    /// instance is under way are one more look of that relay. What fails here is done again on the tick.
    pub fn relay_soon(&'static self, redis_url: &str) {
        let before = UNDER_WAY.get();
        if before != UnderWay::Idle {
            UNDER_WAY.set(UnderWay::RunningAskedAgain);
            return;
        }
        UNDER_WAY.set(UnderWay::Running);
        let url = redis_url.to_owned();
        wasip3::spawn(async move {
            loop {
                if let Err(error) = self.relay(&url).await {
                    eprintln!("relaying the events of {}: {error}; they stay in the outbox", self.context);
                    UNDER_WAY.set(UnderWay::Idle);
                    return;
                }
                if UNDER_WAY.get() == UnderWay::Running {
                    UNDER_WAY.set(UnderWay::Idle);
                    return;
                }
                UNDER_WAY.set(UnderWay::Running);
            }
        });
    }

    /// Appends everything in the outbox to the stream; if another relay is under way, makes sure that it looks
    /// again instead. Returns how many events this call appended.
    pub async fn relay(&self, redis_url: &str) -> Result<usize, LogError> {
        let redis = Redis::connect(redis_url).await?;
        let (lock, again) = (keys::relay_lock(self.context), keys::relay_again(self.context));
        let token = token();
        let locks = [lock.as_str(), again.as_str()];
        if redis.script(CLAIM, &locks, &[&token, LOCK_MS]).await? == 0 {
            redis.release();
            return Ok(0);
        }
        faults::point(self.context, "relay.claimed").await;
        let mut appended = 0;
        loop {
            let sent = self.relay_batch(&redis, &lock, &token).await;
            match sent {
                Ok(count) => appended += count,
                Err(error) => {
                    // Let the next one try at once; if even this fails the lock runs out by itself.
                    let _ = redis.command("DEL", &[&lock]).await;
                    return Err(error);
                }
            }
            if sent.is_ok_and(|count| count == BATCH) {
                continue;
            }
            if redis.script(RELEASE, &locks, &[&token, LOCK_MS]).await? == 1 {
                redis.release();
                return Ok(appended);
            }
            spin_sdk::time::sleep(GATHER).await;
        }
    }

    /// On the tick: relays what is left, and now and then trims the stream behind its consumers.
    pub async fn tick(&self, redis_url: &str) -> Result<(), LogError> {
        self.relay(redis_url).await?;
        let redis = Redis::connect(redis_url).await?;
        trim(&redis, self.context).await?;
        redis.release();
        Ok(())
    }

    async fn relay_batch(&self, redis: &Redis, lock: &str, token: &str) -> Result<usize, LogError> {
        let rows = self
            .database
            .query(
                &format!(
                    "SELECT seq, subject, version, type, data, time, traceparent FROM events
                     WHERE sent = 0 ORDER BY seq LIMIT {BATCH}"
                ),
                [],
            )
            .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let events = rows.iter().map(|row| self.cloud_event(row)).collect::<Result<Vec<_>, _>>()?;
        let stream = keys::stream(self.context);
        let mut arguments = vec![token, LOCK_MS];
        arguments.extend(events.iter().map(String::as_str));
        if !faults::guard("relay.append-before-mark") {
            self.mark_sent(&rows).await?;
        }
        if redis.script(APPEND, &[&stream, lock], &arguments).await? == 0 {
            return Err(LogError::Redis("another relay took over from this one".to_owned()));
        }
        faults::point(self.context, "relay.appended").await;
        self.mark_sent(&rows).await?;
        faults::point(self.context, "relay.marked").await;
        Ok(rows.len())
    }

    fn cloud_event(&self, row: &Row) -> Result<String, LogError> {
        let stored = Stored {
            subject: row.text(1)?,
            version: row.count(2)?,
            name: row.text(3)?,
            data: row.text(4)?,
            time: row.parse(5)?,
            traceparent: row.opt_text(6)?,
        };
        to_json(self.context, &stored).map_err(|e| {
            LogError::Store(store::StoreError::Failure(format!("event {} is not JSON: {e}", stored.subject)))
        })
    }

    async fn mark_sent(&self, rows: &[Row]) -> Result<(), LogError> {
        // Numbers of ours, so they may stand in the statement: a list of parameters has a limit.
        let seqs =
            rows.iter().map(|row| row.int(0).map(|seq| seq.to_string())).collect::<Result<Vec<_>, _>>()?;
        let sql = format!("UPDATE events SET sent = 1 WHERE seq IN ({})", seqs.join(","));
        self.database.execute(&sql, []).await?;
        Ok(())
    }
}

/// A name for one run of the relay that no other run has: only the holder may append and release.
fn token() -> String {
    let [a, b] = [(); 2].map(|()| wasip3::random::random::get_random_u64());
    format!("{a:016x}{b:016x}")
}
