//! The build in which faults can be had. They are chosen by the environment of the component: `SUGANG_FAULT`,
//! `SUGANG_WITHOUT` and `SUGANG_NEXT_COLUMN` (the host's `--env NAME=VALUE`).

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::env;
use std::time::Duration;

thread_local! {
    /// The guards that this thread goes without.
    static WITHOUT: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    /// How often the chosen point has been passed in this instance.
    static PASSED: Cell<u64> = const { Cell::new(0) };
}

/// A place called `<scope>.<name>`. Where `SUGANG_FAULT` names it (`order.committed`, or `order.committed*3` for
/// the third time that an instance comes by), it says so on the standard error output and never comes back:
/// whoever reads that line may kill the process, and nothing that was to follow has happened.
pub async fn point(scope: &str, name: &str) {
    let Ok(chosen) = env::var("SUGANG_FAULT") else { return };
    let Some(time) = time_to_stop(&chosen, scope, name) else { return };
    let passed = PASSED.get() + 1;
    PASSED.set(passed);
    if passed == time {
        eprintln!("fault point reached: {scope}.{name}");
        // Not for ever at once: a component that waits for nothing is ended as broken.
        loop {
            spin_sdk::time::sleep(Duration::from_secs(3600)).await;
        }
    }
}

/// At which passing the point `<scope>.<name>` is to stop, if it is the one that was chosen.
fn time_to_stop(chosen: &str, scope: &str, name: &str) -> Option<u64> {
    let (point, time) = match chosen.split_once('*') {
        Some((point, time)) => (point, time.parse().ok()?),
        None => (chosen, 1),
    };
    (point.strip_prefix(scope)?.strip_prefix('.')? == name).then_some(time)
}

/// From now on this thread goes without these guards, and with all others: for a native process that plays many
/// histories, where the environment is everybody's.
pub fn go_without(guards: &[&'static str]) {
    WITHOUT.set(guards.to_vec());
}

/// Whether the guard of this name is in force: unless `SUGANG_WITHOUT` lists it, separated by commas.
#[must_use]
pub fn guard(name: &str) -> bool {
    if WITHOUT.with_borrow(|without| without.contains(&name)) {
        return false;
    }
    env::var("SUGANG_WITHOUT").map_or(true, |without| !lists(&without, name))
}

fn lists(without: &str, name: &str) -> bool {
    without.split(',').any(|listed| listed.trim() == name)
}

/// A statement of a schema, without the lines that end in `-- guard: <name>` for a guard that is switched off.
#[must_use]
pub fn loosened(statement: &'static str) -> Cow<'static, str> {
    Cow::Owned(without_lines(statement, guard))
}

fn without_lines(statement: &str, guard: impl Fn(&str) -> bool) -> String {
    let kept = statement
        .lines()
        .filter(|line| line.split_once("-- guard: ").is_none_or(|(_, name)| guard(name.trim())));
    kept.collect::<Vec<_>>().join("\n")
}

/// The table of the store under this label that has one more column in the release that comes next, which is what this is
/// where `SUGANG_NEXT_COLUMN` lists it: `order.orders,pay.pays`.
#[must_use]
pub fn next_column(label: &str) -> Option<String> {
    table_in(&env::var("SUGANG_NEXT_COLUMN").ok()?, label).map(str::to_owned)
}

fn table_in<'a>(listed: &'a str, label: &str) -> Option<&'a str> {
    listed.split(',').find_map(|table| table.trim().strip_prefix(label)?.strip_prefix('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_chosen_point_stops_and_only_at_the_chosen_time() {
        assert_eq!(time_to_stop("order.committed", "order", "committed"), Some(1));
        assert_eq!(time_to_stop("order.relay.appended*3", "order", "relay.appended"), Some(3));
        assert_eq!(time_to_stop("order.committed", "pay", "committed"), None);
        assert_eq!(time_to_stop("order.committed", "order", "commit"), None);
        assert_eq!(time_to_stop("order.committed*x", "order", "committed"), None);
    }

    #[test]
    fn a_guard_is_off_where_it_is_listed_by_its_whole_name() {
        assert!(lists("drain.reclaim, pay.closed", "pay.closed"));
        assert!(!lists("drain.reclaim,pay.closed", "pay"));
        assert!(!lists("", "pay.closed"));
    }

    #[test]
    fn a_later_release_has_its_column_in_the_store_that_is_named() {
        let listed = "order.orders, pay.pays";
        assert_eq!(table_in(listed, "pay"), Some("pays"));
        assert_eq!(table_in(listed, "order"), Some("orders"));
        assert_eq!(table_in(listed, "ord"), None);
    }

    #[test]
    fn a_schema_loses_the_lines_of_a_guard_that_is_off() {
        let table = "CREATE TABLE t (\n    a,\n    CHECK (a > 0), -- guard: t.a\n    b\n)";
        assert_eq!(without_lines(table, |name| name != "t.a"), "CREATE TABLE t (\n    a,\n    b\n)");
        assert_eq!(without_lines(table, |_| true), table);
    }
}
