//! Named places in the code at which a test may have everything stop, and guards that it may switch off.
//!
//! What is promised under crashes has to be attacked exactly where a crash hurts: after a commit and before its
//! event is told, say. Such a place calls [`point`]; a rule that prevents harm, and whose absence a test is to
//! notice, asks [`guard`]. Which ones there are is listed in `docs/reliability.md`.
//!
//! It can also be the release that comes next, whose schema has one more column ([`next_column`]), so that one release can
//! be replaced by another in a test.
//!
//! All of this exists only in a build with this crate's feature `on`, which the tests make for themselves
//! (`xtask::build::with_faults`). Without it a point is nothing and a guard is the constant `true`, so that a
//! released component can have no fault switched on; a test looks into the released files for it.

#[cfg(any(test, feature = "on"))]
#[cfg_attr(not(feature = "on"), allow(dead_code, unreachable_pub, reason = "then it is only tested"))]
mod on;
#[cfg(feature = "on")]
pub use on::{go_without, guard, loosened, next_column, point};

#[cfg(not(feature = "on"))]
mod off {
    use std::borrow::Cow;

    /// A place called `<scope>.<name>`: nothing.
    #[inline(always)]
    pub async fn point(_scope: &str, _name: &str) {}

    /// Whether the guard of this name is in force: always.
    #[inline(always)]
    #[must_use]
    pub const fn guard(_name: &str) -> bool {
        true
    }

    /// A statement of a schema, as it is.
    #[inline(always)]
    #[must_use]
    pub const fn loosened(statement: &'static str) -> Cow<'static, str> {
        Cow::Borrowed(statement)
    }

    /// The table of the store under this label that has one more column in a later release: none.
    #[inline(always)]
    #[must_use]
    pub fn next_column(_label: &str) -> Option<String> {
        None
    }
}
#[cfg(not(feature = "on"))]
pub use off::{guard, loosened, next_column, point};
