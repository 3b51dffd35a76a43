//! `cargo xtask bench flow`: orders as fast as they are taken, from application to view.
//!
//! It measures what a customer sees (how long an answer takes), what everybody sees (how soon an order is in the
//! view), and then counts in the stores themselves that nothing is missing. It starts a system of its own, in a
//! process of its own, so that the load generator and the system share only the machine.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sugang_tests::{Api, Ground, Host, Options, orders, stores};
use xtask::bench::Flow;

/// The speed floor.
const MIN_RATE: f64 = 400.0;
const MAX_P99: Duration = Duration::from_millis(250);
const MAX_CATCH_UP: Duration = Duration::from_secs(2);

/// How long the view is waited for before the rest counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// The courses applied for: enough, at their largest size, that nobody ever waits for a seat.
const COURSES: u64 = 20;
const FIRST_COURSE: u64 = 9_001;
const CAPACITY: u64 = 100_000;

/// The orders that only show that a course is known; the others are counted from 1.
const FIRST_ORDER: u64 = 1_000_000_000;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flow: Flow,
}

fn main() -> ExitCode {
    match bench(&Arguments::parse().flow) {
        Ok(report) => {
            println!("{report}");
            if report.is_within_floor() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(flow: &Flow) -> Result<Report> {
    let ground = Ground::try_new()?;
    let host = Host::try_start(&ground, Options::new().process())?;
    let load = Load::default();
    load.acknowledged.store(open_courses(&host)?, Ordering::Relaxed);

    let (warm, measured) = thread::scope(|scope| {
        let clients: Vec<_> = (0..flow.connections).map(|_| scope.spawn(|| load.drive(&host))).collect();
        show_progress("warming up", flow.warmup, &load);
        let warm = load.acknowledged.load(Ordering::Relaxed);
        load.measuring.store(true, Ordering::Relaxed);
        let started = Instant::now();
        show_progress("measuring", flow.seconds, &load);
        let measured_for = started.elapsed();
        load.over.store(true, Ordering::Relaxed);
        let latencies: Result<Vec<_>> = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
            .collect();
        (warm, latencies.map(|latencies| (latencies.concat(), measured_for)))
    });
    let (mut latencies, measured_for) = measured?;
    latencies.sort_unstable();
    let acknowledged = load.acknowledged.load(Ordering::Relaxed);
    let catch_up = catch_up(&host, acknowledged);
    Ok(Report {
        connections: flow.connections,
        measured_for,
        warm,
        acknowledged,
        delayed: load.delayed.load(Ordering::Relaxed),
        latencies,
        catch_up,
        counts: Counts::of(ground.state())?,
    })
}

/// Opens the courses and sees each through its first order, since `order` learns of a course by an event. Gives back
/// how many orders that were.
fn open_courses(api: &Api) -> Result<u64> {
    for edu_no in FIRST_COURSE..FIRST_COURSE + COURSES {
        let answer = api.open_course(&orders::course(edu_no, CAPACITY, "automatic"));
        if answer.status != 201 {
            bail!("opening course {edu_no}: {} {}", answer.status, answer.body);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = api.apply(&orders::order(FIRST_ORDER + edu_no, edu_no));
            if answer.status == 201 {
                break;
            }
            if Instant::now() > deadline {
                bail!("the first order for course {edu_no}: {} {}", answer.status, answer.body);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(COURSES)
}

/// What all connections share.
#[derive(Default)]
struct Load {
    next: AtomicU64,
    acknowledged: AtomicU64,
    delayed: AtomicU64,
    measuring: AtomicBool,
    over: AtomicBool,
}

impl Load {
    /// One connection: an order, its answer, the next order. Gives back how long each measured answer took.
    fn drive(&self, host: &Api) -> Result<Vec<Duration>> {
        let api = Api::new(host.address());
        let mut latencies = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
            let measuring = self.measuring.load(Ordering::Relaxed);
            let answer = api.apply(&orders::order(id, FIRST_COURSE + id % COURSES));
            if answer.status != 201 {
                self.over.store(true, Ordering::Relaxed);
                bail!("order {id} was answered {}: {}", answer.status, answer.body);
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            if answer.text("/payStatus") != "Paid" {
                self.delayed.fetch_add(1, Ordering::Relaxed);
            }
            if measuring {
                latencies.push(answer.took);
            }
        }
        Ok(latencies)
    }
}

/// Shows for so many seconds how the load is getting on.
fn show_progress(what: &'static str, seconds: u64, load: &Load) {
    let bar = ProgressBar::new(seconds * 10);
    if let Ok(style) = ProgressStyle::with_template("{prefix:<12} {wide_bar} {elapsed}/{msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    let (started, before) = (Instant::now(), load.acknowledged.load(Ordering::Relaxed));
    while started.elapsed() < Duration::from_secs(seconds) && !load.over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        let done = load.acknowledged.load(Ordering::Relaxed) - before;
        bar.set_position(u64::try_from(started.elapsed().as_millis() / 100).unwrap_or(u64::MAX));
        bar.set_message(format!(
            "{seconds}s  {done} orders, {:.0}/s",
            done as f64 / started.elapsed().as_secs_f64()
        ));
    }
    bar.finish();
}

/// How long the view takes, from the end of the load, to show every order confirmed; none if it never does.
fn catch_up(api: &Api, acknowledged: u64) -> Option<Duration> {
    let started = Instant::now();
    while started.elapsed() < LOST_AFTER {
        let confirmed =
            api.get("/infomations?status=Reservation%20Confirmed&size=1").at("/page/totalElements");
        if confirmed.as_u64().is_some_and(|confirmed| confirmed >= acknowledged) {
            return Some(started.elapsed());
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// How many orders each store knows, in the state they must all reach.
struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    fn of(state: &Path) -> Result<Self> {
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

/// What was measured.
struct Report {
    connections: usize,
    measured_for: Duration,
    /// Acknowledged before the measurement.
    warm: u64,
    /// Acknowledged in all.
    acknowledged: u64,
    /// Of those, accepted without the payment having been made in time.
    delayed: u64,
    latencies: Vec<Duration>,
    catch_up: Option<Duration>,
    counts: Counts,
}

impl Report {
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.measured_for.as_secs_f64()
    }

    /// The latency that so many per cent of the answers kept to.
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((self.latencies.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    fn lost(&self) -> u64 {
        self.counts.0.iter().map(|(_, count)| self.acknowledged.abs_diff(*count)).max().unwrap_or_default()
    }

    fn is_within_floor(&self) -> bool {
        self.floor().iter().all(|(_, _, kept)| *kept)
    }

    /// Each demand, what was measured, and whether that is enough.
    fn floor(&self) -> [(String, String, bool); 4] {
        let p99 = self.percentile(99);
        let catch_up = self.catch_up.map_or("never".to_owned(), |took| format!("{took:.1?}"));
        [
            (
                format!("rate ≥ {MIN_RATE:.0} orders/s"),
                format!("{:.0} orders/s", self.rate()),
                self.rate() >= MIN_RATE,
            ),
            (format!("p99 ≤ {MAX_P99:?}"), format!("{p99:.1?}"), p99 <= MAX_P99),
            (
                format!("all in the view ≤ {MAX_CATCH_UP:?}"),
                catch_up,
                self.catch_up.is_some_and(|it| it <= MAX_CATCH_UP),
            ),
            ("none lost".to_owned(), format!("{} lost", self.lost()), self.lost() == 0),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.measured_for.as_secs_f64();
        writeln!(
            f,
            "\n{} orders in {seconds:.1} s from {} connections",
            self.latencies.len(),
            self.connections
        )?;
        writeln!(f, "  rate       {:.0} orders/s", self.rate())?;
        for percent in [50, 90, 99] {
            writeln!(f, "  p{percent}        {:.1?}", self.percentile(percent))?;
        }
        writeln!(f, "  max        {:.1?}", self.latencies.last().copied().unwrap_or_default())?;
        writeln!(f, "  paid late  {}", self.delayed)?;
        writeln!(
            f,
            "\nin the stores, of {} acknowledged ({} while warming up)",
            self.acknowledged, self.warm
        )?;
        for (label, count) in &self.counts.0 {
            writeln!(f, "  {label:<12} {count}")?;
        }
        writeln!(f, "\nthe floor")?;
        for (demand, measured, kept) in self.floor() {
            writeln!(f, "  {:<8} {demand:<26} {measured}", if kept { "ok" } else { "MISSED" })?;
        }
        Ok(())
    }
}
