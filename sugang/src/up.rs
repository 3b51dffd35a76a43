//! `sugang up`: runs an application until it is told to stop.

use sugang_host::{Running, cli::Up};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
pub(crate) async fn run(options: Up) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    if let Some(state) = options.state_dir() {
        operations::ensure_restored(state)?;
    }
    let starting = options.application()?.start();
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
