//! What components call: `wasi:keyvalue@0.2.0-draft2`, with `store`, `atomics` and `batch`.
//!
//! `watch` is for hosts that call components, which Spin does not do either.

use wasmtime::component::Resource;

use super::{
    guest::{
        KeyValueState,
        bindings::wasi::keyvalue::{
            atomics::{self, CasError},
            batch,
            store::{self as interface, Error, KeyResponse},
        },
    },
    store::{Error as StoreError, Store},
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// How many compare-and-swaps one instance may hold; Spin's own limit.
const SWAPS: usize = 256;

/// A compare-and-swap under way.
pub struct Swap {
    store: Store,
    key: String,
    /// What the key held when it was last looked at; only then does a swap succeed.
    seen: Option<Vec<u8>>,
}

impl Swap {
    async fn begin(store: Store, key: String) -> Result<Self, StoreError> {
        let seen = store.get(&key).await?;
        Ok(Self { store, key, seen })
    }
}

fn explain(error: StoreError) -> Error {
    match error {
        StoreError::NoSuchStore => Error::NoSuchStore,
        StoreError::AccessDenied => Error::AccessDenied,
        StoreError::StoreTableFull => Error::Other("store table full".to_owned()),
        StoreError::Other(text) => Error::Other(text),
    }
}

impl interface::Host for KeyValueState {
    async fn open(&mut self, label: String) -> Answer<Resource<Store>> {
        Ok(Self::open(self, &label)?.map_err(explain))
    }
}

impl interface::HostBucket for KeyValueState {
    async fn get(&mut self, bucket: Resource<Store>, key: String) -> Answer<Option<Vec<u8>>> {
        Ok(self.store(&bucket)?.get(&key).await.map_err(explain))
    }

    async fn set(&mut self, bucket: Resource<Store>, key: String, value: Vec<u8>) -> Answer<()> {
        Ok(self.store(&bucket)?.set(key, value).await.map_err(explain))
    }

    async fn delete(&mut self, bucket: Resource<Store>, key: String) -> Answer<()> {
        Ok(self.store(&bucket)?.delete(key).await.map_err(explain))
    }

    async fn exists(&mut self, bucket: Resource<Store>, key: String) -> Answer<bool> {
        Ok(self.store(&bucket)?.exists(&key).await.map_err(explain))
    }

    async fn list_keys(&mut self, bucket: Resource<Store>, cursor: Option<String>) -> Answer<KeyResponse> {
        if cursor.is_some() {
            return Ok(Err(Error::Other("list_keys: cursor not supported".to_owned())));
        }
        let keys = self.store(&bucket)?.keys().await;
        Ok(keys.map(|keys| KeyResponse { keys, cursor: None }).map_err(explain))
    }

    async fn drop(&mut self, bucket: Resource<Store>) -> wasmtime::Result<()> {
        self.close(bucket)
    }
}

impl batch::Host for KeyValueState {
    async fn get_many(
        &mut self,
        bucket: Resource<Store>,
        keys: Vec<String>,
    ) -> Answer<Vec<(String, Option<Vec<u8>>)>> {
        Ok(self.store(&bucket)?.get_many(keys).await.map_err(explain))
    }

    async fn set_many(&mut self, bucket: Resource<Store>, entries: Vec<(String, Vec<u8>)>) -> Answer<()> {
        Ok(self.store(&bucket)?.set_many(entries).await.map_err(explain))
    }

    async fn delete_many(&mut self, bucket: Resource<Store>, keys: Vec<String>) -> Answer<()> {
        Ok(self.store(&bucket)?.delete_many(keys).await.map_err(explain))
    }
}

impl atomics::Host for KeyValueState {
    async fn increment(&mut self, bucket: Resource<Store>, key: String, delta: i64) -> Answer<i64> {
        Ok(self.store(&bucket)?.increment(key, delta).await.map_err(explain))
    }

    async fn swap(&mut self, swap: Resource<Swap>, value: Vec<u8>) -> wasmtime::Result<Result<(), CasError>> {
        let Swap { store, key, seen } = self.take_swap(swap)?;
        match store.swap(key.clone(), seen, value).await {
            Ok(true) => Ok(Ok(())),
            // Somebody else was first: a new handle, with what they made of it.
            Ok(false) => match Swap::begin(store, key).await {
                Ok(again) => {
                    Ok(Err(self.keep_swap(again)?.map_or_else(CasError::StoreError, CasError::CasFailed)))
                }
                Err(error) => Ok(Err(CasError::StoreError(explain(error)))),
            },
            Err(error) => Ok(Err(CasError::StoreError(explain(error)))),
        }
    }
}

impl atomics::HostCas for KeyValueState {
    async fn new(&mut self, bucket: Resource<Store>, key: String) -> Answer<Resource<Swap>> {
        match Swap::begin(self.store(&bucket)?, key).await {
            Ok(swap) => self.keep_swap(swap),
            Err(error) => Ok(Err(explain(error))),
        }
    }

    async fn current(&mut self, swap: Resource<Swap>) -> Answer<Option<Vec<u8>>> {
        let Swap { store, key, .. } = self.open.get(&swap)?;
        match store.clone().get(&key.clone()).await {
            Ok(value) => {
                self.open.get_mut(&swap)?.seen.clone_from(&value);
                Ok(Ok(value))
            }
            Err(error) => Ok(Err(explain(error))),
        }
    }

    async fn drop(&mut self, swap: Resource<Swap>) -> wasmtime::Result<()> {
        self.take_swap(swap).map(drop)
    }
}

impl KeyValueState {
    fn keep_swap(&mut self, swap: Swap) -> Answer<Resource<Swap>> {
        if self.swaps >= SWAPS {
            return Ok(Err(Error::Other("too many compare_and_swaps opened".to_owned())));
        }
        self.swaps += 1;
        Ok(Ok(self.open.push(swap)?))
    }

    fn take_swap(&mut self, swap: Resource<Swap>) -> wasmtime::Result<Swap> {
        self.swaps = self.swaps.saturating_sub(1);
        Ok(self.open.delete(swap)?)
    }
}
