//! An instance's stores, and the interfaces it reaches them by.

use std::{collections::BTreeSet, sync::Arc};

use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};

use super::{
    bindings::{
        spin::key_value::key_value as spin,
        wasi::keyvalue::{atomics, store as wasi},
    },
    config::Stores,
    error::Error,
    store::Store,
};
use crate::telemetry::{self, Call, Traces};

/// How many stores one instance may hold open; Spin's own limit.
const STORES: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The key-value stores one instance may use, and those it has open.
pub struct KeyValueState {
    stores: Arc<Stores>,
    granted: Arc<BTreeSet<String>>,
    open: ResourceTable,
    traces: Traces,
}

impl KeyValueState {
    /// `granted` are the labels under `key_value_stores` of the instance's component; what is done belongs to `traces`.
    pub(crate) fn new(stores: Arc<Stores>, granted: Arc<BTreeSet<String>>, traces: Traces) -> Self {
        let mut open = ResourceTable::new();
        open.set_max_capacity(STORES);
        Self { stores, granted, open, traces }
    }

    /// Opens the store behind `label`, if the component may.
    fn open(&mut self, label: &str) -> Result<Resource<Store>, Error> {
        if !self.granted.contains(label) {
            return Err(Error::AccessDenied);
        }
        let store = self.stores.get(label).ok_or(Error::NoSuchStore)?;
        self.open.push(store).map_err(|_| Error::StoreTableFull)
    }

    fn store(&self, store: &Resource<Store>) -> wasmtime::Result<Store> {
        Ok(self.open.get(store)?.clone())
    }

    fn close(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.open.delete(store)?;
        Ok(())
    }
}

struct HasKeyValue;

impl HasData for HasKeyValue {
    type Data<'a> = &'a mut KeyValueState;
}

/// Offers `spin:key-value` and `wasi:keyvalue` to the components of `linker`.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    state: fn(&mut T) -> &mut KeyValueState,
) -> wasmtime::Result<()> {
    spin::add_to_linker::<T, HasKeyValue>(linker, state)?;
    wasi::add_to_linker::<T, HasKeyValue>(linker, state)?;
    atomics::add_to_linker::<T, HasKeyValue>(linker, state)
}

impl spin::Host for KeyValueState {}

impl spin::HostStore for KeyValueState {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.close(store)
    }
}

fn store<T: 'static>(
    accessor: &Accessor<T, HasKeyValue>,
    store: &Resource<Store>,
) -> wasmtime::Result<Store> {
    accessor.with(|mut access| access.get().store(store))
}

/// A call of the interface, for the telemetry: without the key, which may be about somebody.
fn begin<T: 'static>(accessor: &Accessor<T, HasKeyValue>, name: &'static str) -> Call {
    telemetry::call(accessor, |state| state.traces.clone(), || (name.into(), Vec::new()))
}

impl<T: Send + 'static> spin::HostStoreWithStore<T> for HasKeyValue {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Answer<Resource<Store>> {
        let call = begin(accessor, "spin_key_value.open");
        let opened = accessor.with(|mut access| access.get().open(&label));
        call.end(&opened);
        Ok(opened)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let store = store(accessor, &resource)?;
        let call = begin(accessor, "spin_key_value.get");
        let outcome = store.get(key).await;
        call.end(&outcome);
        Ok(outcome)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let store = store(accessor, &resource)?;
        let call = begin(accessor, "spin_key_value.set");
        let outcome = store.set(key, value).await;
        call.end(&outcome);
        Ok(outcome)
    }

    async fn delete(accessor: &Accessor<T, Self>, resource: Resource<Store>, key: String) -> Answer<()> {
        let store = store(accessor, &resource)?;
        let call = begin(accessor, "spin_key_value.delete");
        let outcome = store.delete(key).await;
        call.end(&outcome);
        Ok(outcome)
    }
}

fn explain(error: Error) -> wasi::Error {
    match error {
        Error::NoSuchStore => wasi::Error::NoSuchStore,
        Error::AccessDenied => wasi::Error::AccessDenied,
        Error::StoreTableFull => wasi::Error::Other("store table full".to_owned()),
        Error::Other(text) => wasi::Error::Other(text),
    }
}

impl wasi::Host for KeyValueState {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Store>, wasi::Error>> {
        Ok(Self::open(self, &label).map_err(explain))
    }
}

impl wasi::HostBucket for KeyValueState {
    async fn drop(&mut self, bucket: Resource<Store>) -> wasmtime::Result<()> {
        self.close(bucket)
    }
}

impl atomics::Host for KeyValueState {
    async fn increment(
        &mut self,
        bucket: Resource<Store>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, wasi::Error>> {
        let store = self.store(&bucket)?;
        let call = Call::sole(&self.traces, "spin_key_value.increment");
        let outcome = store.increment(key, delta).await;
        call.end(&outcome);
        Ok(outcome.map_err(explain))
    }
}
