//! `sugang events`: the dead letters.

use anyhow::{Result, bail};
use operations::DeadLetter;

use super::count;
use crate::cli::{Action, Events, Which};

pub(crate) fn events(options: &Events) -> Result<()> {
    let redis = options.redis.required(&options.state_dir)?;
    let letters = operations::dead_letters(&redis, options.group.as_deref())?;
    match &options.action {
        Action::List => list(&letters),
        Action::Show { id } => show(&operations::find(letters, id)?),
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
                println!("{} {}", if done { "dropped" } else { "already gone:" }, name(&letter));
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
                println!("There are no dead letters.");
            }
            Ok(letters)
        }
    }
}

/// `1732300000000-0: Paid of order 1113, given up by reservation`.
fn name(letter: &DeadLetter) -> String {
    format!("{}: {}, given up by {}", letter.id, letter.what(), letter.group)
}

fn list(letters: &[DeadLetter]) {
    if letters.is_empty() {
        println!("There are no dead letters.");
        return;
    }
    for letter in letters {
        println!("{}", name(letter));
        println!("    at {}, from the events of {}: {}", letter.at, letter.context, letter.reason);
    }
    println!(
        "\n{}. What can be done about one: sugang events show ID",
        count(letters.len() as u64, "dead letter")
    );
}

fn show(letter: &DeadLetter) {
    println!("{}", name(letter));
    println!("given up   {}", letter.at);
    println!("entry      {} of sugang:events:{}", letter.entry, letter.context);
    println!("because    {}", letter.reason);
    println!("\n{}\n", letter.advice());
    println!("    sugang events replay {} --group {}", letter.id, letter.group);
    println!("    sugang events drop {} --group {}", letter.id, letter.group);
    println!("\n{}", letter.text);
}

fn replay(redis: &str, letter: &DeadLetter) -> Result<()> {
    let name = name(letter);
    let done = operations::replay_dead_letter(redis, letter)?;
    println!("{} {name}", if done { "handed back, to its group alone:" } else { "already gone:" });
    Ok(())
}
