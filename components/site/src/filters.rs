//! What templates write by `|`.

#![expect(unreachable_pub, reason = "the attribute makes what it is given public")]

use askama::filters::Safe;

/// The icon of that name.
#[askama::filter_fn]
pub(crate) fn icon(
    name: impl std::fmt::Display,
    _: &dyn askama::Values,
) -> askama::Result<Safe<&'static str>> {
    Ok(Safe(crate::icons::icon(&name.to_string())))
}
