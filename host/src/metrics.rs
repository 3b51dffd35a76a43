//! What the host has done for components, counted since the process started.
//!
//! `--metrics-listen` answers the counts as Prometheus text, to whatever is asked there. They belong to the process
//! and not to one application, so that counting is one atomic addition wherever something happens.

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A count that only grows.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $help:literal])+ $constant:ident = $name:literal;)+) => {
        $($(#[doc = $help])+ pub(crate) static $constant: Counter = Counter(AtomicU64::new(0));)+

        /// Every counter with its name and what it counts.
        static ALL: &[(&str, &str, &Counter)] = &[$((concat!("sugang.", $name), concat!($($help),+), &$constant)),+];
    };
}

counters! {
    /// SQL statements that components had executed.
    SQL_STATEMENTS = "sql_statements";
    /// Write transactions that were committed, each with a sync of its store; a group of statements is one.
    SQL_COMMITS = "sql_commits";
    /// Commands sent to a Redis for components, the PING of every open among them.
    REDIS_COMMANDS = "redis_commands";
    /// Statements that components had a PostgreSQL execute.
    POSTGRES_STATEMENTS = "postgres_statements";
    /// Messages of Redis triggers that components handled, ticks among them.
    REDIS_MESSAGES = "redis_messages";
    /// Instances of components that were made.
    INSTANCES = "instances";
}

/// Every counter with its name, as OpenTelemetry has it, and what it counts.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static Counter)> {
    ALL.iter().map(|(name, help, counter)| (*name, help.trim(), *counter))
}

/// All counts in Prometheus' text format, under the names that a collector would give them there.
fn text() -> String {
    let mut text = String::new();
    for (name, help, counter) in all() {
        let (name, count) = (format!("{}_total", name.replace('.', "_")), counter.count());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
    }
    text
}

/// Answers every request with the counts, for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files: it passes when some connections end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let service = service_fn(async |_| {
            let mut response = Response::new(Full::new(Bytes::from(text())));
            let format = http::HeaderValue::from_static("text/plain; version=0.0.4");
            response.headers_mut().insert(CONTENT_TYPE, format);
            Ok::<_, Infallible>(response)
        });
        tokio::spawn(async move {
            // Who goes away in the middle of an answer needs none.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_told_with_its_help_type_and_value() {
        INSTANCES.add_one();
        let text = text();
        assert!(text.contains("# HELP sugang_instances_total Instances of components"), "{text}");
        assert!(text.contains("# TYPE sugang_instances_total counter\n"), "{text}");
        let value = text.lines().find_map(|line| line.strip_prefix("sugang_instances_total "));
        assert!(value.unwrap().parse::<u64>().unwrap() >= 1, "{text}");
    }
}
