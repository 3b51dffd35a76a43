//! The names in Redis.

/// The stream of a context's events.
pub fn stream(context: &str) -> String {
    format!("sugang:events:{context}")
}

/// The channel on which a consumer is woken.
pub fn wake(consumer: &str) -> String {
    format!("sugang:wake:{consumer}")
}

/// The channel on which every worker hears about once a second that time has passed.
pub const TICK: &str = "sugang:tick";

/// What a group failed to handle every time.
pub fn dead_letters(group: &str) -> String {
    format!("sugang:dead:{group}")
}

/// Dead letters that were replayed, for their group alone. An entry is gone once it is handled. (Under
/// `sugang:replayed:…` the release that kept an outbox has something else.)
pub fn replayed(group: &str) -> String {
    format!("sugang:replay:{group}")
}

/// How often the handling of an event by a group was begun without success.
pub fn attempts(group: &str) -> String {
    format!("sugang:attempts:{group}")
}
