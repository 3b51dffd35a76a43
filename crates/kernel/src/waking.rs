//! Waking a context's worker over HTTP, where no Redis trigger does it: the words that whoever wakes and whoever is woken
//! agree on.

/// What the header with the key is called.
pub const KEY_HEADER: &str = "wake-key";

/// The same as a query parameter, for a scheduler that can send no headers.
pub const KEY_PARAMETER: &str = "key";

/// The message that says that time has passed. Any other says that something was appended to a stream.
pub const TICK: &[u8] = b"tick";

/// The path at which the worker of a context is woken; the context's name follows.
pub const PATH: &str = "/internal/wake/";
