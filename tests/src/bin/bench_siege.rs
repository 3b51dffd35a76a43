//! `cargo xtask bench siege`: the seed's own experiment with its circuit breaker, run against this system.
//!
//! The same tool (siege), the same 70 users for 60 seconds, and the same slow `pay`: 400 ms give or take 220 ms,
//! which is on both sides of the deadline of 610 ms. The one thing that differs is the order: the seed sends number
//! 2 every time, which here is one and the same order; so each request leaves the number to the service and brings a
//! card, and all of them have to be paid. Afterwards the stores are asked what became of every order.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sugang_tests::siege::{self, Besieged};
use sugang_tests::{
    Api, Ground, Host, Options, orders,
    stores::{self, State},
};
use xtask::bench::Siege;

/// How slow the seed's `pay` is, in milliseconds: 400 give or take 220.
const GATEWAY_DELAY_MS: u64 = 400;
const GATEWAY_JITTER_MS: u64 = 220;

/// The deadline of the call to `pay` and what an answer may take beyond it.
const MAX_P99: Duration = Duration::from_millis(610 + 100);

/// How long after the load every order may still be unpaid: what is promised of reconciliation.
const PAID_WITHIN: Duration = Duration::from_secs(120);

/// A course that everybody fits into.
const COURSE: u64 = 9_001;
const CAPACITY: u64 = 100_000;

/// What the seed's README prints of its run.
const SEED: [(&str, &str); 11] = [
    ("Transactions", "110 hits"),
    ("Availability", "86.61 %"),
    ("Elapsed time", "59.78 secs"),
    ("Data transferred", "0.03 MB"),
    ("Response time", "27.41 secs"),
    ("Transaction rate", "1.84 trans/sec"),
    ("Concurrency", "50.43"),
    ("Successful transactions", "110"),
    ("Failed transactions", "17"),
    ("Longest transaction", "35.62"),
    ("Shortest transaction", "1.02"),
];

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    siege: Siege,
}

fn main() -> ExitCode {
    match bench(&Arguments::parse().siege) {
        Ok(report) => {
            println!("{report}");
            if report.demands().iter().all(|(_, _, kept)| *kept) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(siege: &Siege) -> Result<Report> {
    let ground = Ground::try_new()?;
    let options = Options::new()
        .variable("gateway_delay_ms", GATEWAY_DELAY_MS)
        .variable("gateway_jitter_ms", GATEWAY_JITTER_MS)
        .process();
    let host = Host::try_start(&ground, options)?;
    let before = open_course(&host)?;
    println!(
        "{} users for {} s, pay at {GATEWAY_DELAY_MS} ms ± {GATEWAY_JITTER_MS} ms",
        siege.users, siege.seconds
    );
    let besieged = besiege(siege, &host, ground.state())?;
    let ended = Instant::now();
    let all_paid_after = all_paid(ground.state(), ended);
    Ok(Report {
        besieged,
        orders: count(ground.state(), "order", "SELECT COUNT(*) FROM orders")? - before,
        all_paid_after,
        charged_twice: count(
            ground.state(),
            "gateway",
            "SELECT COUNT(*) FROM balances WHERE outstanding > 1",
        )?,
    })
}

/// Opens the course and sees it through its first order, since `order` learns of a course by an event. Gives back
/// how many orders that were.
fn open_course(api: &Api) -> Result<u64> {
    let answer = api.open_course(&orders::course(COURSE, CAPACITY, "automatic"));
    if answer.status != 201 {
        bail!("opening course {COURSE}: {} {}", answer.status, answer.body);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = api.apply(&orders::order(1, COURSE));
        match answer.status {
            201 => return Ok(1),
            _ if Instant::now() > deadline => bail!("the first order: {} {}", answer.status, answer.body),
            _ => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn besiege(siege: &Siege, host: &Host, folder: &Path) -> Result<Besieged> {
    let body = format!(r#"{{"eduNo": {COURSE}, "customerId": 7, "cardNo": "{}"}}"#, orders::GOOD_CARD);
    siege::Siege::lay(folder, &host.url("/orders"), &body, siege.users, siege.seconds)?.end()
}

/// Waits until every order is paid; none where some never are.
fn all_paid(state: &State, since: Instant) -> Option<Duration> {
    let unpaid = "SELECT COUNT(*) FROM orders WHERE pay_status IS DISTINCT FROM 'Paid'";
    while since.elapsed() < PAID_WITHIN {
        if count(state, "order", unpaid).is_ok_and(|unpaid| unpaid == 0) {
            return Some(since.elapsed());
        }
        thread::sleep(Duration::from_millis(50));
    }
    None
}

fn count(state: &State, label: &str, sql: &str) -> Result<u64> {
    let count: i64 = stores::value(state, label, sql)?;
    u64::try_from(count).context("a negative count")
}

/// What came of it.
struct Report {
    besieged: Besieged,
    /// In the store, whether or not siege was still there for the answer.
    orders: u64,
    all_paid_after: Option<Duration>,
    charged_twice: u64,
}

impl Report {
    /// Each demand, what was measured, and whether that is enough.
    fn demands(&self) -> [(String, String, bool); 5] {
        let p99 = self.besieged.answers.percentile(99);
        let lost = self.besieged.answers.accepted.saturating_sub(self.orders);
        let late = self.all_paid_after.map_or("never".to_owned(), |took| format!("after {took:.1?}"));
        [
            (
                "availability 100 %".to_owned(),
                self.besieged.figure("Availability").to_owned(),
                self.besieged.figure("Availability").starts_with("100.00"),
            ),
            (
                "no 5xx".to_owned(),
                format!("{} of {}", self.besieged.answers.server_errors, self.besieged.answers.times.len()),
                self.besieged.answers.server_errors == 0
                    && self.besieged.answers.others == 0
                    && !self.besieged.answers.times.is_empty(),
            ),
            (format!("p99 ≤ {MAX_P99:?}"), format!("{p99:?}"), p99 <= MAX_P99),
            (
                "no order lost".to_owned(),
                format!("{lost} lost of {}", self.besieged.answers.accepted),
                lost == 0,
            ),
            (
                format!("each paid once ≤ {} s after", PAID_WITHIN.as_secs()),
                format!("{late}, {} charged twice", self.charged_twice),
                self.all_paid_after.is_some() && self.charged_twice == 0,
            ),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<26}{:>18}{:>18}", "", "the seed", "here")?;
        for (name, seed) in SEED {
            writeln!(f, "{name:<26}{seed:>18}{:>18}", self.besieged.figure(name))?;
        }
        for percent in [50, 99] {
            let here = format!("{:.2}", self.besieged.answers.percentile(percent).as_secs_f64());
            writeln!(f, "{:<26}{:>18}{here:>18}", format!("p{percent} (secs)"), "-")?;
        }
        writeln!(f, "\nwhat is demanded")?;
        for (demand, measured, kept) in self.demands() {
            writeln!(f, "  {:<8} {demand:<30} {measured}", if kept { "ok" } else { "MISSED" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "Transactions:\t\t         110 hits\nAvailability:\t\t       86.61 %\n";

    fn report(lines: &str, summary: &str, orders: u64) -> Report {
        Report {
            besieged: Besieged::read(lines, summary.to_owned()).unwrap(),
            orders,
            all_paid_after: Some(Duration::ZERO),
            charged_twice: 0,
        }
    }

    #[test]
    fn the_seeds_own_figures_would_not_do() {
        let line = "HTTP/1.1 500    30.60 secs:     271 bytes ==> POST http://127.0.0.1:1/orders\n";
        let kept = report(line, SUMMARY, 1).demands().map(|(_, _, kept)| kept);
        assert_eq!(kept, [false, false, false, true, true]);
        assert_eq!(report(line, SUMMARY, 1).besieged.figure("Transactions"), "110 hits");
    }

    #[test]
    fn an_answer_without_an_order_is_a_lost_one() {
        let line = "HTTP/1.1 201     0.44 secs:     271 bytes ==> POST http://127.0.0.1:1/orders\n";
        assert!(!report(line, SUMMARY, 0).demands()[3].2);
        assert!(report(line, SUMMARY, 1).demands()[3].2);
    }
}
