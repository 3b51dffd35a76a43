//! `sugang tick`.

use std::path::Path;

use anyhow::Result;
use tick::{PERIOD, Tick};
use tokio::signal::unix::{SignalKind, signal};

use crate::place::RedisPlace;

/// Until it is told to stop.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn tick(redis: &RedisPlace) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let _ticking = Tick::start(&redis.required(Path::new(".sugang"))?.url, PERIOD)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
