//! `cargo xtask chaos`: break everything that can break, and hold the system to what it promised.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use sugang_tests::chaos::fault::Lane;
use sugang_tests::chaos::report::Report;
use sugang_tests::chaos::system::Settings;
use sugang_tests::chaos::{Plan, run};
use xtask::chaos::Run;
use xtask::workspace;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    run: Run,
}

fn main() -> ExitCode {
    match chaos(&Arguments::parse().run) {
        Ok(report) => {
            println!("\n{report}");
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chaos(options: &Run) -> Result<Report> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    let folder = workspace::target_dir().join("chaos").join(seed.to_string());
    let load = Duration::from_secs_f64(options.minutes * 60.0);
    let settings = Settings::new(folder.clone()).variable("payment_due_minutes", 1);
    let plan = Plan {
        seed,
        load,
        round: Duration::from_secs(options.round).min(load),
        rate: options.rate,
        lanes: if options.postgres { Lane::ALL_ON_POSTGRES.to_vec() } else { Lane::ALL.to_vec() },
        settings: Settings { postgres: options.postgres, ..settings },
        talkative: true,
    };
    let report = run(&plan)?;
    if report.is_clean() && !options.keep {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(report)
}
