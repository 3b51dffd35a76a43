//! Reading entries out of a reply that Spin has flattened into one list.
//!
//! Every entry of ours has the one field `e`; but whatever somebody else put into the stream must not make its
//! neighbours be taken for something else.

use crate::position::parts;
use crate::redis::as_text;
use spin_sdk::redis::RedisResult;

/// One entry as read from a stream.
pub(crate) struct Entry {
    pub(crate) stream: String,
    pub(crate) id: String,
    pub(crate) json: String,
}

/// Reads the reply of `XREADGROUP`: stream, id, `e`, event, id, `e`, event, …, stream, …; no entries are one nil.
pub(crate) fn read_entries(reply: &[RedisResult]) -> Vec<Entry> {
    let texts: Vec<_> = reply.iter().filter_map(as_text).collect();
    let (mut entries, mut stream, mut rest) = (Vec::new(), "", texts.as_slice());
    while let [first, behind @ ..] = rest {
        rest = behind;
        if first.starts_with("sugang:") {
            stream = first;
            continue;
        }
        let fields = fields_of(rest, |next| next.starts_with("sugang:"));
        rest = rest.get(fields.len()..).unwrap_or_default();
        entries.push(entry(stream, first, fields));
    }
    entries
}

/// Reads the reply of `XAUTOCLAIM`: where to go on, the claimed entries, and the ids of those that were deleted
/// meanwhile.
pub(crate) fn read_claimed(stream: &str, reply: &[RedisResult]) -> (String, Vec<Entry>) {
    let texts: Vec<_> = reply.iter().filter_map(as_text).collect();
    let [next, rest @ ..] = texts.as_slice() else { return ("0-0".to_owned(), vec![]) };
    let (mut entries, mut rest) = (Vec::new(), rest);
    while let [id, behind @ ..] = rest {
        let fields = fields_of(behind, |_| false);
        rest = behind.get(fields.len()..).unwrap_or_default();
        if !fields.is_empty() {
            entries.push(entry(stream, id, fields));
        }
    }
    (next.to_string(), entries)
}

/// The fields of an entry and their values: up to the next id, or to what `ends` it otherwise.
fn fields_of<T: AsRef<str>>(rest: &[T], ends: impl Fn(&str) -> bool) -> &[T] {
    let is_field = |pair: &&[T]| {
        pair.first().is_some_and(|field| parts(field.as_ref()).is_none() && !ends(field.as_ref()))
    };
    let fields = rest.chunks(2).take_while(is_field).map(<[T]>::len).sum();
    rest.get(..fields).unwrap_or_default()
}

fn entry<T: AsRef<str>>(stream: &str, id: impl AsRef<str>, fields: &[T]) -> Entry {
    let json = match fields {
        [field, json] if field.as_ref() == "e" => json.as_ref().to_owned(),
        // Nobody's: it goes where everything goes that is not an event.
        other => other.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "),
    };
    Entry { stream: stream.to_owned(), id: id.as_ref().to_owned(), json }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(parts: &[&str]) -> Vec<RedisResult> {
        parts.iter().map(|p| RedisResult::Binary(p.as_bytes().to_vec())).collect()
    }

    fn shown(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|e| format!("{} {} {}", e.stream, e.id, e.json)).collect()
    }

    #[test]
    fn a_flattened_reply_of_two_streams_is_read_entry_by_entry() {
        let (pay, order) = ("sugang:events:pay", "sugang:events:order");
        let entries =
            read_entries(&reply(&[pay, "1-0", "e", "{1}", "1-1", "e", "{2}", order, "2-0", "e", "{3}"]));
        assert_eq!(
            shown(&entries),
            ["sugang:events:pay 1-0 {1}", "sugang:events:pay 1-1 {2}", "sugang:events:order 2-0 {3}"]
        );
        assert!(read_entries(&[RedisResult::Nil]).is_empty());
    }

    #[test]
    fn an_entry_of_somebody_else_leaves_its_neighbours_as_they_are() {
        let foreign =
            ["sugang:events:pay", "1-0", "a", "1", "b", "2", "1-1", "e", "{2}", "1-2", "x", "{3}", "1-3"];
        let mut parts = reply(&foreign);
        parts.extend([RedisResult::Binary(b"e".to_vec()), RedisResult::Binary(vec![0xff])]);
        parts.extend(reply(&["1-4", "e", "{5}"]));
        let ids = ["1-0 a 1 b 2", "1-1 {2}", "1-2 x {3}", "1-3 \u{fffd}", "1-4 {5}"];
        assert_eq!(shown(&read_entries(&parts)), ids.map(|shown| format!("sugang:events:pay {shown}")));
    }

    #[test]
    fn claimed_entries_come_with_where_to_go_on_and_without_those_that_were_deleted() {
        let parts = ["7-0", "1-0", "e", "{1}", "2-0", "a", "1", "b", "2", "3-0", "e", "{3}", "4-0", "5-0"];
        let (next, entries) = read_claimed("s", &reply(&parts));
        assert_eq!(next, "7-0");
        assert_eq!(shown(&entries), ["s 1-0 {1}", "s 2-0 a 1 b 2", "s 3-0 {3}"]);
        let (next, entries) = read_claimed("s", &reply(&["0-0"]));
        assert_eq!((next.as_str(), entries.len()), ("0-0", 0));
    }
}
