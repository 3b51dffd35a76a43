//! `bench`: measurements, each against a system of its own.
//!
//! The measuring itself is a program of the end-to-end tests' crate, since it drives the system the way they do,
//! and since a load generator that is not optimised would measure itself. Here is what it takes, and the call.

use std::process::Command;

use anyhow::Result;
use clap::{Args, Subcommand};

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
}

/// Orders as fast as they are taken, through to the view; fails below the speed floor.
///
/// Drives POST /orders from keep-alive connections, each waiting for its answer before the next order. Prints rate
/// and latencies, the time from the end of the load until every order is in the view, and the counts of every
/// store. The floor: at least 400 orders/s, a p99 of at most 250 ms, all in the view within 2 s, none lost.
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
}

impl Bench {
    /// Builds, measures and prints.
    pub fn run(&self) -> Result<()> {
        setup::ensure_redis()?;
        build::everything()?;
        match &self.which {
            Which::Flow(flow) => {
                // As the host is: see `build::host`.
                let built = ["build", "--release", "--workspace", "--bin", "bench-flow"];
                workspace::run(&mut workspace::cargo(built))?;
                workspace::run(&mut flow.command())
            }
        }
    }
}

impl Flow {
    fn command(&self) -> Command {
        let mut command = Command::new(workspace::host_binary().with_file_name("bench-flow"));
        command.args(["--seconds", &self.seconds.to_string()]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--warmup", &self.warmup.to_string()]);
        command
    }
}
