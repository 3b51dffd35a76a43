//! `sugang backup` and `sugang restore`.

use anyhow::Result;
use operations::{Manifest, RestoreOptions};

use super::count;
use crate::cli::{Backup, Restore};

pub(crate) fn backup(options: &Backup) -> Result<()> {
    let begun = std::time::Instant::now();
    let manifest = operations::backup(&options.stores.stores()?, &options.target)?;
    println!("{} holds the system as it was at {}:", options.target.display(), manifest.taken_at);
    print!("{}", contents(&manifest));
    println!(
        "Taken in {:.1?}, in which nobody could write for {} ms.",
        begun.elapsed(),
        manifest.held_millis
    );
    Ok(())
}

pub(crate) fn restore(options: &Restore) -> Result<()> {
    let state = &options.stores.state_dir;
    let redis = options.redis.find(state);
    let how = RestoreOptions { force: options.force, keep_outside: options.keep_outside };
    let restored =
        operations::restore(&options.source, &options.stores.stores_to_be()?, state, redis.as_deref(), how)?;
    println!("{} holds the system as it was at {}:", state.display(), restored.manifest.taken_at);
    print!("{}", contents(&restored.manifest));
    if let Some(folder) = &restored.moved_to {
        println!("What was there is in {} now.", folder.display());
    }
    println!(
        "{} will be sent again when the system starts. Once that has come to rest: sugang check --grace 0",
        count(restored.events, "event")
    );
    Ok(())
}

fn contents(manifest: &Manifest) -> String {
    let rows = |label: &str, table: &str| {
        manifest.stores.get(label).and_then(|store| store.rows.get(table)).copied().unwrap_or(0)
    };
    let bytes: u64 = manifest.stores.values().map(|store| store.bytes).sum();
    format!(
        "  {}, {}, {}, {}, {:.1} MB in {} stores\n",
        count(rows("order", "orders"), "order"),
        count(rows("pay", "pays"), "payment"),
        count(rows("reservation", "reservations"), "reservation"),
        count(rows("notification", "messages"), "message"),
        bytes as f64 / 1e6,
        manifest.stores.len()
    )
}
