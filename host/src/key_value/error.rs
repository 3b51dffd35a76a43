//! What can go wrong with a store, as components see it.

pub use super::bindings::spin::key_value::key_value::Error;

/// An error that only its text describes.
pub(super) fn other(problem: impl ToString) -> Error {
    Error::Other(problem.to_string())
}
