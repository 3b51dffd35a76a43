//! `drill`: what must be possible while the system is in use, done for real and counted.
//!
//! As with `bench`, the drills themselves are a program of the end-to-end tests' crate. Here is what they take, and the
//! call.

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{build, setup, workspace};

/// Do for real what must be possible while the system is in use, and count what it cost.
///
/// Starts a system of its own: hosts behind a balancer, over a PostgreSQL and a Redis (installed first where they are
/// missing and we may), with state and ports of its own.
#[derive(Args)]
pub struct Drill {
    #[command(subcommand)]
    which: Which,
}

#[derive(Subcommand)]
enum Which {
    Rollout(Rollout),
    Liveness(Liveness),
}

/// Replace every host by a later release while siege lays into them; not one request may fail.
///
/// Two hosts behind a balancer take orders from siege, first of one user and then of many, while each host in turn is told
/// to stop (SIGTERM) and another takes its place, whose stores have one more column. Prints siege's table beside the
/// seed's. Fails if a request failed, an order was lost, or one was not paid once and given its seat within two minutes.
#[derive(Args, Clone, Debug)]
pub struct Rollout {
    /// How long each siege lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub seconds: u64,

    /// How many users the second siege has
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub users: usize,
}

/// Have one of two hosts stand still, and see it started anew while the other goes on taking orders.
///
/// The host is frozen (SIGSTOP), so that it no longer answers at /livez; a supervisor ends it and starts it anew. Fails if
/// it is not ready again within a minute, if orders were not taken meanwhile, or if one was lost.
#[derive(Args, Clone, Debug)]
pub struct Liveness {
    /// How often a host stands still, one after the other
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub times: u32,
}

impl Drill {
    /// Builds, does it and prints.
    pub fn run(&self) -> Result<()> {
        setup::REDIS.ensure()?;
        setup::POSTGRES.ensure()?;
        setup::HAPROXY.ensure()?;
        build::everything()?;
        if let Which::Rollout(_) = self.which {
            setup::SIEGE.ensure()?;
            build::with_faults()?;
        }
        workspace::run_test_program("drill", 1)
    }
}
