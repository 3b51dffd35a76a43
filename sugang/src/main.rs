//! The command `sugang`: starts an application, says where it is, and stops it when told to; and what an
//! operator does beside it.
//!
//! The host is a library that knows nothing of Sugang's contexts, and `operations` one that knows nothing of
//! wasmtime. Only here do they meet: [`cli`] says what there is, [`up`] runs, [`access`] says who may be let in, [`commands`] print what
//! `operations` finds.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "they panic where nobody reads: see `output`")]

mod access;
mod cli;
mod commands;
mod event_log;
mod output;
mod place;
mod up;

use std::process::ExitCode;

use clap::Parser as _;
use cli::{Audit, Cli, Command, Rebuild};
use sugang_host::telemetry::{self, Started};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Only what runs the application is watched.
    let telemetry = match cli.command {
        Command::Up(_) => telemetry::start(),
        _ => Ok(None),
    };
    log(telemetry.as_ref().ok().and_then(Option::as_ref));
    // Whoever asks whether all is well is told apart from whoever could not be answered.
    let failure =
        if matches!(cli.command, Command::Check(_)) { ExitCode::from(2) } else { ExitCode::FAILURE };
    let outcome = telemetry.and_then(|started| {
        let outcome = run(cli.command);
        if let Some(started) = started {
            started.end();
        }
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::tell(&format!("Error: {error:#}\n"));
            failure
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => up::run(*options).map(|()| ExitCode::SUCCESS),
        Command::Check(check) => commands::check(&check),
        Command::Events(events) => commands::events(&events).map(|()| ExitCode::SUCCESS),
        Command::Audit { what: Audit::Verify { files } } => {
            commands::verify_trail(&files).map(|()| ExitCode::SUCCESS)
        }
        Command::Replay(replay) => commands::replay(&replay).map(|()| ExitCode::SUCCESS),
        Command::Rebuild { what } => rebuild(&what).map(|()| ExitCode::SUCCESS),
        Command::Backup(backup) => commands::backup(&backup).map(|()| ExitCode::SUCCESS),
        Command::Restore(restore) => commands::restore(&restore).map(|()| ExitCode::SUCCESS),
        Command::Keys => access::print_keys().map(|()| ExitCode::SUCCESS),
        Command::Tick(redis) => commands::tick(&redis).map(|()| ExitCode::SUCCESS),
        Command::Image { what } => commands::image(&what).map(|()| ExitCode::SUCCESS),
        Command::Plug(plug) => commands::plug(&plug).map(|()| ExitCode::SUCCESS),
        Command::MoveStore(moved) => commands::move_store(&moved).map(|()| ExitCode::SUCCESS),
    }
}

/// To standard error, and to the telemetry where there is some; `RUST_LOG` chooses what (`debug`, `sugang_host=debug,warn`).
fn log(telemetry: Option<&Started>) {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let default =
        || Targets::new().with_default(tracing::Level::WARN).with_target("sugang_host", tracing::Level::INFO);
    // What cannot be written is not worth a word that cannot be written either.
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .log_internal_errors(false);
    let wanted = wanted.unwrap_or_else(default);
    let told = telemetry.and_then(Started::layer);
    tracing_subscriber::registry().with(wanted).with(lines).with(told).init();
}

fn rebuild(what: &Rebuild) -> anyhow::Result<()> {
    match what {
        Rebuild::Information(stores) => commands::rebuild_information(stores),
        Rebuild::Order(stores) => commands::rebuild_lists("order", stores),
        Rebuild::Pay(stores) => commands::rebuild_lists("pay", stores),
        Rebuild::Reservation(stores) => commands::rebuild_lists("reservation", stores),
        Rebuild::Member(stores) => commands::rebuild_lists("member", stores),
    }
}
