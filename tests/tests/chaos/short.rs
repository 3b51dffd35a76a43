//! A short run with a fixed seed, in which every kind of fault happens.

use std::time::Duration;

use sugang_tests::chaos::fault::Lane;
use sugang_tests::chaos::report::Report;
use sugang_tests::chaos::system::Settings;
use sugang_tests::chaos::{Plan, run};
use xtask::workspace;

/// A run of its own for the lanes named. What it leaves is kept where it failed.
fn broken_by(name: &str, seed: u64, lanes: &[Lane], load: Duration) -> Report {
    let folder = workspace::target_dir().join("chaos").join(name);
    let settings = Settings::new(folder.clone()).variable("payment_due_minutes", 1);
    let plan = Plan {
        seed,
        load,
        round: load,
        rate: 10.0,
        lanes: lanes.to_vec(),
        settings: Settings { postgres: lanes.contains(&Lane::Database), ..settings },
        talkative: false,
    };
    let report = run(&plan).expect("the suite to go on");
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    std::fs::remove_dir_all(folder).expect("to tidy up");
    report
}

/// Which of these kinds did not happen.
fn missing<'a>(report: &Report, kinds: &[&'a str]) -> Vec<&'a str> {
    kinds.iter().copied().filter(|kind| !report.faults.contains_key(*kind)).collect()
}

#[test]
fn nothing_is_lost_doubled_or_oversold_while_processes_and_redis_break() {
    let report = broken_by("processes", 3, &[Lane::Processes, Lane::Redis], Duration::from_secs(100));
    let kinds = [
        "process killed",
        "all processes killed",
        "process frozen",
        "disk full",
        "gateway slow",
        "Redis killed",
        "Redis lost its last writes",
        "Redis emptied",
        "stream deleted",
        "group forgotten",
        "Redis frozen",
        "Redis takes no writes",
        "connections to Redis cut",
        "wake-ups dropped",
        "wake-ups repeated",
        "wake-ups delayed",
        "no tick",
    ];
    assert_eq!(missing(&report, &kinds), [""; 0], "{report}");
    assert!(report.orders > 200, "{report}");
}

#[test]
fn nothing_is_lost_doubled_or_oversold_while_processes_die_at_named_points_and_pay_misbehaves() {
    let report = broken_by("points", 4, &[Lane::Points, Lane::PayAndStores], Duration::from_secs(90));
    let kinds = [
        "pay reached late",
        "pay answering after the deadline",
        "pay answering 500",
        "pay answering garbage",
        "pay unreachable",
        "pay's answer cut off",
        "pay asked twice",
        "pay asked twice at once",
        "store locked",
        "events replayed",
    ];
    assert_eq!(missing(&report, &kinds), [""; 0], "{report}");
    let points = report.faults.keys().filter(|kind| kind.starts_with("killed at ")).count();
    assert!(points >= 15, "{report}");
    assert!(report.orders > 200, "{report}");
}

#[test]
fn nothing_is_lost_doubled_or_oversold_while_postgresql_breaks() {
    let report = broken_by("postgres", 5, &[Lane::Database], Duration::from_secs(80));
    let kinds = [
        "PostgreSQL killed",
        "PostgreSQL stopped at once",
        "connections to PostgreSQL cut",
        "connection to PostgreSQL frozen",
        "PostgreSQL takes no writes",
        "PostgreSQL heard no more",
        "PostgreSQL out of reach",
        "serialization failures",
        "deadlocks",
        "store locked",
    ];
    assert_eq!(missing(&report, &kinds), [""; 0], "{report}");
    assert!(report.orders > 100, "{report}");
}
