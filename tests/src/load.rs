//! The load: orders from many connections, each waiting for its answer before the next order.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::{members, orders};
use access::Role;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

/// The courses applied for: enough, at their largest size, that nobody ever waits for a seat.
pub const COURSES: u64 = 20;
/// The number of the first of them.
pub const FIRST_COURSE: u64 = 9_001;
const CAPACITY: u64 = 100_000;

/// The orders that only show that a course is known; the others are counted from 1.
const FIRST_ORDER: u64 = 1_000_000_000;

/// How many orders each member makes: less than they may in an hour.
const ORDERS_OF_MEMBER: u64 = 40;
/// The number of the first of them.
const FIRST_MEMBER: u64 = 1_000_000;

/// Whoever applies for the courses of one system.
pub struct Applicants<'a> {
    api: &'a Api,
    next: AtomicU64,
    acknowledged: AtomicU64,
    delayed: AtomicU64,
    signed_in: bool,
}

/// What one load showed.
pub struct Loaded {
    /// From so many connections.
    pub connections: usize,
    /// For so long.
    pub measured_for: Duration,
    /// Acknowledged before the measurement began.
    pub warm: u64,
    /// How long each measured answer took, the shortest first.
    pub latencies: Vec<Duration>,
}

impl<'a> Applicants<'a> {
    /// Opens the courses and sees each through its first order, since `order` learns of a course by an event.
    pub fn open_courses(api: &'a Api) -> Result<Self> {
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
        let acknowledged = AtomicU64::new(COURSES);
        Ok(Self { acknowledged, ..Self::of_open_courses(api, 0) })
    }

    /// The same, each as a member who is signed in.
    #[must_use]
    pub fn signed_in(self) -> Self {
        Self { signed_in: true, ..self }
    }

    /// Whoever applies for courses that were opened before and have so many orders.
    #[must_use]
    pub fn of_open_courses(api: &'a Api, orders: u64) -> Self {
        Self {
            api,
            next: AtomicU64::new(1),
            acknowledged: AtomicU64::new(orders),
            delayed: AtomicU64::new(0),
            signed_in: false,
        }
    }

    /// Waits until the view shows that as many orders have their seat as were acknowledged; an error if they never have.
    pub fn wait_until_seated(&self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < patience {
            if seated(self.api) >= self.acknowledged() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("after {patience:?} the view does not show the seats of {} orders", self.acknowledged())
    }

    /// How many orders were acknowledged in all.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Of those, how many were accepted without the payment having been made in time.
    pub fn delayed(&self) -> u64 {
        self.delayed.load(Ordering::Relaxed)
    }

    /// One order; gives back its id and how long its answer took.
    pub fn apply(&self, api: &Api) -> Result<(u64, Duration)> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let order = orders::order(id, FIRST_COURSE + id % COURSES);
        let answer = if self.signed_in {
            let member = FIRST_MEMBER + id / ORDERS_OF_MEMBER;
            let order = orders::with(order, &json!({ "orderId": null, "customerId": member }));
            api.as_caller(&members::member(member, &[Role::Customer])).apply(&order)
        } else {
            api.apply(&order)
        };
        if answer.status != 201 {
            bail!("order {id} was answered {}: {}", answer.status, answer.body);
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        if answer.text("/payStatus") != "Paid" {
            self.delayed.fetch_add(1, Ordering::Relaxed);
        }
        let id = answer.at("/orderId").as_u64().unwrap_or(id);
        Ok((id, answer.took))
    }

    /// Applies from so many connections, for so many seconds before the measurement and in it.
    pub fn load(&self, connections: usize, warmup: u64, seconds: u64) -> Result<Loaded> {
        let (measuring, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let before = self.acknowledged();
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..connections).map(|_| scope.spawn(|| self.drive(&measuring, &over))).collect();
            self.show_progress("warming up", warmup, &over);
            let warm = self.acknowledged() - before;
            measuring.store(true, Ordering::Relaxed);
            let started = Instant::now();
            self.show_progress("measuring", seconds, &over);
            let measured_for = started.elapsed();
            over.store(true, Ordering::Relaxed);
            let latencies: Result<Vec<_>> =
                clients.into_iter().map(|client| client.join().ok().context("a client panicked")?).collect();
            let mut latencies = latencies?.concat();
            latencies.sort_unstable();
            Ok(Loaded { connections, measured_for, warm, latencies })
        })
    }

    /// One connection: an order, its answer, the next order. Gives back how long each measured answer took.
    fn drive(&self, measuring: &AtomicBool, over: &AtomicBool) -> Result<Vec<Duration>> {
        let api = Api::new(self.api.address());
        let mut latencies = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let is_measured = measuring.load(Ordering::Relaxed);
            let (_, took) = self.apply(&api).inspect_err(|_| over.store(true, Ordering::Relaxed))?;
            if is_measured {
                latencies.push(took);
            }
        }
        Ok(latencies)
    }

    /// Shows for so many seconds how the load is getting on.
    fn show_progress(&self, what: &'static str, seconds: u64, over: &AtomicBool) {
        let bar = progress_bar(what, seconds);
        let (started, before) = (Instant::now(), self.acknowledged());
        while started.elapsed() < Duration::from_secs(seconds) && !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
            let done = self.acknowledged() - before;
            bar.set_position(u64::try_from(started.elapsed().as_millis() / 100).unwrap_or(u64::MAX));
            bar.set_message(format!(
                "{seconds}s  {done} orders, {:.0}/s",
                done as f64 / started.elapsed().as_secs_f64()
            ));
        }
        bar.finish();
    }
}

impl Loaded {
    /// Orders answered per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.measured_for.as_secs_f64()
    }

    /// The latency that so many per cent of the answers kept to.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((self.latencies.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}

/// How many orders the view shows to have their seat.
#[must_use]
pub fn seated(api: &Api) -> u64 {
    let seated = api.get("/infomations?status=Reservation%20Confirmed&size=1").at("/page/totalElements");
    seated.as_u64().unwrap_or_default()
}

/// Lets so many seconds pass, and shows it.
pub fn wait(what: &'static str, seconds: u64) {
    let bar = progress_bar(what, seconds);
    for _ in 0..seconds * 10 {
        thread::sleep(Duration::from_millis(100));
        bar.inc(1);
    }
    bar.finish();
}

/// A bar that is full after so many tenths of a second, ten times.
fn progress_bar(what: &'static str, seconds: u64) -> ProgressBar {
    let bar = ProgressBar::new(seconds * 10);
    if let Ok(style) = ProgressStyle::with_template("{prefix:<12} {wide_bar} {elapsed}/{msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar.set_message(format!("{seconds}s"));
    bar
}
