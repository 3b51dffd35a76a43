//! An instance's stores, and the interfaces it reaches them by.

use std::{collections::BTreeSet, sync::Arc};

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::{
    config::Stores,
    store::{Error, Store},
};

pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "
            package sugang:key-value-host;
            world stores {
                include sugang:host/key-value;
                include sugang:host/wasi-key-value;
            }
        ",
        world: "sugang:key-value-host/stores",
        imports: { default: async | trappable },
        with: {
            "spin:key-value/key-value.store": crate::key_value::Store,
            "wasi:keyvalue/store.bucket": crate::key_value::Store,
            "wasi:keyvalue/atomics.cas": crate::key_value::Swap,
        },
    });
}

/// How many stores one instance may hold open; Spin's own limit.
const STORES: usize = 256;

/// The key-value stores one instance may use, and those it has open.
pub struct KeyValueState {
    stores: Arc<Stores>,
    granted: Arc<BTreeSet<String>>,
    pub(super) open: ResourceTable,
    count: usize,
    pub(super) swaps: usize,
}

impl KeyValueState {
    /// `granted` are the labels under `key_value_stores` of the instance's component.
    pub fn new(stores: Arc<Stores>, granted: Arc<BTreeSet<String>>) -> Self {
        Self { stores, granted, open: ResourceTable::new(), count: 0, swaps: 0 }
    }

    /// Opens the store behind `label`, if the component may.
    pub(super) fn open(&mut self, label: &str) -> wasmtime::Result<Result<Resource<Store>, Error>> {
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

    pub(super) fn store(&self, store: &Resource<Store>) -> wasmtime::Result<Store> {
        Ok(self.open.get(store)?.clone())
    }

    pub(super) fn close(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.open.delete(store)?;
        self.count = self.count.saturating_sub(1);
        Ok(())
    }
}

pub(super) struct HasKeyValue;

impl HasData for HasKeyValue {
    type Data<'a> = &'a mut KeyValueState;
}

/// Offers `spin:key-value` and `wasi:keyvalue` to the components of `linker`.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    state: fn(&mut T) -> &mut KeyValueState,
) -> wasmtime::Result<()> {
    bindings::spin::key_value::key_value::add_to_linker::<T, HasKeyValue>(linker, state)?;
    bindings::wasi::keyvalue::store::add_to_linker::<T, HasKeyValue>(linker, state)?;
    bindings::wasi::keyvalue::atomics::add_to_linker::<T, HasKeyValue>(linker, state)?;
    bindings::wasi::keyvalue::batch::add_to_linker::<T, HasKeyValue>(linker, state)
}
