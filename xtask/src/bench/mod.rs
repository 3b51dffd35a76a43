//! `bench`: measurements, each against a system of its own.
//!
//! The measuring itself is a program of the end-to-end tests' crate, since it drives the system the way they do,
//! and since a load generator that is not optimised would measure itself. Here is what it takes, and the call.

pub mod revision;

use anyhow::Result;
use clap::{Args, Subcommand};

use self::revision::Revision;
use crate::{build, setup, workspace};

/// Measure the system, started for the purpose with state and ports of its own.
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    Flow(Flow),
    Siege(Siege),
    Scale(Scale),
}

/// Orders as fast as they are taken, through to the view; fails below the speed floor.
///
/// Drives POST /orders from keep-alive connections, each waiting for its answer before the next order. Prints rate
/// and latencies, the time from the end of the load until every order is in the view, and the counts of every
/// store. The floor: at least 400 orders/s, a p99 of at most 250 ms, all in the view within 2 s, none lost.
///
/// Beside them stands what an order costs under the load, and what one costs alone on an idle system: processor time,
/// SQL statements, commits, Redis commands, wake-ups; and how much memory the host and redis-server take.
///
/// With --against, another revision is built in a folder of its own (target/revisions) and both are measured in turn,
/// pair by pair; the medians and their ratios are printed. It fails only if an order is lost. With --postgres the same is done
/// with the stores in SQLite files and on a PostgreSQL that writes every commit through to its disk; with --members, with
/// everybody asked who they are and with nobody.
#[derive(Args, Clone, Debug)]
pub struct Flow {
    /// How long the load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub seconds: u64,

    /// How many connections it comes from
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub connections: usize,

    /// How long to warm up before the measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub warmup: u64,

    /// How long a single connection is measured before the load; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub single: u64,

    /// How many orders are measured each alone on the idle system; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub alone: u32,

    /// How long after the load memory is read
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub rest: u64,

    /// Measure this git revision too, in turn with the present state of the files
    #[arg(long, value_name = "REVISION")]
    pub against: Option<String>,

    /// Measure the present files with their stores on PostgreSQL, too, in turn with SQLite
    #[arg(long, conflicts_with = "against")]
    pub postgres: bool,

    /// Measure the present files with `access=members`, each order a member's who is signed in, too, in turn with `open`
    #[arg(long, conflicts_with_all = ["against", "postgres"])]
    pub members: bool,

    /// How many times both are measured, with --against, --postgres or --members
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub pairs: u32,
}

/// The seed's experiment with its circuit breaker: siege, with pay at 400 ms ± 220 ms.
///
/// Runs `siege` (installed first where it is missing and we may) with as many users for as long as the seed's README
/// did, and prints its table beside the seed's. Fails unless every request was accepted (availability 100 %, no 5xx),
/// the p99 is at most the deadline plus 100 ms, no order is lost, and each is paid once within two minutes.
#[derive(Args, Clone, Debug)]
pub struct Siege {
    /// How long the load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub seconds: u64,

    /// How many users there are, each waiting for an answer before the next order
    #[arg(long, value_name = "N", default_value_t = 70)]
    pub users: usize,
}

/// How the system grows: with the number of hosts, and with the number of orders that there are.
///
/// First so many hosts behind a balancer, each with a quarter of a processor (control groups, which take root), over a
/// PostgreSQL and a Redis without such a limit, and load to match: orders per second, and what the processors were
/// busy with. Then a single host over stores that have so many orders already, written into them as events: what an
/// order, a page of each list and a tick cost, and memory, on SQLite and on PostgreSQL. A million takes a while.
///
/// Prints tables, and writes them and two plots into docs/performance.md and beside it, unless told not to.
#[derive(Args, Clone, Debug)]
pub struct Scale {
    /// How many hosts, one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2,4,8")]
    pub hosts: Vec<usize>,

    /// How much of a processor each of them gets
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    pub share: f64,

    /// How many connections the load comes from, for each host
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub connections: usize,

    /// How many orders there are already, one after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "10000,100000,1000000")]
    pub orders: Vec<u64>,

    /// How long each load lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub seconds: u64,

    /// Measure this only
    #[arg(long, value_enum, value_name = "PART")]
    pub only: Option<ScalePart>,

    /// Leave docs/performance.md as it is
    #[arg(long)]
    pub no_write: bool,
}

/// A part of [`Scale`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ScalePart {
    /// By the number of hosts
    Hosts,
    /// By the number of orders that there are
    Orders,
}

impl Bench {
    /// Builds, measures and prints.
    pub fn run(&self) -> Result<()> {
        setup::REDIS.ensure()?;
        build::everything()?;
        match &self.which {
            Which::Flow(flow) => {
                if flow.postgres {
                    setup::POSTGRES.ensure()?;
                }
                if let Some(name) = &flow.against {
                    Revision::find(name)?.build()?;
                }
                workspace::run_test_program("bench-flow", 2)
            }
            Which::Siege(_) => {
                setup::SIEGE.ensure()?;
                workspace::run_test_program("bench-siege", 2)
            }
            Which::Scale(_) => {
                setup::POSTGRES.ensure()?;
                setup::HAPROXY.ensure()?;
                workspace::run_test_program("bench-scale", 2)
            }
        }
    }
}
