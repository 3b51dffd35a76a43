//! The HTTP server: connections, and how they come to an end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::HttpTrigger;

/// How long clients may take, and the host when it stops.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// How long a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// How long requests in flight may take to finish when the host stops.
    pub shutdown_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self { header_timeout: Duration::from_secs(15), shutdown_timeout: Duration::from_secs(5) }
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
        let serving =
            serve_connection(trigger.clone(), stream, client, limits.header_timeout, connections.watcher());
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
    client: SocketAddr,
    header_timeout: Duration,
    watcher: Watcher,
) {
    // A short answer must not wait for the acknowledgement of what went before it.
    drop(stream.set_nodelay(true));
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = asked.clone();
        service_fn(move |request| {
            asked.store(true, Ordering::Relaxed);
            let trigger = trigger.clone();
            async move { Ok::<_, std::convert::Infallible>(trigger.answer(request, client).await) }
        })
    };
    let builder = builder(header_timeout);
    let serving = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::debug!("the connection of {client} ended: {error}");
        },
        () = silence(&asked, header_timeout) => tracing::debug!("{client} sent no request in time"),
    }
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    builder
}

/// Ends when a connection has not brought its first request in time. The server's own timeout
/// begins only after it has seen which version of HTTP the client speaks.
async fn silence(asked: &AtomicBool, timeout: Duration) {
    tokio::time::sleep(timeout).await;
    if asked.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}
