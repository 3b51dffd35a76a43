//! One instance of a component: what it holds while it runs, and the host functions it sees.

use std::sync::Arc;

use anyhow::Result;
use wasmtime::{
    Store, UpdateDeadline,
    component::{Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    engine::{BusyTime, MemoryLimit},
    key_value::{self, KeyValueState},
    outbound::http::InstanceHttp,
    postgres::{self, PostgresState},
    redis_client::{self, RedisState},
    sqlite::{self, SqliteState},
    telemetry::{self, Traces},
    variables::{self, ComponentVariables, VariablesView},
};

/// What an instance holds: its own copy of everything its component was granted.
pub struct InstanceState {
    pub(crate) component: Arc<str>,
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) http_context: WasiHttpCtx,
    pub(crate) http: InstanceHttp,
    pub(crate) variables: ComponentVariables,
    pub(crate) sqlite: SqliteState,
    pub(crate) key_value: KeyValueState,
    pub(crate) redis: RedisState,
    pub(crate) postgres: PostgresState,
    pub(crate) traces: Traces,
    pub(crate) memory: MemoryLimit,
    pub(crate) busy: BusyTime,
}

impl Drop for InstanceState {
    fn drop(&mut self) {
        telemetry::instance_ended(&self.component, self.memory.taken());
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http_context, table: &mut self.table, hooks: &mut self.http }
    }
}

/// Everything this host offers to components, in one linker.
pub fn linker(engine: &wasmtime::Engine) -> Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    variables::add_to_linker(&mut linker, |state: &mut InstanceState| VariablesView(&state.variables))?;
    sqlite::add_to_linker(&mut linker, |state: &mut InstanceState| &mut state.sqlite)?;
    key_value::add_to_linker(&mut linker, |state: &mut InstanceState| &mut state.key_value)?;
    redis_client::add_to_linker(&mut linker, |state: &mut InstanceState| &mut state.redis)?;
    postgres::add_to_linker(&mut linker, |state: &mut InstanceState| &mut state.postgres)?;
    Ok(linker)
}

/// A store whose code is interrupted when it computes for too long or asks for too much memory.
pub fn store(engine: &wasmtime::Engine, state: InstanceState) -> Store<InstanceState> {
    let busy = state.busy.clone();
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        if busy.interrupted() {
            Ok(UpdateDeadline::Yield(1))
        } else {
            wasmtime::bail!("it computed for too long without waiting for anything (a loop?)")
        }
    });
    store
}
