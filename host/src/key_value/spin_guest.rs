//! What components call: `spin:key-value/key-value@3.0.0`.

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::{
    guest::{HasKeyValue, KeyValueState, bindings::spin::key_value::key_value as interface},
    store::{Error, Store},
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl interface::Host for KeyValueState {}

impl interface::HostStore for KeyValueState {
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

impl<T: Send + 'static> interface::HostStoreWithStore<T> for HasKeyValue {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Answer<Resource<Store>> {
        accessor.with(|mut access| access.get().open(&label))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        Ok(store(accessor, &resource)?.get(&key).await)
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

    async fn exists(accessor: &Accessor<T, Self>, resource: Resource<Store>, key: String) -> Answer<bool> {
        Ok(store(accessor, &resource)?.exists(&key).await)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        resource: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, outcome) = match store(accessor, &resource)?.keys().await {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let outcome = FutureReader::new(&mut access, async { wasmtime::error::Ok(outcome) })?;
            Ok((keys, outcome))
        })
    }
}
