//! How telemetry gets to the collector: one request after another, on the thread that the SDK has for a signal.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};

/// Sends the requests of one signal, and says once when that fails and once when it works again.
#[derive(Debug)]
pub(super) struct Client {
    signal: &'static str,
    http: reqwest::blocking::Client,
    is_away: AtomicBool,
}

impl Client {
    /// Nothing is connected to yet.
    pub(super) fn new(signal: &'static str, timeout: Duration) -> Result<Self> {
        // The one that the rest of the host uses. That somebody has chosen one before is no failure.
        drop(rustls::crypto::ring::default_provider().install_default());
        let build = move || {
            // A proxy is asked for by the environment of every program; a redirect would lead the headers, with a token perhaps, elsewhere.
            let redirect = reqwest::redirect::Policy::none();
            reqwest::blocking::Client::builder().timeout(timeout).redirect(redirect).build()
        };
        // It must not be made where futures are run.
        let made = thread::spawn(build).join().map_err(|_| anyhow!("the HTTP client could not be made"))?;
        let http = made
            .context("cannot speak HTTP: are the certificates of authorities installed (ca-certificates)?")?;
        Ok(Self { signal, http, is_away: AtomicBool::new(false) })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
        let response = self.http.execute(request.try_into()?)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut answer = Response::new(response.bytes()?);
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }

    fn note(&self, problem: Option<&str>) {
        let was_away = self.is_away.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_away => tracing::warn!(
                "the collector takes no {}: {problem}. Until it does, what does not fit in the queue is dropped",
                self.signal
            ),
            None if was_away => tracing::info!("the collector takes {} again", self.signal),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    /// Blocks the thread, which is the SDK's own.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match self.send(request) {
            Ok(answer) => {
                let refused =
                    (!answer.status().is_success()).then(|| format!("it answers {}", answer.status()));
                self.note(refused.as_deref());
                Ok(answer)
            }
            Err(error) => {
                // Without the URL, which may hold a password.
                let error = error.without_url();
                self.note(Some(&format!("{:#}", anyhow!(error))));
                Err("the collector cannot be reached".into())
            }
        }
    }
}
