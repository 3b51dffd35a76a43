//! The `sugang` command: starts an application, says where it is, and stops it when told to.

use std::process::ExitCode;

use clap::Parser as _;
use sugang_host::{
    Running,
    cli::{Cli, Command},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// A profile of the order flow spent about an eighth of its time in the system's allocator and in copying. What
/// this one gains over it was not measured by itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// To standard error; `RUST_LOG` chooses what (`debug`, `sugang_host=debug,warn`).
fn log() {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let default =
        || Targets::new().with_default(tracing::Level::WARN).with_target("sugang_host", tracing::Level::INFO);
    tracing_subscriber::registry()
        .with(wanted.unwrap_or_else(default))
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false))
        .init();
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let Command::Up(up) = cli.command;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let starting = up.application()?.start();
    let running = tokio::select! {
        running = starting => running?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    announce(&running);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("Finishing the requests in flight; once more to stop at once.");
    tokio::select! {
        () = running.shutdown() => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// What is served, where; as Spin says it.
fn announce(running: &Running) {
    let base = format!("http://{}", running.address());
    println!("\nServing {base}\nAvailable Routes:");
    for (route, component) in running.routes() {
        match route.strip_suffix("/...") {
            Some(prefix) => println!("  {component}: {base}{prefix} (wildcard)"),
            None => println!("  {component}: {base}{route}"),
        }
    }
    if !running.channels().is_empty() {
        println!("Active Channels:");
    }
    for (channel, components) in running.channels() {
        println!("  {channel}: [{components}]");
    }
}
