//! `sugang backup` and `sugang restore`.

use anyhow::Result;
use operations::{Manifest, RestoreOptions};

use super::count;
use crate::cli::{Backup, Restore};
use crate::output::print;

pub(crate) fn backup(options: &Backup) -> Result<()> {
    let begun = std::time::Instant::now();
    let manifest = operations::backup(&options.stores.stores()?, &options.target, options.sqlite_only)?;
    print(&format!(
        "{} holds the system as it was at {}:\n{}Taken in {:.1?}, in which nobody could write for {} ms.\n",
        options.target.display(),
        manifest.taken_at,
        contents(&manifest),
        begun.elapsed(),
        manifest.held_millis
    ))
}

pub(crate) fn restore(options: &Restore) -> Result<()> {
    let state = &options.stores.state_dir;
    let redis = if options.without_redis { None } else { options.redis.find(state) };
    let (force, keep_outside, sqlite_only) = (options.force, options.keep_outside, options.sqlite_only);
    let how = RestoreOptions { force, keep_outside, sqlite_only };
    let restored =
        operations::restore(&options.source, &options.stores.stores_to_be()?, state, redis.as_ref(), how)?;
    let mut text =
        format!("{} holds the system as it was at {}:\n", state.display(), restored.manifest.taken_at);
    text += &contents(&restored.manifest);
    for folder in &restored.moved_to {
        text += &format!("What was there is in {} now.\n", folder.display());
    }
    if redis.is_none() {
        text += "No Redis was looked at. If the system has one already, delete its keys that begin with `sugang:` before it starts.\n";
    }
    print(&format!(
        "{text}{} will be sent again when the system starts. Once that has come to rest: sugang check --grace 0\n",
        count(restored.events, "event")
    ))
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
