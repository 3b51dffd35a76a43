//! Platforms that have less than this host. Under `--restrict` what one of them lacks is refused by name, so that what runs here
//! can run there. Nothing is added: an application needs no more of this host than it did before.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use indexmap::IndexMap;

use crate::{
    component::LoadedComponent,
    engine::{Code, Limits},
    http_trigger::{AnswerLimits, RequestLimits},
    manifest::Manifest,
    reuse::{Choice, Reuse, Span},
};

/// A platform that applications are deployed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// Akamai Functions, as its documentation has it ("Quotas and limits").
    Functions,
}

/// What Akamai Functions is called in refusals.
const NAME: &str = "Akamai Functions";

/// The one key-value store there is.
const LABEL: &str = "default";

/// What an instance may have of memory, in bytes.
const MEMORY: usize = 128 << 20;

/// What all code of an application may come to, in bytes.
const APPLICATION: usize = 50 << 20;

/// How long the body of a request or of an answer may be, in bytes.
const BODY: u64 = 10 << 20;

/// How long a request may take until the end of its answer.
const REQUEST: Duration = Duration::from_secs(30);

/// The interfaces that components may not import, by how their names begin, and what they are.
const ABSENT: [(&str, &str); 5] = [
    ("spin:sqlite/", "no SQLite"),
    ("fermyon:spin/sqlite", "no SQLite"),
    ("wasi:keyvalue/atomics", "no atomic counters in its key-value store"),
    ("spin:mqtt/", "no MQTT"),
    ("wasi:messaging/", "no messaging"),
];

impl Platform {
    /// Refuses what the manifest asks for in vain.
    pub(crate) fn check(self, manifest: &Manifest, has_runtime_config: bool) -> Result<()> {
        ensure!(
            !has_runtime_config,
            "--runtime-config-file: {NAME} has no runtime configuration; leave it out, and give variables by `--variable`"
        );
        if let Some(trigger) = manifest.redis_triggers.first() {
            bail!(
                "[[trigger.redis]] of component `{}`: {NAME} has no Redis trigger; use an HTTP trigger",
                trigger.component
            );
        }
        for id in manifest.triggered_components() {
            let Some(component) = manifest.components.get(id) else { continue };
            if let Some(label) = component.sqlite_databases.first() {
                bail!("[component.{id}] sqlite_databases: `{label}`: {NAME} has no SQLite; use PostgreSQL");
            }
            if let Some(label) = component.key_value_stores.iter().find(|label| *label != LABEL) {
                bail!(
                    "[component.{id}] key_value_stores: `{label}`: {NAME} has one key-value store, with the label `{LABEL}`"
                );
            }
        }
        Ok(())
    }

    /// Refuses code that is too large.
    pub(crate) fn check_size(self, codes: &IndexMap<String, Code>) -> Result<()> {
        let size: usize = codes.values().map(|code| code.bytes.len()).sum();
        ensure!(
            size <= APPLICATION,
            "the code of the components comes to {size} bytes: an application on {NAME} may have {APPLICATION}"
        );
        Ok(())
    }

    /// Refuses code that imports what is not there: no instance could be made of it.
    pub(crate) fn check_imports(self, components: &IndexMap<String, Arc<LoadedComponent>>) -> Result<()> {
        for (id, component) in components {
            let code = component.pre.component();
            for (import, _) in code.component_type().imports(code.engine()) {
                if let Some((_, lacks)) = ABSENT.iter().find(|(name, _)| import.starts_with(name)) {
                    bail!("component `{id}`: it imports `{import}`, and {NAME} has {lacks}");
                }
            }
        }
        Ok(())
    }

    /// No more memory than an instance has there.
    pub(crate) fn lower(self, limits: Limits) -> Limits {
        Limits { max_memory: limits.max_memory.min(MEMORY), ..limits }
    }

    /// No longer bodies, and no longer answers.
    pub(crate) fn lower_requests(self, limits: RequestLimits) -> RequestLimits {
        let answers = AnswerLimits { duration: REQUEST, length: BODY };
        RequestLimits { max_body: limits.max_body.min(BODY), answers: Some(answers), ..limits }
    }

    /// No more time until an answer begins.
    pub(crate) fn lower_reuse(self, reuse: Reuse) -> Reuse {
        let longest = match reuse.request_timeout {
            Choice::Value(Span(time)) | Choice::Between(_, Span(time)) => time,
        };
        match longest > REQUEST {
            true => Reuse { request_timeout: Choice::Value(Span(REQUEST)), ..reuse },
            false => reuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_lowered_and_never_raised() {
        let (wide, narrow) = (Limits { max_memory: 1 << 30, ..Limits::default() }, 4 << 20);
        assert_eq!(Platform::Functions.lower(wide).max_memory, 128 << 20);
        let limits = Limits { max_memory: narrow, ..Limits::default() };
        assert_eq!(Platform::Functions.lower(limits).max_memory, narrow);

        let lowered = Platform::Functions.lower_requests(RequestLimits::default());
        assert_eq!(lowered.max_body, 10 << 20);
        let answers = lowered.answers.unwrap();
        assert_eq!((answers.duration, answers.length), (Duration::from_secs(30), 10 << 20));
        let small = RequestLimits { max_body: 1, ..RequestLimits::default() };
        assert_eq!(Platform::Functions.lower_requests(small).max_body, 1);

        for (given, had) in [("60s", "30s"), ("10s..40s", "30s"), ("5s", "5s"), ("1s..8s", "1s..8s")] {
            let reuse = Reuse { request_timeout: given.parse().unwrap(), ..Reuse::default() };
            assert_eq!(
                Platform::Functions.lower_reuse(reuse).request_timeout,
                had.parse().unwrap(),
                "{given}"
            );
        }
    }

    #[test]
    fn an_application_that_is_too_large_is_refused_with_its_size() {
        let codes = |length| IndexMap::from([("c".to_owned(), Code::new(vec![0; length]))]);
        assert!(Platform::Functions.check_size(&codes(APPLICATION)).is_ok());
        let refusal = Platform::Functions.check_size(&codes(APPLICATION + 1)).unwrap_err().to_string();
        assert!(refusal.contains("52428801 bytes") && refusal.contains(NAME), "{refusal}");
    }
}
