//! `sugang check`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use operations::Report;

use super::count;
use crate::cli::Check;
use crate::output::print;

/// How many violations of one rule are printed; a broken disk can cause one for each order.
const SHOWN: usize = 20;

pub(crate) fn check(options: &Check) -> Result<ExitCode> {
    let begun = Instant::now();
    let redis = options.redis.find(&options.stores.state_dir);
    let report = operations::check(
        &options.stores.stores()?,
        redis.as_ref().map(|redis| &*redis.url),
        options.grace.0,
    )?;
    let mut text =
        if options.json { serde_json::to_string_pretty(&report)? + "\n" } else { in_words(&report) };
    if !options.json {
        text += &format!("Looked at {} in {:.1?}.\n", looked_at(&report), begun.elapsed());
        if redis.is_none() {
            text += "The event log was not looked at: where its Redis is can be said with --redis.\n";
        }
    }
    print(&text)?;
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn in_words(report: &Report) -> String {
    if report.violations.is_empty() {
        return "All is well.\n".to_owned();
    }
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = String::new();
    for violation in &report.violations {
        let of_rule = shown.entry(violation.invariant).or_default();
        *of_rule += 1;
        if *of_rule <= SHOWN {
            text.push_str(&format!("- {violation}\n"));
        }
    }
    for (rule, times) in shown.into_iter().filter(|(_, times)| *times > SHOWN) {
        text.push_str(&format!("- … and {} more of [{rule}] (--json shows all)\n", times - SHOWN));
    }
    let late = |rule: &str| report.violations.iter().any(|violation| violation.invariant == rule);
    if late("outbox") || late("lag") {
        text.push_str(
            "Events are still under way, so that some of this may settle by itself. Look again in a while.\n",
        );
    }
    text
}

fn looked_at(report: &Report) -> String {
    let of = |name: &str| report.counts.get(name).copied().unwrap_or(0);
    format!(
        "{}, {}, {}, {}",
        count(of("orders"), "order"),
        count(of("events"), "event"),
        count(of("messages"), "message"),
        count(of("outstandingCharges"), "charge")
    )
}
