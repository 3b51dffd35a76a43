//! `sugang events`: the dead letters.

use anyhow::{Result, bail};
use operations::DeadLetter;

use super::count;
use crate::cli::{Action, Events, Which};
use crate::output::print;

pub(crate) fn events(options: &Events) -> Result<()> {
    let redis = options.redis.required(&options.state_dir)?.url;
    let letters = operations::dead_letters(&redis, options.group.as_deref())?;
    match &options.action {
        Action::List => print(&list(&letters))?,
        Action::Show { id } => print(&show(&operations::find(letters, id)?))?,
        Action::Replay(which) => {
            for letter in chosen(letters, which)? {
                replay(&redis, &letter)?;
            }
        }
        Action::Drop { which, yes } => {
            if which.all && !yes {
                bail!(
                    "this would drop {} for good. If that is meant, say --all --yes",
                    count(letters.len() as u64, "dead letter")
                );
            }
            for letter in chosen(letters, which)? {
                let done = operations::drop_dead_letter(&redis, &letter)?;
                print(&format!("{} {}\n", if done { "dropped" } else { "already gone:" }, name(&letter)))?;
            }
        }
    }
    Ok(())
}

fn chosen(letters: Vec<DeadLetter>, which: &Which) -> Result<Vec<DeadLetter>> {
    match &which.id {
        Some(id) => Ok(vec![operations::find(letters, id)?]),
        None => {
            if letters.is_empty() {
                print(NONE)?;
            }
            Ok(letters)
        }
    }
}

const NONE: &str = "There are no dead letters.\n";

/// `1732300000000-0: Paid of order 1113, given up by reservation`.
fn name(letter: &DeadLetter) -> String {
    format!("{}: {}, given up by {}", letter.id, letter.what(), letter.group)
}

fn list(letters: &[DeadLetter]) -> String {
    if letters.is_empty() {
        return NONE.to_owned();
    }
    let mut text = String::new();
    for letter in letters {
        let DeadLetter { at, context, reason, .. } = letter;
        text += &format!("{}\n    at {at}, from the events of {context}: {reason}\n", name(letter));
    }
    let count = count(letters.len() as u64, "dead letter");
    text + &format!("\n{count}. What can be done about one: sugang events show ID\n")
}

fn show(letter: &DeadLetter) -> String {
    let DeadLetter { group, id, context, entry, reason, at, text } = letter;
    format!(
        "{}
given up   {at}
entry      {entry} of sugang:events:{context}
because    {reason}

{}

    sugang events replay {id} --group {group}
    sugang events drop {id} --group {group}

{text}
",
        name(letter),
        letter.cause().advice()
    )
}

fn replay(redis: &str, letter: &DeadLetter) -> Result<()> {
    let name = name(letter);
    let done = operations::replay_dead_letter(redis, letter)?;
    print(&format!("{} {name}\n", if done { "handed back, to its group alone:" } else { "already gone:" }))
}
