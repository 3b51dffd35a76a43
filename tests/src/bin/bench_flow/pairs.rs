//! Two systems measured in turn, so that whatever else the machine does meets both.

use std::path::PathBuf;

use anyhow::Result;
use sugang_tests::Engine;
use xtask::bench::Flow;

use crate::cost::{COSTS, Cost};
use crate::measure::{Measured, measure};
use crate::report::shown;
use crate::system::System;

/// What is compared, in the order it is printed; none where a system does not tell.
type Row = (String, Option<f64>);

/// One of the two.
pub(crate) struct Candidate {
    /// What it is called.
    pub(crate) name: String,
    /// What was built there is measured.
    pub(crate) root: PathBuf,
    /// What its stores are on.
    pub(crate) engine: Engine,
    /// Whether everybody is asked who they are, and each order is a member's who is signed in.
    pub(crate) signed_in: bool,
}

/// Measures so many pairs and prints the medians with the ratio of the second to the first; says whether no order was lost.
pub(crate) fn compare(flow: &Flow, pair: &[Candidate; 2]) -> Result<bool> {
    let [first, second] = pair;
    let (mut theirs, mut ours, mut complete) = (Vec::new(), Vec::new(), true);
    for pair in 1..=flow.pairs {
        // Whoever comes second may find the machine warmer, or its disk busier: they take turns at that.
        let they_begin = pair % 2 == 1;
        for is_first in [they_begin, !they_begin] {
            let (candidate, rows) = match is_first {
                true => (first, &mut theirs),
                false => (second, &mut ours),
            };
            println!("pair {pair} of {}: {}", flow.pairs, candidate.name);
            let measured = measure(flow, &System::start_compiled(candidate)?, candidate.signed_in)?;
            if measured.catch_up.is_none() {
                println!("  not every order came into the view");
                complete = false;
            }
            let measured = rows_of(&measured);
            for (name, value) in measured.iter().take(SHOWN_AT_ONCE) {
                println!("  {name:<44}{:>10}", shown(*value));
            }
            rows.push(measured);
        }
    }
    print_medians([&first.name, &second.name], &theirs, &ours);
    Ok(complete)
}

/// How many rows are shown of every measurement as soon as it is made.
const SHOWN_AT_ONCE: usize = 4;

fn rows_of(measured: &Measured) -> Vec<Row> {
    let Measured { load, single, per_order, alone, .. } = measured;
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1_000.0;
    let from = load.connections;
    let mut rows = vec![
        (format!("orders/s, {from} connections"), Some(load.rate())),
        (format!("p50, {from} connections (ms)"), Some(milliseconds(load.percentile(50)))),
        (
            "p50, a single connection (ms)".to_owned(),
            single.as_ref().map(|it| milliseconds(it.percentile(50))),
        ),
        ("an order under load: processor, all (ms)".to_owned(), per_order.processor()),
        (format!("p99, {from} connections (ms)"), Some(milliseconds(load.percentile(99)))),
        ("until all is in the view (ms)".to_owned(), measured.catch_up.map(milliseconds)),
    ];
    let costs = |case: &str, cost: &Cost| -> Vec<Row> {
        COSTS.iter().zip(cost.0).map(|(name, cost)| (format!("{case}: {name}"), cost)).collect()
    };
    rows.extend(costs("an order under load", per_order));
    rows.extend(alone.iter().flat_map(|alone| costs("an order alone", alone)));
    let memory = [("idle", measured.idle_memory), ("after rest", measured.rested_memory)];
    rows.extend(memory.map(|(when, memory)| {
        (format!("memory, {when} (MiB)"), memory.map(|memory| memory.all() as f64 / 1024.0 / 1024.0))
    }));
    rows
}

fn print_medians(names: [&str; 2], theirs: &[Vec<Row>], ours: &[Vec<Row>]) {
    let [first, second] = names;
    println!("\n{:<64}{first:>12}{second:>12}{:>10}", "medians", "ratio");
    let Some(first) = ours.first() else { return };
    for (index, (row, _)) in first.iter().enumerate() {
        let median_of = |all: &[Vec<Row>]| {
            median(all.iter().filter_map(|rows| rows.get(index)).filter_map(|(_, value)| *value).collect())
        };
        let (there, here) = (median_of(theirs), median_of(ours));
        let ratio = there.zip(here).filter(|(there, _)| *there != 0.0).map(|(there, here)| here / there);
        println!("  {row:<62}{:>12}{:>12}{:>10}", shown(there), shown(here), shown(ratio));
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
