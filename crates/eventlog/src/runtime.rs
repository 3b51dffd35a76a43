//! What this crate needs of the runtime around it: a connection to Redis, variables, requests, pauses, and work that goes on by
//! itself. In a component that is Spin's; the tests have their own, so that all the rest runs as it is, natively and against a
//! real Redis.

#[cfg(test)]
pub(crate) use crate::tests::native::{Connection, post, sleep, spawn, variable};
#[cfg(not(test))]
pub(crate) use settings::optional as variable;
#[cfg(not(test))]
pub(crate) use spin_sdk::{redis::Connection, time::sleep, wasip3::spawn};

/// Sends a wake-up, and waits until whoever is woken has done its work.
#[cfg(not(test))]
pub(crate) async fn post(url: String, key: &str) -> anyhow::Result<()> {
    use spin_sdk::http::FullBody;
    let request = http::Request::post(url).header(kernel::waking::KEY_HEADER, key);
    let request = request.body(FullBody::new(bytes::Bytes::new()))?;
    let response = spin_sdk::http::send(request).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    anyhow::ensure!(response.status().is_success(), "it answered {}", response.status());
    Ok(())
}
