//! `sugang replay` and `sugang rebuild`.

use anyhow::Result;

use super::count;
use crate::cli::Replay;
use crate::output::print;
use crate::place::StoresPlace;

pub(crate) fn replay(options: &Replay) -> Result<()> {
    let marked = operations::replay(&options.stores.stores()?, &options.contexts, options.since)?;
    let mut text = String::new();
    for (context, events) in &marked {
        text += &format!("{context}: {} to be sent again\n", count(*events, "event"));
    }
    if marked.iter().any(|(_, events)| *events > 0) {
        text += "They are sent with the next tick, a few hundred at a time, if the system runs.\n";
    }
    print(&text)
}

pub(crate) fn rebuild_information(place: &StoresPlace) -> Result<()> {
    let begun = std::time::Instant::now();
    let rebuilt = operations::rebuild_information(&place.stores()?)?;
    let mut text = format!(
        "The view of {} was made again from {} in {:.1?} ({} of them came in meanwhile).\n",
        count(rebuilt.rows, "order"),
        count(rebuilt.events, "event"),
        begun.elapsed(),
        rebuilt.meanwhile
    );
    text += &differed(rebuilt.mended, rebuilt.removed, "stood for nothing");
    for event in &rebuilt.unreadable {
        text +=
            &format!("The event {event} cannot be read, and is not in the view; `sugang check` says why.\n");
    }
    print(&text)
}

pub(crate) fn rebuild_lists(context: &str, place: &StoresPlace) -> Result<()> {
    let begun = std::time::Instant::now();
    let remade = operations::rebuild_lists(&place.stores()?, context)?;
    print(&format!(
        "The lists of {context} were made again from {} in {:.1?}.\n{}",
        count(remade.events, "event"),
        begun.elapsed(),
        differed(remade.mended, remade.removed, "stood for nothing or said something else")
    ))
}

fn differed(mended: u64, removed: u64, because: &str) -> String {
    if (mended, removed) == (0, 0) {
        return "Nothing differed.\n".to_owned();
    }
    let (mended, removed) = (count(mended, "row"), count(removed, "row"));
    format!("{mended} differed or was missing, {removed} {because}; all of it is right now.\n")
}
