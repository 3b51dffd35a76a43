//! An application while it serves.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{net::TcpListener, task::JoinSet};

use super::Application;
use crate::{
    engine::Engine,
    http_trigger::{self, HttpTrigger},
    metrics,
    outbound::http::{Chain, OutboundHttp},
    redis_trigger::RedisTrigger,
    stopping::Stopping,
};

/// An application that is right, and can serve.
pub(super) struct Checked {
    pub(super) application: Application,
    pub(super) engine: Engine,
    pub(super) http: Arc<OutboundHttp>,
    pub(super) http_trigger: HttpTrigger,
    pub(super) redis_trigger: RedisTrigger,
    pub(super) stopping: Stopping,
}

impl Checked {
    pub(super) async fn serve(self) -> Result<Running> {
        let listener = bind(self.application.listen).await?;
        let address = listener.local_addr()?;
        let trigger = Arc::new(self.http_trigger);
        let chain: Arc<dyn Chain> = Arc::new(trigger.clone());
        self.http.set_application(Arc::downgrade(&chain), address);
        let (stopping, mut tasks) = (self.stopping, JoinSet::new());
        let stop = &stopping.stop;
        let routes =
            trigger.routes().iter().map(|route| (route.pattern.clone(), route.component.clone())).collect();
        let channels = self
            .redis_trigger
            .channels()
            .map(|(channel, components)| (channel, components.join(", ")))
            .collect();
        if let Some(listen) = self.application.metrics_listen {
            let listener = bind(listen).await?;
            tracing::info!("metrics at http://{}/", listener.local_addr()?);
            let serving = stop.clone().run_until_cancelled_owned(metrics::serve(listener));
            tasks.spawn(async { serving.await.unwrap_or_default() });
        }
        let answer = move |request, client| {
            let trigger = trigger.clone();
            async move { trigger.answer(request, client).await }
        };
        tasks.spawn(http_trigger::serve(answer, listener, self.application.server_limits, stop.clone()));
        self.redis_trigger.start(&mut tasks, &stopping.leaving);
        Ok(Running { address, routes, channels, stopping, tasks, _engine: self.engine, _chain: chain })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// An application that serves, until it is shut down or dropped.
pub struct Running {
    address: SocketAddr,
    routes: Vec<(String, String)>,
    channels: Vec<(String, String)>,
    stopping: Stopping,
    tasks: JoinSet<()>,
    _engine: Engine,
    _chain: Arc<dyn Chain>,
}

impl Running {
    /// The address it serves at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The routes, each with its component.
    pub fn routes(&self) -> &[(String, String)] {
        &self.routes
    }

    /// The Redis channels, each with its components.
    pub fn channels(&self) -> &[(String, String)] {
        &self.channels
    }

    /// Says that it is not ready, takes no more Redis messages, and goes on answering requests for a while, so that
    /// whoever sends them has heard of it before nobody answers.
    pub async fn leave(&self, time: Duration) {
        self.stopping.leaving.cancel();
        tokio::time::sleep(time).await;
    }

    /// Takes on nothing more, and finishes what is in flight.
    pub async fn shutdown(mut self) {
        self.stopping.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.stop.cancel();
    }
}
