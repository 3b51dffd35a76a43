//! The HTTP server: connections, and how they come to an end.
//!
//! It speaks HTTP/1.1. TLS and HTTP/2 are for the proxy in front of it.

use std::{net::SocketAddr, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use wasmtime_wasi_http::WasiBody;

use super::{admission::Places, client::Client};

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

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Who asks: a client, or a proxy.
    pub peer: SocketAddr,
    /// Where it reached us.
    pub local: SocketAddr,
}

/// Serves by `answer` until told to stop, then finishes what is in flight.
pub async fn serve<A, F>(answer: A, listener: TcpListener, limits: ServerLimits, stop: CancellationToken)
where
    A: Fn(Request<Incoming>, Ends) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<WasiBody>> + Send + 'static,
{
    let connections = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let places = Places::new(most_connections());
    while let Some((stream, ends)) = accept(&listener, &stop).await {
        let Some(place) = places.try_take(ends.peer.ip()) else {
            tracing::debug!("{} has as many connections as one client may have now", ends.peer);
            continue;
        };
        let serving = serve_connection(answer.clone(), stream, ends, limits, connections.watcher());
        let serving = cut.clone().run_until_cancelled_owned(serving);
        tokio::spawn(async move {
            let _place = place;
            serving.await
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.shutdown_timeout, connections.shutdown()).await.is_err() {
        tracing::warn!("some requests were still in flight after {:?}", limits.shutdown_timeout);
        cut.cancel();
    }
}

/// As many as the host can have open files, after it has asked for as many as it may: so that connections on which
/// nothing is said leave room for others.
fn most_connections() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    let limit = match rustix::process::setrlimit(rustix::process::Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    limit.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}

/// The next connection; none when it is time to stop.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, Ends)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted.and_then(|(stream, peer)| Ok((Ends { peer, local: stream.local_addr()? }, stream))) {
            Ok((ends, stream)) => return Some((stream, ends)),
            Err(error) => {
                // Mostly: too many open files. It passes when some connections end.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection<A, F>(
    answer: A,
    stream: TcpStream,
    ends: Ends,
    limits: ServerLimits,
    watcher: Watcher,
) where
    A: Fn(Request<Incoming>, Ends) -> F,
    F: Future<Output = Response<WasiBody>>,
{
    // A short answer must not wait for the acknowledgement of what went before it.
    drop(stream.set_nodelay(true));
    let client = Client::new(stream, limits.response_timeout);
    let service = service_fn(|request| {
        let (answer, client) = (answer(request, ends), client.clone());
        async move {
            let answer = answer.await;
            client.is_answered();
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(client.clone()), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!("the connection of {} ended: {error}", ends.peer);
        if error.is_timeout() && client.is_heard() {
            client.say(REQUEST_TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Instant,
    };

    use bytes::Bytes;
    use futures::{StreamExt as _, stream};
    use http_body::Frame;
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::{sleep, timeout},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(500);

    /// A server whose answers have no end, how many of them are under way, and where it is.
    struct Server {
        address: SocketAddr,
        under_way: Arc<AtomicUsize>,
        stop: CancellationToken,
    }

    /// Counts an answer for as long as its body lives.
    struct UnderWay(Arc<AtomicUsize>);

    impl Drop for UnderWay {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    impl Server {
        /// A chunk of `size` bytes comes after each `pause`.
        async fn start(size: usize, pause: Duration) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (under_way, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
            let count = under_way.clone();
            let answer = move |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
                let counted = UnderWay(count.clone());
                let chunks = stream::repeat(()).then(move |()| async move {
                    sleep(pause).await;
                    Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; size])))
                });
                let body = StreamBody::new(chunks.map(move |chunk| {
                    let _ = &counted;
                    chunk
                }));
                std::future::ready(Response::new(body.map_err(|never| match never {}).boxed_unsync()))
            };
            let limits = ServerLimits {
                header_timeout: PATIENCE,
                response_timeout: PATIENCE,
                ..ServerLimits::default()
            };
            tokio::spawn(serve(answer, listener, limits, stop.clone()));
            Self { address, under_way, stop }
        }

        async fn ask(&self) -> TcpStream {
            let mut client = TcpStream::connect(self.address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            client
        }

        fn under_way(&self) -> usize {
            self.under_way.load(Ordering::Relaxed)
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_of_an_answer_does_not_hold_it_for_ever() {
        let server = Server::start(64 << 10, Duration::ZERO).await;
        let begun = Instant::now();
        let client = server.ask().await;
        let ends = async {
            while server.under_way() == 0 || begun.elapsed() < PATIENCE / 2 {
                sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(server.under_way(), 1, "it has its time");
            while server.under_way() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE * 10, ends).await.expect("the answer to end");
        drop(client);
    }

    #[tokio::test]
    async fn a_client_that_takes_a_byte_now_and_then_does_not_hold_an_answer_either() {
        let server = Server::start(64 << 10, Duration::ZERO).await;
        let mut client = server.ask().await;
        let reading = async {
            loop {
                client.read_u8().await.unwrap();
                sleep(Duration::from_millis(50)).await;
                if server.under_way() == 0 {
                    return;
                }
            }
        };
        timeout(PATIENCE * 10, reading).await.expect("the answer to end");
    }

    #[tokio::test]
    async fn an_answer_that_is_silent_for_long_is_not_disturbed() {
        let server = Server::start(10, PATIENCE * 2).await;
        let mut client = server.ask().await;
        let mut heard = Vec::new();
        while heard.iter().filter(|byte| **byte == b'x').count() < 30 {
            assert!(client.read_buf(&mut heard).await.unwrap() > 0, "it goes on");
        }
    }

    #[tokio::test]
    async fn who_stops_in_the_middle_of_its_headers_is_told_so_and_who_says_nothing_is_not() {
        let server = Server::start(10, PATIENCE).await;
        for (said, told) in [("GET / HTTP/1.1\r\nho", "HTTP/1.1 408 "), ("", "")] {
            let mut client = TcpStream::connect(server.address).await.unwrap();
            client.write_all(said.as_bytes()).await.unwrap();
            let mut heard = String::new();
            timeout(PATIENCE * 10, client.read_to_string(&mut heard)).await.expect("an end").unwrap();
            assert!(heard.starts_with(told) && heard.is_empty() == told.is_empty(), "{said}: {heard}");
        }
    }
}
