//! How far behind its streams each consumer is.

use crate::keys;
use crate::redis::{LogError, Redis, as_text, odd};
use crate::topology::{CONSUMERS, Consumer};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use spin_sdk::redis::RedisResult;

/// Answers of the group ARGV[1] three texts for each of the streams KEYS but the last: how many entries it has not read, how
/// many it has read and not acknowledged, and the oldest event of both; and how many entries the last has, which are its dead
/// letters. Redis does not always know the first; then it is counted, up to a thousand.
const LAG: &str = "local told = {}
for i = 1, #KEYS - 1 do
    local unread, pending, oldest = redis.call('XLEN', KEYS[i]), 0, '-'
    local groups = redis.pcall('XINFO', 'GROUPS', KEYS[i])
    for _, group in ipairs(groups.err and {} or groups) do
        local about = {}
        for k = 1, #group, 2 do about[group[k]] = group[k + 1] end
        if about.name == ARGV[1] then
            oldest, pending = '(' .. about['last-delivered-id'], about.pending
            unread = about.lag or #redis.call('XRANGE', KEYS[i], oldest, '+', 'COUNT', 1000)
            if pending > 0 then oldest = redis.call('XPENDING', KEYS[i], ARGV[1])[2] end
        end
    end
    local event, entry = '', unread + pending > 0 and redis.call('XRANGE', KEYS[i], oldest, '+', 'COUNT', 1)[1]
    for k = 1, #(entry and entry[2] or {}), 2 do if entry[2][k] == 'e' then event = entry[2][k + 1] end end
    for _, part in ipairs({tostring(unread), tostring(pending), event}) do told[#told + 1] = part end
end
told[#told + 1] = tostring(redis.call('XLEN', KEYS[#KEYS]))
return told";

/// How far behind a consumer is, in numbers of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lag {
    /// The consumer.
    pub consumer: &'static str,
    /// What it has not read, of all of its streams.
    pub unread: i64,
    /// What it has read and not acknowledged.
    pub pending: i64,
    /// What it gave up on, and what waits for an operator.
    pub dead_letters: i64,
    /// The same for each of its streams.
    pub streams: Vec<StreamLag>,
}

/// How far behind it is with one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamLag {
    /// The context whose events they are.
    pub source: &'static str,
    /// What it has not read.
    pub unread: i64,
    /// What it has read and not acknowledged.
    pub pending: i64,
    /// When the oldest of both happened; none where there is nothing, or it does not say.
    pub oldest: Option<Timestamp>,
}

/// When an event happened.
#[derive(Deserialize)]
struct Happened {
    time: Timestamp,
}

/// How far behind every consumer is.
pub async fn lag(redis_url: &str) -> Result<Vec<Lag>, LogError> {
    let redis = Redis::connect(redis_url).await?;
    let mut all = Vec::new();
    for consumer in &CONSUMERS {
        all.push(lag_of(&redis, consumer).await?);
    }
    redis.release();
    Ok(all)
}

/// How far behind one consumer is.
pub(crate) async fn lag_of(redis: &Redis, consumer: &Consumer) -> Result<Lag, LogError> {
    let keys = consumer.sources().map(keys::stream).chain([keys::dead_letters(consumer.name)]);
    let told = redis.script(LAG, &keys.collect::<Vec<_>>(), &[consumer.name]).await?;
    read(consumer, &told).ok_or_else(|| odd("looking how far behind a consumer is", &told))
}

/// None where that is not what the script answers.
fn read(consumer: &Consumer, told: &[RedisResult]) -> Option<Lag> {
    let number = |part: &RedisResult| as_text(part).parse::<i64>().ok();
    let (parts, dead) = told.as_chunks();
    let [dead] = dead else { return None };
    let stream = |(source, [unread, pending, event]): (&'static str, &[RedisResult; 3])| {
        let oldest = serde_json::from_str(&as_text(event)).ok().map(|Happened { time }| time);
        Some(StreamLag { source, unread: number(unread)?, pending: number(pending)?, oldest })
    };
    let streams = consumer.sources().zip(parts).map(stream).collect::<Option<Vec<_>>>()?;
    Some(Lag {
        consumer: consumer.name,
        unread: streams.iter().map(|stream| stream.unread).sum(),
        pending: streams.iter().map(|stream| stream.pending).sum(),
        dead_letters: number(dead)?,
        streams,
    })
}
