//! What is printed of what `operations` finds and does.

mod audit;
mod backup;
mod check;
mod events;
mod image;
mod move_store;
mod plug;
mod repair;
mod tick;

pub(crate) use audit::verify_trail;
pub(crate) use backup::{backup, restore};
pub(crate) use check::check;
pub(crate) use events::events;
pub(crate) use image::image;
pub(crate) use move_store::move_store;
pub(crate) use plug::plug;
pub(crate) use repair::{rebuild_information, rebuild_lists, replay};
pub(crate) use tick::tick;

/// `1 order`, `2 orders`.
fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}
