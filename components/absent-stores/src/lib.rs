//! Stands in for the stores that a platform has not: SQLite, and counters in the key-value store.
//!
//! Every context is one `.wasm` for every platform, and imports all the kinds of store that it may be set up with. Where a
//! platform lacks one, no instance could be made of a component that imports it; so this is composed into it there
//! (`cargo xtask build` does it, into `target/functions`), and whatever is opened is refused as a store that was not granted.

use bindings::exports::spin::sqlite::sqlite;
use bindings::exports::wasi::keyvalue::{atomics, store};

/// The interfaces as they are elsewhere.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated code")]
    ::wit_bindgen::generate!({
        inline: "
            package sugang:absent;

            world absent-stores {
                export spin:sqlite/sqlite@3.1.0;
                export wasi:keyvalue/store@0.2.0-draft2;
                export wasi:keyvalue/atomics@0.2.0-draft2;
            }
        ",
        path: "../../host/wit",
        world: "sugang:absent/absent-stores",
    });
    // A native build is for tests only, and its linker takes no such names.
    #[cfg(target_arch = "wasm32")]
    export!(Absent with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Absent;
}

/// What is exported.
pub struct Absent;

/// A store that is open. There is none.
pub enum Open {}

impl sqlite::Guest for Absent {
    type Connection = Open;
}

impl sqlite::GuestConnection for Open {
    fn open(_database: String) -> Result<sqlite::Connection, sqlite::Error> {
        Err(sqlite::Error::AccessDenied)
    }

    async fn open_async(_database: String) -> Result<sqlite::Connection, sqlite::Error> {
        Err(sqlite::Error::AccessDenied)
    }

    fn execute(
        &self,
        _statement: String,
        _parameters: Vec<sqlite::Value>,
    ) -> Result<sqlite::QueryResult, sqlite::Error> {
        match *self {}
    }

    async fn execute_async(
        &self,
        _statement: String,
        _parameters: Vec<sqlite::Value>,
    ) -> Result<
        (
            Vec<String>,
            ::wit_bindgen::StreamReader<sqlite::RowResult>,
            ::wit_bindgen::FutureReader<Result<(), sqlite::Error>>,
        ),
        sqlite::Error,
    > {
        match *self {}
    }
}

impl store::Guest for Absent {
    type Bucket = Open;

    fn open(_identifier: String) -> Result<store::Bucket, store::Error> {
        Err(store::Error::AccessDenied)
    }
}

impl store::GuestBucket for Open {}

impl atomics::Guest for Absent {
    fn increment(bucket: store::BucketBorrow<'_>, _key: String, _delta: i64) -> Result<i64, store::Error> {
        match *bucket.get::<Open>() {}
    }
}
