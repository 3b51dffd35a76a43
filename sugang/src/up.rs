//! `sugang up`: runs an application until it is told to stop.

use sugang_host::{Running, cli::Up};
use tokio::signal::unix::{SignalKind, signal};

use crate::access;
use crate::output::{mention, tell};

#[tokio::main]
pub(crate) async fn run(options: Up) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    if let Some(state) = options.state_dir() {
        operations::ensure_restored(state)?;
    }
    let drain_time = options.drain_time();
    let starting = options.application()?.precheck(access::check).start();
    let running = tokio::select! {
        running = starting => running?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    announce(&running);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {
            tokio::select! {
                () = running.leave(drain_time) => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
    }
    tell("Finishing the requests in flight; once more to stop at once.\n");
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
    let mut text = format!("\nServing {base}\nAvailable Routes:\n");
    for (route, component) in running.routes() {
        match route.strip_suffix("/...") {
            Some(prefix) => text += &format!("  {component}: {base}{prefix} (wildcard)\n"),
            None => text += &format!("  {component}: {base}{route}\n"),
        }
    }
    if !running.channels().is_empty() {
        text += "Active Channels:\n";
    }
    for (channel, components) in running.channels() {
        text += &format!("  {channel}: [{components}]\n");
    }
    // A full disk under the logs ends no server.
    mention(&text);
}
