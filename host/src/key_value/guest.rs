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

/// How many stores one instance may hold open; Spin's own limit.
const STORES: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The key-value stores one instance may use, and those it has open.
pub struct KeyValueState {
    stores: Arc<Stores>,
    granted: Arc<BTreeSet<String>>,
    open: ResourceTable,
    count: usize,
}

impl KeyValueState {
    /// `granted` are the labels under `key_value_stores` of the instance's component.
    pub fn new(stores: Arc<Stores>, granted: Arc<BTreeSet<String>>) -> Self {
        Self { stores, granted, open: ResourceTable::new(), count: 0 }
    }

    /// Opens the store behind `label`, if the component may.
    fn open(&mut self, label: &str) -> Answer<Resource<Store>> {
        if !self.granted.contains(label) {
            return Ok(Err(Error::AccessDenied));
        }
        let Some(store) = self.stores.get(label) else { return Ok(Err(Error::NoSuchStore)) };
        if self.count >= STORES {
            return Ok(Err(Error::StoreTableFull));
        }
        self.count += 1;
        Ok(Ok(self.open.push(store)?))
    }

    fn store(&self, store: &Resource<Store>) -> wasmtime::Result<Store> {
        Ok(self.open.get(store)?.clone())
    }

    fn close(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.open.delete(store)?;
        self.count = self.count.saturating_sub(1);
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

impl<T: Send + 'static> spin::HostStoreWithStore<T> for HasKeyValue {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Answer<Resource<Store>> {
        accessor.with(|mut access| access.get().open(&label))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        Ok(store(accessor, &resource)?.get(key).await)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        Ok(store(accessor, &resource)?.set(key, value).await)
    }

    async fn delete(accessor: &Accessor<T, Self>, resource: Resource<Store>, key: String) -> Answer<()> {
        Ok(store(accessor, &resource)?.delete(key).await)
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
        Ok(Self::open(self, &label)?.map_err(explain))
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
        Ok(self.store(&bucket)?.increment(key, delta).await.map_err(explain))
    }
}
