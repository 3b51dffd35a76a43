//! What is printed of what `operations` finds and does.

mod check;
mod events;

pub(crate) use check::check;
pub(crate) use events::events;

/// `1 order`, `2 orders`.
fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}
