//! `sugang move-store`.

use anyhow::Result;

use super::count;
use crate::cli::MoveStore;
use crate::output::print;

pub(crate) fn move_store(options: &MoveStore) -> Result<()> {
    let moves = options.stores.moves(&options.labels)?;
    let begun = std::time::Instant::now();
    let mut text = String::new();
    for (label, tables) in operations::move_stores(&moves, &options.stores.state_dir)? {
        text += &format!("The store `{label}` is on PostgreSQL now:\n");
        for (table, rows) in tables {
            text += &format!("  {table}: {}\n", count(rows, "row"));
        }
    }
    print(&format!(
        "{text}Copied and compared in {:.1?}; the files are as they were. Start the application with the same addresses, and \
         once it has come to rest: sugang check --grace 0\n",
        begun.elapsed()
    ))
}
