//! The HTTP server: connections, and how they come to an end.
//!
//! It speaks HTTP/1.1. TLS and HTTP/2 are for the proxy in front of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{HttpTrigger, client::Client};

/// What a client is told that stops in the middle of its headers.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How long clients may take, and the host when it stops.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// How long a client may take to send a request's headers, and stay silent between two requests.
    pub header_timeout: Duration,
    /// How long an answer's next bytes may wait for the client to take them.
    pub response_timeout: Duration,
    /// How long requests in flight may take to finish when the host stops.
    pub shutdown_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(15),
            response_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Serves until told to stop, then finishes what is in flight.
pub async fn serve(
    trigger: Arc<HttpTrigger>,
    listener: TcpListener,
    limits: ServerLimits,
    stop: CancellationToken,
) {
    let connections = GracefulShutdown::new();
    let cut = CancellationToken::new();
    while let Some((stream, client)) = accept(&listener, &stop).await {
        let serving = serve_connection(trigger.clone(), stream, client, limits, connections.watcher());
        tokio::spawn(cut.clone().run_until_cancelled_owned(serving));
    }
    drop(listener);
    if tokio::time::timeout(limits.shutdown_timeout, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests were still in flight after {:?}", limits.shutdown_timeout);
        cut.cancel();
    }
}

/// The next connection; none when it is time to stop.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => {
                // Mostly: too many open files. It passes when some connections end.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(
    trigger: Arc<HttpTrigger>,
    stream: TcpStream,
    address: SocketAddr,
    limits: ServerLimits,
    watcher: Watcher,
) {
    // A short answer must not wait for the acknowledgement of what went before it.
    drop(stream.set_nodelay(true));
    let client = Client::new(stream, limits.response_timeout);
    let service = service_fn(|request| {
        let (trigger, client) = (trigger.clone(), client.clone());
        async move {
            let answer = trigger.answer(request, address).await;
            client.is_answered();
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(client.clone()), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!("the connection of {address} ended: {error}");
        if error.is_timeout() && client.is_heard() {
            client.say(REQUEST_TIMEOUT);
        }
    }
}
