//! `cargo xtask bench flow`: orders as fast as they are taken, from application to view, and what one costs.
//!
//! It measures what a customer sees (how long an answer takes), what everybody sees (how soon an order is in the
//! view), what it costs, and then counts in the stores themselves that nothing is missing. The system is started for
//! the purpose, in processes of its own, so that the load generator and the system share only the machine.
//!
//! - [`system`] starts a system: of the present files, or of another revision's folder.
//! - [`cost`] reads what the processes have done and used.
//! - [`measure`] takes one system through everything that is measured.
//! - [`report`] prints one measurement, and holds it to the floor.
//! - [`pairs`] measures two systems in turn, and compares them.

mod cost;
mod measure;
mod pairs;
mod report;
mod system;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sugang_tests::Engine;
use xtask::bench::{Flow, revision::Revision};
use xtask::workspace;

use crate::pairs::Candidate;
use crate::report::Report;
use crate::system::System;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flow: Flow,
}

fn main() -> ExitCode {
    match bench(&Arguments::parse().flow) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; says whether it is good enough.
fn bench(flow: &Flow) -> Result<bool> {
    let here = |name: &str, engine| {
        let root = workspace::root();
        Candidate { name: name.to_owned(), root, engine, signed_in: false }
    };
    if let Some(name) = &flow.against {
        let revision = Revision::find(name)?;
        let there = Candidate {
            name: revision.name().to_owned(),
            root: revision.root().to_owned(),
            engine: Engine::Sqlite,
            signed_in: false,
        };
        return pairs::compare(flow, &[there, here("here", Engine::Sqlite)]);
    }
    if flow.postgres {
        let engines = [here("SQLite", Engine::Sqlite), here("PostgreSQL", Engine::Postgres)];
        return pairs::compare(flow, &engines);
    }
    if flow.members {
        let open = here("open", Engine::Sqlite);
        return pairs::compare(
            flow,
            &[open, Candidate { signed_in: true, ..here("members", Engine::Sqlite) }],
        );
    }
    let system = System::start_compiled(&here("here", Engine::Sqlite))?;
    let report = Report::new(measure::measure(flow, &system, false)?, system.state())?;
    println!("{report}");
    Ok(report.is_within_floor())
}
