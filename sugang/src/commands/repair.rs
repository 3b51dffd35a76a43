//! `sugang replay` and `sugang rebuild`.

use anyhow::Result;

use super::count;
use crate::cli::Replay;
use crate::place::StoresPlace;

pub(crate) fn replay(options: &Replay) -> Result<()> {
    let marked = operations::replay(&options.stores.stores()?, &options.contexts, options.since)?;
    for (context, events) in &marked {
        println!("{context}: {} to be sent again", count(*events, "event"));
    }
    if marked.iter().any(|(_, events)| *events > 0) {
        println!("They are sent with the next tick, a few hundred at a time, if the system runs.");
    }
    Ok(())
}

pub(crate) fn rebuild_information(place: &StoresPlace) -> Result<()> {
    let begun = std::time::Instant::now();
    let rebuilt = operations::rebuild_information(&place.stores()?)?;
    println!(
        "The view of {} was made again from {} in {:.1?} ({} of them came in meanwhile).",
        count(rebuilt.rows, "order"),
        count(rebuilt.events, "event"),
        begun.elapsed(),
        rebuilt.meanwhile
    );
    match (rebuilt.mended, rebuilt.removed) {
        (0, 0) => println!("Nothing differed."),
        (mended, removed) => println!(
            "{} differed or was missing, {} stood for nothing; all of it is right now.",
            count(mended, "row"),
            count(removed, "row")
        ),
    }
    for event in &rebuilt.unreadable {
        println!("The event {event} cannot be read, and is not in the view; `sugang check` says why.");
    }
    Ok(())
}

pub(crate) fn rebuild_lists(context: &str, place: &StoresPlace) -> Result<()> {
    let begun = std::time::Instant::now();
    let remade = operations::rebuild_lists(&place.stores()?, context)?;
    println!(
        "The lists of {context} were made again from {} in {:.1?}.",
        count(remade.events, "event"),
        begun.elapsed()
    );
    match (remade.mended, remade.removed) {
        (0, 0) => println!("Nothing differed."),
        (mended, removed) => println!(
            "{} differed or was missing, {} stood for nothing or said something else; all of it is right now.",
            count(mended, "row"),
            count(removed, "row")
        ),
    }
    Ok(())
}
