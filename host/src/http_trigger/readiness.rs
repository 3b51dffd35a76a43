//! Whether requests should come here: what a load balancer, or Kubernetes, asks as readiness.
//!
//! Ready is who can answer: each component is asked for the collection at its own route, which takes its store. One that
//! answers with a failure, or not in time, makes the host not ready; so does being told to stop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::WasiBody;

use super::{CHAINED_CLIENT, HttpTrigger, answer};

/// How long what was found counts: several that ask at once cost no more than one.
const CACHED: Duration = Duration::from_secs(1);

/// How long a component may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found when, and whether the host is about to stop.
pub(super) struct Readiness {
    leaving: CancellationToken,
    found: Mutex<Option<(Instant, Arc<[String]>)>>,
}

impl Readiness {
    /// Not ready as soon as `leaving` is canceled.
    pub(super) fn new(leaving: CancellationToken) -> Self {
        Self { leaving, found: Mutex::default() }
    }
}

impl HttpTrigger {
    /// 200 where requests can be answered, else 503 and why not.
    pub(super) async fn answer_readiness(&self) -> Response<WasiBody> {
        if self.readiness.leaving.is_cancelled() {
            return answer::not_ready("The host is about to stop.");
        }
        let mut found = self.readiness.found.lock().await;
        let failing = match &*found {
            Some((at, failing)) if at.elapsed() < CACHED => failing.clone(),
            _ => {
                let failing: Arc<[String]> = self.failing().await.into();
                *found = Some((Instant::now(), failing.clone()));
                failing
            }
        };
        match failing.is_empty() {
            true => answer::text("OK"),
            false => answer::not_ready(&failing.join(" ")),
        }
    }

    /// Which components do not answer as they should, each in a sentence.
    async fn failing(&self) -> Vec<String> {
        let mut routes: Vec<_> =
            self.routes.iter().filter_map(|it| Some((&it.component, it.collection()?))).collect();
        routes.dedup_by(|one, other| one.0 == other.0);
        let asked = routes.into_iter().map(|(component, path)| async move {
            let answer = tokio::time::timeout(PATIENCE, self.probe(&path)).await;
            match answer {
                Ok(Some(status)) if status.is_server_error() => {
                    Some(format!("Component `{component}` answers `{path}` with {status}."))
                }
                Ok(_) => None,
                Err(_) => Some(format!("Component `{component}` does not answer `{path}` in {PATIENCE:?}.")),
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn probe(&self, path: &str) -> Option<http::StatusCode> {
        let matched = self.routes.find(path)?;
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::builder()
            .method(Method::HEAD)
            .uri(format!("http://localhost{path}"))
            .header(header::HOST, "localhost")
            .body(body)
            .ok()?;
        Some(self.call(&matched, request, CHAINED_CLIENT).await.status())
    }
}
