//! One measurement, as it is printed, and the speed floor that it is held to.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use sugang_tests::stores::{self, State};
use xtask::build::human;

use crate::cost::{COSTS, Cost, Memory, Resident};
use crate::measure::Measured;
use sugang_tests::load::Loaded;

/// The speed floor.
const MIN_RATE: f64 = 400.0;
const MAX_P99: Duration = Duration::from_millis(250);
const MAX_CATCH_UP: Duration = Duration::from_secs(2);

/// A measurement, and what the stores say of it.
pub(crate) struct Report {
    measured: Measured,
    counts: Counts,
}

/// How many orders each store knows, in the state they must all reach.
struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    fn of(state: &State) -> Result<Self> {
        let questions = [
            ("order", "SELECT COUNT(*) FROM events WHERE type = 'Ordered'"),
            ("pay", "SELECT COUNT(*) FROM events WHERE type = 'Paid'"),
            ("gateway", "SELECT COUNT(*) FROM balances WHERE outstanding = 1"),
            ("reservation", "SELECT COUNT(DISTINCT subject) FROM events WHERE type = 'Reserved'"),
            (
                "information",
                "SELECT COUNT(*) FROM infomations WHERE reservation_status = 'Reservation Confirmed'",
            ),
        ];
        let counted: Result<Vec<_>> = questions
            .into_iter()
            .map(|(label, sql)| {
                let count: i64 = stores::value(state, label, sql)?;
                Ok((label, u64::try_from(count).context("a negative count")?))
            })
            .collect();
        Ok(Self(counted?))
    }
}

impl Report {
    /// Adds what the stores in `state` say.
    pub(crate) fn new(measured: Measured, state: &State) -> Result<Self> {
        Ok(Self { measured, counts: Counts::of(state)? })
    }

    fn lost(&self) -> u64 {
        let acknowledged = self.measured.acknowledged;
        self.counts.0.iter().map(|(_, count)| acknowledged.abs_diff(*count)).max().unwrap_or_default()
    }

    /// Whether all that is demanded was kept to.
    pub(crate) fn is_within_floor(&self) -> bool {
        self.floor().iter().all(|(_, _, kept)| *kept)
    }

    /// Each demand, what was measured, and whether that is enough.
    fn floor(&self) -> [(String, String, bool); 4] {
        let Measured { load, catch_up, .. } = &self.measured;
        let p99 = load.percentile(99);
        let caught_up = catch_up.map_or("never".to_owned(), |took| format!("{took:.1?}"));
        [
            (
                format!("rate ≥ {MIN_RATE:.0} orders/s"),
                format!("{:.0} orders/s", load.rate()),
                load.rate() >= MIN_RATE,
            ),
            (format!("p99 ≤ {MAX_P99:?}"), format!("{p99:.1?}"), p99 <= MAX_P99),
            (
                format!("all in the view ≤ {MAX_CATCH_UP:?}"),
                caught_up,
                catch_up.is_some_and(|it| it <= MAX_CATCH_UP),
            ),
            ("none lost".to_owned(), format!("{} lost", self.lost()), self.lost() == 0),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        for load in measured.single.iter().chain([&measured.load]) {
            write_load(f, load)?;
        }
        writeln!(f, "  paid late  {}", measured.delayed)?;
        write_costs(f, measured)?;
        write_memory(f, measured)?;
        writeln!(
            f,
            "\nin the stores, of {} acknowledged ({} while warming up)",
            measured.acknowledged, measured.load.warm
        )?;
        for (label, count) in &self.counts.0 {
            writeln!(f, "  {label:<12} {count}")?;
        }
        writeln!(f, "\nthe floor")?;
        for (demand, shown, kept) in self.floor() {
            writeln!(f, "  {:<8} {demand:<26} {shown}", if kept { "ok" } else { "MISSED" })?;
        }
        Ok(())
    }
}

fn write_load(f: &mut fmt::Formatter<'_>, load: &Loaded) -> fmt::Result {
    let (orders, seconds) = (load.latencies.len(), load.measured_for.as_secs_f64());
    let from = match load.connections {
        1 => "a single connection".to_owned(),
        connections => format!("{connections} connections"),
    };
    writeln!(f, "\n{orders} orders in {seconds:.1} s from {from}")?;
    writeln!(f, "  rate       {:.0} orders/s", load.rate())?;
    for percent in [50, 90, 99] {
        writeln!(f, "  p{percent}        {:.1?}", load.percentile(percent))?;
    }
    writeln!(f, "  max        {:.1?}", load.latencies.last().copied().unwrap_or_default())
}

/// The costs of an order beside those of a tick.
fn write_costs(f: &mut fmt::Formatter<'_>, measured: &Measured) -> fmt::Result {
    let Measured { per_order, alone, idle_second, .. } = measured;
    writeln!(f, "\n{:<36}{:>12}{:>12}{:>14}", "what it costs", "order,", "order,", "idle system,")?;
    writeln!(f, "{:<36}{:>12}{:>12}{:>14}", "", "under load", "alone", "per second")?;
    let of = |cost: &Cost, index: usize| shown(cost.0.get(index).copied().flatten());
    for (index, name) in COSTS.iter().enumerate() {
        let (loaded, idle) = (of(per_order, index), of(idle_second, index));
        let alone = alone.as_ref().map_or("-".to_owned(), |alone| of(alone, index));
        writeln!(f, "  {name:<34}{loaded:>12}{alone:>12}{idle:>14}")?;
    }
    Ok(())
}

fn write_memory(f: &mut fmt::Formatter<'_>, measured: &Measured) -> fmt::Result {
    let (Some(idle), Some(rested)) = (measured.idle_memory, measured.rested_memory) else { return Ok(()) };
    writeln!(f, "\n{:<36}{:>12}{:>12}", "resident memory", "idle", "after rest")?;
    let mut row = |name: &str, of: &dyn Fn(&Memory) -> String| {
        writeln!(f, "  {name:<34}{:>12}{:>12}", of(&idle), of(&rested))
    };
    let proportional = |of: Resident| of.proportional.map_or("-".to_owned(), human);
    row("host", &|memory| human(memory.host.all))?;
    row("host, its part of shared pages", &|memory| proportional(memory.host))?;
    row("redis-server", &|memory| human(memory.redis.all))?;
    row("redis-server, likewise", &|memory| proportional(memory.redis))?;
    row("both", &|memory| human(memory.all()))
}

/// A number with as many digits as are of use; a dash where there is none.
pub(crate) fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_digits_that_are_of_use() {
        let numbers = [None, Some(0.123), Some(12.34), Some(1234.5)];
        assert_eq!(numbers.map(shown), ["-", "0.12", "12.3", "1234"]);
    }
}
