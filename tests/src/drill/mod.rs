//! What must be possible while the system is in use: `cargo xtask drill`, and its short forms among the tests.

pub mod liveness;
pub mod rollout;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::Cluster;

/// A course that everybody fits into.
pub const COURSE: u64 = 9_001;
const CAPACITY: u64 = 100_000;

/// How long afterwards every order may take until it is paid, has its seat and is shown so.
const AT_REST_WITHIN: Duration = Duration::from_secs(120);

/// What a drill demands, what was measured, and whether that is enough.
pub type Demand = (&'static str, String, bool);

/// What became of the orders.
#[derive(Debug)]
pub struct Outcome {
    /// How many there are in the store.
    pub orders: i64,
    /// How long it took from the end until each was paid, had its seat and was shown so; none if some never were.
    pub at_rest_after: Option<Duration>,
    /// How many were charged more than once.
    pub charged_twice: i64,
    /// How many seats there are beyond one for each order, or missing.
    pub seats_off: i64,
}

impl Outcome {
    /// Waits until all of the orders have come to where they belong.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let since = Instant::now();
        let unpaid = "SELECT count(*) FROM orders WHERE pay_status IS DISTINCT FROM 'Paid'";
        let confirmed = "SELECT count(*) FROM reservations WHERE status = 'Reservation Confirmed'";
        let shown = "SELECT count(*) FROM infomations WHERE reservation_status = 'Reservation Confirmed'
            AND pay_status = 'Paid' AND order_status = 'Ordered'";
        let mut at_rest_after = None;
        let mut orders = 0;
        while at_rest_after.is_none() && since.elapsed() < AT_REST_WITHIN {
            orders = cluster.count("order", "SELECT count(*) FROM orders")?;
            let at_rest = cluster.count("order", unpaid)? == 0
                && cluster.count("reservation", confirmed)? == orders
                && cluster.count("information", shown)? == orders;
            at_rest_after = at_rest.then(|| since.elapsed());
            thread::sleep(Duration::from_millis(50));
        }
        let charged_twice = "SELECT count(*) FROM balances WHERE outstanding > 1";
        let taken = format!("SELECT taken FROM courses WHERE edu_no = {COURSE}");
        Ok(Self {
            orders,
            at_rest_after,
            charged_twice: cluster.count("gateway", charged_twice)?,
            seats_off: cluster.count("reservation", &taken)? - orders,
        })
    }

    /// What is demanded of it where so many orders were accepted.
    #[must_use]
    pub fn demands(&self, accepted: u64) -> Vec<Demand> {
        let accepted = i64::try_from(accepted).unwrap_or(i64::MAX);
        let lost = (accepted - self.orders).max(0);
        let late = self.at_rest_after.map_or("never".to_owned(), |took| format!("after {took:.1?}"));
        vec![
            ("no order lost", format!("{lost} lost of {accepted}"), lost == 0),
            ("each paid, seated and shown ≤ 120 s after", late, self.at_rest_after.is_some()),
            ("each paid once", format!("{} charged twice", self.charged_twice), self.charged_twice == 0),
            ("a seat for each", format!("{} too many", self.seats_off), self.seats_off == 0),
        ]
    }
}

/// Prints demands, and says whether all are met.
pub fn print(demands: &[Demand]) -> bool {
    println!("\nwhat is demanded");
    for (demand, measured, kept) in demands {
        println!("  {:<8} {demand:<44} {measured}", if *kept { "ok" } else { "MISSED" });
    }
    demands.iter().all(|(_, _, kept)| *kept)
}

/// The demands that are not met, in words.
#[must_use]
pub fn missed(demands: &[Demand]) -> Vec<String> {
    let missed = demands.iter().filter(|(_, _, kept)| !kept);
    missed.map(|(demand, measured, _)| format!("{demand}: {measured}")).collect()
}
