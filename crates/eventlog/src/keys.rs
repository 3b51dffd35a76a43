//! The names in Redis, and who reads what.

/// The stream of a context's events, and the channel on which its wake-ups are published.
pub(crate) fn stream(context: &str) -> String {
    format!("sugang:events:{context}")
}

/// The lock that lets one relay of a context run at a time, over all instances and replicas.
pub(crate) fn relay_lock(context: &str) -> String {
    format!("sugang:relay:{context}")
}

/// Set by whoever found the relay busy: its holder looks at the outbox once more before letting go.
pub(crate) fn relay_again(context: &str) -> String {
    format!("sugang:relay:{context}:again")
}

/// How often the handling of an event by a group was begun without success.
pub(crate) fn attempts(group: &str) -> String {
    format!("sugang:attempts:{group}")
}

/// Where a group goes on looking for what was left unacknowledged, if it could not look at all of it: the stream and
/// the cursor in it.
pub(crate) fn claimed_up_to(group: &str) -> String {
    format!("sugang:claimed:{group}")
}

/// What a group failed to handle every time.
pub(crate) fn dead_letters(group: &str) -> String {
    format!("sugang:dead:{group}")
}

/// Of dead letters that were replayed into a context's stream when it no longer had their entries: for each new entry
/// the one that it stands for.
pub(crate) fn replayed(context: &str) -> String {
    format!("sugang:replayed:{context}")
}

/// The groups that read a context's stream; it is trimmed only behind all of them. The Redis triggers in
/// `spin.toml` say the same, and a test holds the two together.
pub(crate) fn consumers_of(context: &str) -> &'static [&'static str] {
    match context {
        "order" => &["reservation", "notification", "information"],
        "pay" => &["order", "reservation", "notification", "information"],
        "reservation" => &["order", "pay", "reservation", "notification", "information"],
        _ => &[],
    }
}

/// Why a worker was woken, which is all that the message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// About once a second, on `sugang:tick`: also do what time demands.
    Tick,
    /// Something was appended to a stream.
    Event,
}

impl Wake {
    /// Reads a message: the text `tick`, or `event`, which is the same for all streams so that a runtime may
    /// take several of them for one. Whatever else it is wakes like an event, since looking at the streams
    /// once too often does no harm.
    pub fn of(message: &[u8]) -> Self {
        if message == b"tick" { Self::Tick } else { Self::Event }
    }
}

#[cfg(test)]
mod tests {
    use super::Wake;

    #[test]
    fn anything_but_a_tick_wakes_like_an_event() {
        assert_eq!(Wake::of(b"tick"), Wake::Tick);
        assert_eq!(Wake::of(b"event"), Wake::Event);
        assert_eq!(Wake::of(b"\xff"), Wake::Event);
    }
}
