//! What an operator does beside the running system: hold the stores against each other, repair, keep copies.
//!
//! Each command of `sugang` but `up` is here; the binary only reads the command line and prints.
//!
//! - [`check`]: says in words where the stores, the card company's books and the event log disagree.
//! - [`dead_letters`], [`replay_dead_letter`], [`drop_dead_letter`]: what a group failed to handle every time.
//! - [`replay`]: sends events again from the stores.
//! - [`rebuild_lists`]: makes the lists of a context that decides again from its events.
//! - [`rebuild_information`]: makes the view again beside the live one, and swaps the two.
//! - [`backup`], [`restore`]: all stores on SQLite as they were at one moment.
//! - [`verify_trail`]: an audit trail that was exported, without the system that it is of.
//! - [`move_stores`]: from SQLite to PostgreSQL.
//!
//! It opens the stores and the Redis that the system itself uses, while it runs. What the rules are is
//! said in `invariants` a second time, on purpose: a check that shared the components' code would share their
//! mistakes. What makes lists and the view again is the components' own.

mod backup;
mod check;
mod dead_letters;
mod event_log;
mod facts;
mod invariants;
mod lists;
mod load;
mod move_store;
mod opened;
mod rebuild;
mod replay;
mod restore;
mod scratch;
mod soundness;
mod stopped;
mod stores;
#[cfg(test)]
mod testing;
mod trail;

pub use backup::{Copied, Manifest, backup};
pub use check::{Report, Violation, check};
pub use dead_letters::{dead_letters, drop_dead_letter, find, replay_dead_letter};
pub use event_log::Redis;
pub use eventlog::DeadLetter;
/// A moment, as `--since` takes it.
pub use kernel::Timestamp;
pub use lists::{Remade, rebuild_lists};
pub use move_store::{Move, Moved, move_stores};
pub use rebuild::{Rebuilt, rebuild_information};
pub use replay::replay;
pub use restore::{RestoreOptions, Restored, ensure_restored, restore};
pub use stores::{LABELS, Place, Stores};
pub use trail::{End, verify_trail};
