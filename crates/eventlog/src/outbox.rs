//! The relay: from the outbox to the stream.
//!
//! One relay of a context runs at a time ([`RelayLock`]), so that the stream keeps the order of the outbox and is not
//! filled with repetitions. It does not trust Redis to keep what it was given: the position that each event got in the
//! stream is written beside it, and where the stream is behind the furthest of them, everything beyond its end is sent
//! again that some group has not acknowledged. Why that is enough is told in `docs/adr/009-a-lost-log-heals.md` and
//! `docs/adr/011-what-is-acknowledged-is-not-sent-again.md`.

use crate::acknowledged::{IS_NEWS, NOTE, trim};
use crate::envelope::{Stored, to_json};
use crate::position::Position;
use crate::redis::{LogError, Redis};
use crate::relay_lock::{Appended, RelayLock};
use crate::runtime::{sleep, spawn};
use std::cell::Cell;
use std::time::{Duration, Instant};
use store::{Database, Row, Storage, StoreError, int, text};

/// How many events go to the stream at once.
pub(crate) const BATCH: usize = 200;

/// Among how many events at once those are looked for that the stream has lost.
pub(crate) const CHUNK: i64 = 1_000;

/// The pause before looking again under load, so that commits gather into batches: each batch wakes every
/// consumer, and a wake-up costs Spin a new instance. An event may pass through two contexts until everyone can see
/// it, which is to take less than a second.
const GATHER: Duration = Duration::from_millis(100);

/// After this long a relay goes on no more, whatever is left: a worker takes one wake-up at a time, and has other
/// duties. Where commits never cease, or all of a long history is to be sent again, the relay after the next commit, or
/// on the next tick, goes on.
const BUDGET: Duration = Duration::from_secs(2);

/// The unsent events, oldest first, each beside how far the stream must have come; this alone where there is
/// nothing to send.
///
/// One statement, and so one state of the store.
pub(crate) const NEXT: &str = "SELECT stream.reached,
        unsent.seq, unsent.subject, unsent.version, unsent.type, unsent.data, unsent.time, unsent.traceparent
    FROM stream LEFT JOIN (
        SELECT seq, subject, version, type, data, time, traceparent
        FROM events INDEXED BY events_unsent WHERE sent = 0 ORDER BY seq LIMIT ?
    ) AS unsent ON true ORDER BY unsent.seq";

/// Begins an epoch: whatever a relay of an earlier one is still about to mark is refused from now on.
const BEGIN: &str = "UPDATE stream SET epoch = epoch + 1 RETURNING epoch";

/// Writes down where events are now, given as a JSON list of `[seq, sent]`, if it is still the epoch in which they were
/// read.
///
/// One text for batches of every length, so that it is parsed once and not for every batch.
pub(crate) const MARK: &str = "UPDATE events SET sent = place.sent
    FROM (SELECT value ->> 0 AS seq, value ->> 1 AS sent FROM json_each(?)) AS place
    WHERE events.seq = place.seq AND events.sent < place.sent AND (SELECT epoch FROM stream) = ?
    RETURNING events.seq";

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
pub struct Outbox<S = &'static Database> {
    storage: S,
    context: &'static str,
}

/// What is to be sent next.
#[derive(Default)]
struct Batch {
    /// In which epoch it was read.
    epoch: i64,
    /// How far the stream has come, unless it has lost something.
    reached: Position,
    /// The events' places in the outbox.
    seqs: Vec<i64>,
    /// As they travel.
    events: Vec<String>,
}

impl Batch {
    /// Whether there is anything to do about it, where the stream has come as far as `known`.
    fn is_something(&self, known: Position) -> bool {
        self.reached > known || !self.events.is_empty()
    }
}

impl<S: Storage> Outbox<S> {
    /// The outbox in `storage`, whose schema begins with [`EVENTS_TABLE`](crate::EVENTS_TABLE), of the context
    /// of that name.
    pub const fn new(storage: S, context: &'static str) -> Self {
        Self { storage, context }
    }

    /// Relays soon, after the answer has left: to be called right after a commit. Calls while a relay of this
    /// instance is under way, and [`GATHER`] longer, are together one more look of that relay. What fails here is done
    /// again on the tick.
    pub fn relay_soon(&'static self, redis_url: &str) {
        let before = UNDER_WAY.get();
        if before != UnderWay::Idle {
            UNDER_WAY.set(UnderWay::RunningAskedAgain);
            return;
        }
        UNDER_WAY.set(UnderWay::Running);
        let url = redis_url.to_owned();
        spawn(async move {
            loop {
                if let Err(error) = self.relay(&url).await {
                    eprintln!("relaying the events of {}: {error}; they stay in the outbox", self.context);
                    break;
                }
                // Where one commit comes others follow: they are waited for, and share the next look.
                sleep(GATHER).await;
                if UNDER_WAY.replace(UnderWay::Running) == UnderWay::Running {
                    break;
                }
            }
            UNDER_WAY.set(UnderWay::Idle);
        });
    }

    /// Appends everything in the outbox to the stream, and before that again what the stream has lost, as far as the
    /// time budget goes; if another relay is under way, makes sure that it looks again instead. Returns how many events
    /// this call appended.
    pub async fn relay(&self, redis_url: &str) -> Result<usize, LogError> {
        self.relay_within(BUDGET, redis_url).await
    }

    pub(crate) async fn relay_within(&self, budget: Duration, redis_url: &str) -> Result<usize, LogError> {
        let ends = Instant::now() + budget;
        let redis = Redis::connect(redis_url).await?;
        let Some((lock, last)) = RelayLock::claim(&redis, self.context).await? else {
            redis.release();
            return Ok(0);
        };
        faults::point(self.context, "relay.claimed").await;
        match self.relay_all(&lock, last, ends).await {
            Ok(appended) => {
                redis.release();
                Ok(appended)
            }
            Err(error) => {
                lock.give_up().await;
                Err(error)
            }
        }
    }

    /// On the tick: relays what is left, notes what all consumers have acknowledged, and trims the stream behind it.
    pub async fn tick(&self, redis_url: &str) -> Result<(), LogError> {
        self.relay(redis_url).await?;
        let epoch = self.storage.query("SELECT epoch FROM stream", vec![]).await?;
        let epoch = epoch.first().ok_or_else(no_stream)?.int(0)?;
        let redis = Redis::connect(redis_url).await?;
        let done_with = trim(&redis, self.context).await?;
        redis.release();
        let Some(position) = done_with.map(Position::to_stored) else { return Ok(()) };
        if !self.storage.query(IS_NEWS, vec![int(position)]).await?.is_empty() {
            self.storage.query(NOTE, vec![int(position), int(epoch)]).await?;
        }
        Ok(())
    }

    /// `known` is how far the stream has come as far as this relay can tell; after `ends` no further batch is begun.
    ///
    /// Its epoch begins as soon as there is something to do, and what that is is read after it: whoever stood still
    /// with something to mark has marked it before, and is seen here, or never will.
    async fn relay_all(
        &self,
        lock: &RelayLock<'_>,
        mut known: Position,
        ends: Instant,
    ) -> Result<usize, LogError> {
        let (mut appended, mut epoch) = (0, None);
        loop {
            if epoch.is_none() && self.next(0, 1).await?.is_something(known) {
                epoch = Some(self.begin().await?);
            }
            let batch = match epoch {
                Some(epoch) => self.next(epoch, BATCH).await?,
                None => Batch::default(),
            };
            if batch.reached > known {
                self.put_back_lost(lock, known, batch.epoch).await?;
                continue;
            }
            if !batch.events.is_empty() {
                match self.send(lock, &batch, known).await? {
                    Appended::At(positions) => known = positions.last().copied().unwrap_or(known),
                    Appended::Behind(last) => {
                        known = last;
                        continue;
                    }
                    Appended::Refused => return Err(taken_over()),
                }
                appended += batch.events.len();
            }
            let more = batch.events.len() == BATCH;
            if !more && lock.release().await? {
                return Ok(appended);
            }
            if Instant::now() >= ends {
                lock.give_up().await;
                return Ok(appended);
            }
            if !more {
                sleep(GATHER).await;
            }
        }
    }

    async fn begin(&self) -> Result<i64, LogError> {
        let begun = self.storage.query(BEGIN, vec![]).await?;
        Ok(begun.first().ok_or_else(no_stream)?.int(0)?)
    }

    async fn next(&self, epoch: i64, most: usize) -> Result<Batch, LogError> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.storage.query(NEXT, vec![int(limit)]).await?;
        let reached = Position::stored(rows.first().ok_or_else(no_stream)?.int(0)?);
        let mut batch = Batch { epoch, reached, ..Batch::default() };
        for row in &rows {
            if let Some(seq) = row.opt_int(1)? {
                batch.seqs.push(seq);
                batch.events.push(self.cloud_event(row)?);
            }
        }
        Ok(batch)
    }

    async fn send(&self, lock: &RelayLock<'_>, batch: &Batch, known: Position) -> Result<Appended, LogError> {
        if !faults::guard("relay.append-before-mark") {
            let marked = vec![Position::stored(1); batch.seqs.len()];
            self.mark_sent(batch, &marked).await?;
            faults::point(self.context, "relay.marked").await;
        }
        let appended = lock.append(&batch.events, known).await?;
        if let Appended::At(positions) = &appended {
            faults::point(self.context, "relay.appended").await;
            self.mark_sent(batch, positions).await?;
            faults::point(self.context, "relay.marked").await;
        }
        Ok(appended)
    }

    /// Writes down where the events of a batch are now.
    ///
    /// Not in another epoch: then this relay stood still between appending and marking, and another has taken over. If
    /// Redis has lost meanwhile what was appended here, that one sends it again, and to mark it would have it passed
    /// over.
    async fn mark_sent(&self, batch: &Batch, positions: &[Position]) -> Result<(), LogError> {
        let places: Vec<_> =
            batch.seqs.iter().zip(positions).map(|(seq, at)| (seq, at.to_stored())).collect();
        let places = serde_json::to_string(&places).map_err(|e| StoreError::Failure(e.to_string()))?;
        let marked = self.storage.query(MARK, vec![text(places), int(batch.epoch)]).await?;
        if marked.len() < batch.seqs.len() && faults::guard("relay.append-before-mark") {
            return Err(taken_over());
        }
        Ok(())
    }

    /// Puts everything back into the outbox that was sent to beyond `last`, where the stream ends now, and was not yet
    /// acknowledged by all.
    ///
    /// Only when all of it is put back is the stream taken to have come no further: should this be cut off, the loss is
    /// found again.
    async fn put_back_lost(&self, lock: &RelayLock<'_>, last: Position, epoch: i64) -> Result<(), LogError> {
        let sql = "SELECT acknowledged, (SELECT coalesce(max(seq), 0) FROM events) FROM stream";
        let ends = self.storage.query(sql, vec![]).await?;
        let ends = ends.first().ok_or_else(no_stream)?;
        let (acknowledged, mut upper) = (ends.int(0)?, ends.int(1)?);
        let mut put_back = 0;
        loop {
            // Without the lock others may have appended, and what is lost is theirs to say.
            if !lock.hold().await? {
                return Err(taken_over());
            }
            if upper <= acknowledged {
                break;
            }
            let lower = acknowledged.max(upper - CHUNK);
            let sql = "UPDATE events SET sent = 0 WHERE seq > ? AND seq <= ? AND sent > ? RETURNING seq";
            let params = vec![int(lower), int(upper), int(last.to_stored())];
            put_back += self.storage.query(sql, params).await?.len();
            upper = lower;
        }
        let sql = "UPDATE stream SET reached = ? WHERE epoch = ? RETURNING 1";
        let params = vec![int(last.to_stored()), int(epoch)];
        if self.storage.query(sql, params).await?.is_empty() {
            return Err(taken_over());
        }
        eprintln!(
            "the stream of {} ends at {last}: Redis has lost what came after it; {put_back} events that somebody needs \
             are sent again",
            self.context
        );
        Ok(())
    }

    fn cloud_event(&self, row: &Row) -> Result<String, LogError> {
        let stored = Stored {
            subject: row.text(2)?,
            version: row.count(3)?,
            name: row.text(4)?,
            data: row.text(5)?,
            time: row.parse(6)?,
            traceparent: row.opt_text(7)?,
        };
        to_json(self.context, &stored)
            .map_err(|e| StoreError::Failure(format!("event {} is not JSON: {e}", stored.subject)).into())
    }
}

fn no_stream() -> LogError {
    StoreError::Failure("the table `stream` of the outbox has no row".to_owned()).into()
}

fn taken_over() -> LogError {
    LogError::Redis("another relay took over from this one".to_owned())
}
