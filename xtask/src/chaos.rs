//! `chaos`: break everything that can break, and hold the system to what it promised.
//!
//! The suite is a program of the end-to-end tests' crate, since it drives the system the way they do. Here is what
//! it takes, and the call.

use anyhow::Result;
use clap::Args;

use crate::{build, setup, workspace};

/// Break everything that can break while people use the system, and hold it to what it promised.
///
/// Starts a system of its own from components in which faults can be had: a process per context, two crews of
/// further workers, Redis, a proxy before `pay`. Applicants and managers use it, while processes and Redis are
/// killed (at random, and at every named point), frozen, starved of disk and clock, and what passes between them
/// is lost, repeated, late or garbled. With --postgres the stores are on a PostgreSQL of its own, which crashes, stands still,
/// refuses, cannot be reached, and gives up what meets. Now and then everything is put right; the system must then come to rest by
/// itself within 60 s, and every invariant is checked. Ends with 1 if one was broken, and keeps the stores and logs
/// in target/chaos/<SEED>.
#[derive(Args)]
pub struct Chaos {
    #[command(flatten)]
    run: Run,
}

/// What the suite takes.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Who comes, what they want and which faults come in which order; chosen by chance, and printed, if not given
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How long there is load and harm, in all
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    pub minutes: f64,

    /// After how long the system is let come to rest and checked, each time
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub round: u64,

    /// How many applicants come per second; each sends one to four requests
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    pub rate: f64,

    /// Have the stores on PostgreSQL, and break that as well
    #[arg(long)]
    pub postgres: bool,

    /// Keep the stores and logs even if nothing was wrong
    #[arg(long)]
    pub keep: bool,
}

impl Chaos {
    /// Builds what is needed, and runs the suite.
    pub fn run(&self) -> Result<()> {
        setup::REDIS.ensure()?;
        if self.run.postgres {
            setup::POSTGRES.ensure()?;
        }
        if setup::FAKETIME.ensure().is_err() {
            println!("note: without libfaketime, no clock is set wrong");
        }
        build::everything()?;
        build::with_faults()?;
        workspace::run_test_program("chaos", 1)
    }
}
