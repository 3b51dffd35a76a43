//! What templates write by `|`.

use askama::filters::Safe;

/// The icon of that name.
#[askama::filter_fn]
pub(crate) fn icon(
    name: impl std::fmt::Display,
    _: &dyn askama::Values,
) -> askama::Result<Safe<&'static str>> {
    Ok(Safe(crate::icons::icon(&name.to_string())))
}
