//! What every group has acknowledged: behind it a stream is trimmed, and what was sent before it is not sent again
//! when Redis loses it.

use crate::keys;
use crate::position::Position;
use crate::redis::{LogError, Redis, as_text};

/// A stream shorter than this is left alone: about 10 MB.
const KEEP: &str = "10000";

/// Trims a stream behind what all of its groups have acknowledged, and says up to where that is: everything before this
/// id is done with. It says nothing where a group has not begun, because everything is still to come for it.
///
/// A dead letter is acknowledged and not done with: its event stays behind the answer for as long as it is there. One
/// that was replayed into a stream which no longer had its entry has a copy further on, and is done with when the copy is;
/// `replayed` tells of each copy which entry it stands for. (Among very many dead letters none is looked for, and nothing
/// is done with.) One script, and so one moment: what becomes a dead letter, or is replayed, meanwhile is never
/// between the two.
const TRIM: &str = "local function before(a, b)
    local a_ms, a_n = string.match(a, '^(%d+)-(%d+)$')
    local b_ms, b_n = string.match(b, '^(%d+)-(%d+)$')
    if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
    return tonumber(a_n) < tonumber(b_n)
end
local stream, replayed = KEYS[1], KEYS[2]
if redis.call('EXISTS', stream) == 0 then return {} end
local groups = {}
for _, about in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #about, 2 do group[about[i]] = about[i + 1] end
    groups[group.name] = group
end
local least
for i = 2, #ARGV do
    local group = groups[ARGV[i]]
    if not group then return {} end
    local up_to = group['last-delivered-id']
    if group.pending > 0 then
        local oldest = redis.call('XPENDING', stream, ARGV[i])[2]
        if before(oldest, up_to) then up_to = oldest end
    end
    if not least or before(up_to, least) then least = up_to end
end
if not least then return {} end
if redis.call('XLEN', stream) > tonumber(ARGV[1]) then redis.call('XTRIM', stream, 'MINID', least) end
local copies, still = {}, {}
local told = redis.call('HGETALL', replayed)
for i = 1, #told, 2 do copies[told[i]] = told[i + 1] end
local done_with = least
for i = 3, #KEYS do
    local letters = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 100)
    if #letters == 100 then return {} end
    for _, letter in ipairs(letters) do
        local fields = {}
        for j = 1, #letter[2], 2 do fields[letter[2][j]] = letter[2][j + 1] end
        if fields.stream == stream then
            still[fields.id] = true
            local entry = copies[fields.id] or fields.id
            if before(entry, done_with) then done_with = entry end
        end
    end
end
for copy, entry in pairs(copies) do
    if still[copy] or not before(copy, least) then
        if before(entry, done_with) then done_with = entry end
    else
        redis.call('HDEL', replayed, copy)
    end
end
return {done_with}";

/// Whether there is anything to note: one row where the first event that is not known to be acknowledged is. Looked at
/// first, because an update waits for the store's lock even where it has nothing to change.
pub(crate) const IS_NEWS: &str = "SELECT 1 FROM stream WHERE
    (SELECT sent FROM events WHERE seq > stream.acknowledged ORDER BY seq LIMIT 1) BETWEEN 2 AND ? - 1";

/// Notes that every event was acknowledged that was sent to before this position, up to the first that was not. (Of an
/// event with a 1 nobody knows where it was sent to.)
///
/// It begins where the last time ended, and so costs as many rows as have been acknowledged since. Not if a relay has
/// begun to send meanwhile: the position may be one of a stream that is gone.
pub(crate) const NOTE: &str = "UPDATE stream SET acknowledged = done_with.seq FROM (SELECT coalesce(
        (SELECT seq - 1 FROM events WHERE seq > (SELECT acknowledged FROM stream) AND (sent <= 1 OR sent >= ?)
         ORDER BY seq LIMIT 1),
        (SELECT max(seq) FROM events), 0) AS seq) AS done_with
    WHERE done_with.seq > stream.acknowledged AND stream.epoch = ?";

/// Trims a context's stream where it is long, and says before which position everything in it is done with.
pub(crate) async fn trim(redis: &Redis, context: &str) -> Result<Option<Position>, LogError> {
    let groups = keys::consumers_of(context);
    let mut names = vec![keys::stream(context), keys::replayed(context)];
    names.extend(groups.iter().map(|group| keys::dead_letters(group)));
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let reply = redis.script_reply(TRIM, &names, &[&[KEEP], groups].concat()).await?;
    let Some(least) = reply.first() else { return Ok(None) };
    let position = as_text(least).and_then(|id| Position::parse(&id));
    position.map(Some).ok_or_else(|| LogError::Redis(format!("the trimming script answered {reply:?}")))
}
