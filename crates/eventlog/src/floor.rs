//! The floor: up to where every group has acknowledged everything. Behind it a stream is trimmed, and what Redis loses
//! there is not sent again.

use crate::id::EntryId;
use crate::keys;
use crate::redis::{LogError, Redis, as_text, odd};
use crate::topology::readers_of;

/// Trims a stream behind what all of its groups (ARGV) have acknowledged, and says up to which id that is. It says
/// nothing where a group has not begun, because everything is still to come for it.
///
/// A dead letter is acknowledged and not done with, and nor is one that was replayed until it is handled: the event stays
/// above the answer. (Among very many of them none is looked for, and nothing is answered.) One script, and so one moment:
/// what becomes a dead letter meanwhile is never between the two.
const TRIM: &str = "local stream = KEYS[1]
if redis.call('EXISTS', stream) == 0 then return {} end
local function parts(id)
    local generation, position = string.match(id, '^(%d+)-(%d+)$')
    return tonumber(generation), tonumber(position)
end
local groups = {}
for _, about in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local group = {}
    for i = 1, #about, 2 do group[about[i]] = about[i + 1] end
    groups[group.name] = group
end
local generation, position
for _, name in ipairs(ARGV) do
    local group = groups[name]
    if not group then return {} end
    local g, p = parts(group['last-delivered-id'])
    if group.pending > 0 then
        g, p = parts(redis.call('XPENDING', stream, name)[2])
        p = p - 1
    end
    if not generation or g < generation or (g == generation and p < position) then generation, position = g, p end
end
if not generation or position < 0 then return {} end
redis.call('XTRIM', stream, 'MINID', string.format('%.0f-%.0f', generation, position + 1))
for i = 2, #KEYS do
    local letters = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1000)
    if #letters == 1000 then return {} end
    for _, letter in ipairs(letters) do
        local fields = {}
        for j = 1, #letter[2], 2 do fields[letter[2][j]] = letter[2][j + 1] end
        if fields.stream == stream then
            local _, p = parts(fields.id)
            position = math.min(position, p - 1)
        end
    end
end
return {string.format('%.0f-%.0f', generation, math.max(position, 0))}";

/// Trims a context's stream, and says up to which id everything in it is done with.
pub(crate) async fn trim(redis: &Redis, context: &str) -> Result<Option<EntryId>, LogError> {
    let groups: Vec<_> = readers_of(context).map(|reader| reader.name).collect();
    let mut names = vec![keys::stream(context)];
    for group in &groups {
        names.extend([keys::dead_letters(group), keys::replayed(group)]);
    }
    let reply = redis.script(TRIM, &names, &groups).await?;
    let Some(least) = reply.first() else { return Ok(None) };
    EntryId::parse(&as_text(least)).map(Some).ok_or_else(|| odd("trimming", &reply))
}
