//! Named places in the code at which a test may have everything stop, and guards that it may switch off.
//!
//! What is promised under crashes has to be attacked exactly where a crash hurts: after a commit and before its
//! event is told, say. Such a place calls [`point`]; a rule that prevents harm, and whose absence a test is to
//! notice, asks [`guard`]. Which ones there are is listed in `docs/reliability.md`.
//!
//! All of this exists only in a build with this crate's feature `on`, which the tests make for themselves
//! (`xtask::build::with_faults`). Without it a point is nothing and a guard is the constant `true`, so that a
//! released component can have no fault switched on; a test looks into the released files for it.

#[cfg(any(test, feature = "on"))]
#[cfg_attr(not(feature = "on"), allow(dead_code, unreachable_pub, reason = "then it is only tested"))]
mod on;
#[cfg(feature = "on")]
pub use on::{go_without, guard, loosened, point};

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
}
#[cfg(not(feature = "on"))]
pub use off::{guard, loosened, point};
