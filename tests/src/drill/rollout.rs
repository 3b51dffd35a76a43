//! Every host is replaced by a later release while siege lays into them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{CAPACITY, COURSE, Demand, Outcome};
use crate::cluster::{Cluster, Release, STORES_WITH_A_COLUMN_MORE, Shape};
use crate::orders;
use crate::siege::{Besieged, Siege};

const HOSTS: usize = 2;

/// How long the siege lasts before the first host is replaced.
const BEFORE: Duration = Duration::from_secs(1);

/// What came of one rollout.
#[derive(Debug)]
pub struct Rolled {
    /// What siege saw.
    pub besieged: Besieged,
    /// What became of the orders.
    pub outcome: Outcome,
    /// How long it took to replace all hosts.
    pub took: Duration,
    /// Whether that was while the siege lasted.
    pub within_siege: bool,
    /// How many stores have the new column.
    pub columns: i64,
    /// Whether each old host ended with 0.
    pub ended_well: bool,
}

/// Lays siege to a new cluster with so many users for so many seconds, and replaces each host meanwhile.
pub fn roll(shape: fn(usize) -> Shape, users: usize, seconds: u64) -> Result<Rolled> {
    Cluster::compile(Release::Next)?;
    let cluster = Cluster::start(shape(HOSTS))?;
    cluster.open_course_for_all(COURSE, CAPACITY)?;
    let body = format!(r#"{{"eduNo": {COURSE}, "customerId": 7, "cardNo": "{}"}}"#, orders::GOOD_CARD);
    let siege = Siege::lay(cluster.state(), &cluster.url("/orders"), &body, users, seconds)?;
    let besieging = thread::spawn(move || siege.end());
    thread::sleep(BEFORE);
    let (started, mut ended_well) = (Instant::now(), true);
    for host in 0..HOSTS {
        ended_well &= cluster.replace(host, Release::Next)?.success();
    }
    let took = started.elapsed();
    let within_siege = !besieging.is_finished();
    let besieged = besieging.join().ok().context("the thread of the siege ended")??;
    ensure!(!besieged.answers.times.is_empty(), "siege saw no answer: is it version 4?");
    let outcome = Outcome::of(&cluster)?;
    let columns = cluster
        .count("order", "SELECT count(*) FROM information_schema.columns WHERE column_name = 'next'")?;
    Ok(Rolled { besieged, outcome, took, within_siege, columns, ended_well })
}

impl Rolled {
    /// What is demanded of it.
    #[must_use]
    pub fn demands(&self) -> Vec<Demand> {
        let answers = &self.besieged.answers;
        let failed = self.besieged.figure("Failed transactions");
        let refused = answers.server_errors + answers.others;
        let mut demands = vec![
            ("0 failed requests", format!("{failed} of {}", answers.times.len()), failed == "0"),
            ("every answer is 201", format!("{refused} others"), refused == 0),
            (
                "all hosts replaced during the siege",
                format!("in {:.1?}", self.took),
                self.within_siege && self.ended_well,
            ),
            (
                "one more column in every store",
                format!("in {} of {STORES_WITH_A_COLUMN_MORE}", self.columns),
                self.columns == STORES_WITH_A_COLUMN_MORE,
            ),
        ];
        demands.extend(self.outcome.demands(answers.accepted));
        demands
    }
}
