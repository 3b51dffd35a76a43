//! A component of the running application: its code, linked, and what it was granted.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use wasmtime::{
    Store,
    component::{InstancePre, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, filesystem::FsPerms};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::{
    engine::{BusyTime, Limits, MemoryLimit},
    instance::{InstanceState, store},
    key_value::{self, KeyValueState},
    logs::Output,
    metrics,
    outbound::{
        allowed_hosts::AllowedHosts,
        http::{InstanceHttp, OutboundHttp},
    },
    postgres::{Pools, PostgresState},
    redis_client::{Links, RedisState},
    sqlite::{Databases, SqliteState},
    telemetry::Traces,
    variables::ComponentVariables,
};

/// What a component was granted, settled once at start and shared by its instances.
pub struct Grants {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) allowed_hosts: Arc<AllowedHosts>,
    pub(crate) variables: ComponentVariables,
    pub(crate) http: Arc<OutboundHttp>,
    pub(crate) stores: Stores,
    /// As in Spin, of the component alone: one that needs many connections takes none from another.
    pub(crate) postgres: Arc<Pools>,
    pub(crate) database_labels: Arc<BTreeSet<String>>,
    pub(crate) key_value_labels: Arc<BTreeSet<String>>,
    pub(crate) output: Output,
}

/// The application's stores, shared by all its components.
#[derive(Clone)]
pub struct Stores {
    pub(crate) databases: Arc<Databases>,
    pub(crate) key_value: Arc<key_value::Stores>,
    pub(crate) redis: Arc<Links>,
}

/// A host directory that a component may read.
pub struct Directory {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
}

/// A component that can be instantiated.
pub struct LoadedComponent {
    /// The component's id in the manifest.
    pub id: Arc<str>,
    pub(crate) pre: InstancePre<InstanceState>,
    pub(crate) grants: Grants,
    pub(crate) limits: Limits,
}

/// What called a component; it decides what the instance may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledBy {
    /// An HTTP request.
    Http,
    /// A message on a Redis channel.
    Redis,
}

impl LoadedComponent {
    /// A store for a new instance, with what the component was granted.
    pub fn store(&self, called_by: CalledBy) -> Result<Store<InstanceState>> {
        metrics::INSTANCES.add_one();
        let grants = &self.grants;
        let traces = Traces::new();
        let state = InstanceState {
            component: self.id.clone(),
            table: ResourceTable::new(),
            wasi: self.wasi(&traces)?,
            http_context: WasiHttpCtx::new(),
            http: InstanceHttp {
                shared: grants.http.clone(),
                allowed: grants.allowed_hosts.clone(),
                may_chain: called_by == CalledBy::Http,
                traces: traces.clone(),
            },
            variables: grants.variables.clone(),
            sqlite: SqliteState::new(
                grants.stores.databases.clone(),
                grants.database_labels.clone(),
                traces.clone(),
            ),
            key_value: KeyValueState::new(
                grants.stores.key_value.clone(),
                grants.key_value_labels.clone(),
                traces.clone(),
            ),
            redis: RedisState::new(grants.stores.redis.clone(), grants.allowed_hosts.clone(), traces.clone()),
            postgres: PostgresState::new(grants.postgres.clone(), grants.allowed_hosts.clone())
                .traced(&traces),
            traces,
            memory: MemoryLimit::new(self.limits.max_memory),
            busy: BusyTime::new(self.limits.max_busy_time),
        };
        Ok(store(self.pre.engine(), state))
    }

    /// Neither arguments nor network; of environment and files, what the manifest grants.
    fn wasi(&self, traces: &Traces) -> Result<WasiCtx> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(self.grants.output.in_trace(traces))
            .stderr(self.grants.output.in_trace(traces))
            .envs(&self.grants.environment)
            .allow_tcp(false)
            .allow_udp(false);
        for directory in &self.grants.directories {
            wasi.preopened_dir(&directory.host, &directory.guest, FsPerms::ReadOnly)
                .map_err(anyhow::Error::from)
                .with_context(|| format!("cannot open `{}`", directory.host.display()))?;
        }
        Ok(wasi.build())
    }
}
