//! `sugang up`: runs an application until it is told to stop.

use std::net::SocketAddr;

use sugang_host::{Application, Running, cli::Up};
use tokio::signal::unix::{SignalKind, signal};

use crate::output::{mention, tell};
use crate::{access, event_log};

#[tokio::main]
pub(crate) async fn run(options: Up) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    if let Some(state) = options.state_dir() {
        operations::ensure_restored(state)?;
    }
    let drain_time = options.drain_time();
    let starting = Application { precheck: Some(check), ..options.application()? }.start();
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

/// What the host cannot know of the application, and what must hold before it serves.
fn check(variable: &dyn Fn(&str) -> Option<String>, listen: SocketAddr) -> anyhow::Result<()> {
    event_log::check(variable)?;
    access::check(variable, listen)
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
