//! What stores promise, asked of every kind.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tokio::task::JoinSet;
use wasmtime::component::Resource;

use super::{
    bindings::wasi::keyvalue::{
        atomics,
        store::{self as wasi, HostBucket},
    },
    config::Stores,
    guest::KeyValueState,
    store::Store,
};
use crate::{redis_client::tests::Server, telemetry::Traces};

/// One store of each kind, with what keeps it alive.
struct Fixture {
    stores: Vec<(&'static str, Store)>,
    _directory: tempfile::TempDir,
    _server: Server,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start().await;
        let tables = format!(
            "[file]\ntype = 'spin'\npath = 'kv.db'\n[redis]\ntype = 'redis'\nurl = '{}'",
            server.url()
        );
        let stores =
            Stores::from_runtime_config(&tables.parse().unwrap(), directory.path(), directory.path())
                .unwrap();
        let labels = ["file", "redis"];
        stores.require("test", labels).await.unwrap();
        let stores = labels.map(|label| (label, stores.get(label).unwrap())).into();
        Self { stores, _directory: directory, _server: server }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn key(key: &str) -> String {
    key.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_kept_replaced_and_removed() {
    let fixture = Fixture::new().await;
    for (kind, store) in &fixture.stores {
        assert_eq!(store.get(key("a")).await.unwrap(), None, "{kind}");
        store.set(key("a"), bytes("1")).await.unwrap();
        store.set(key("a"), vec![0, 255]).await.unwrap();
        assert_eq!(store.get(key("a")).await.unwrap(), Some(vec![0, 255]), "{kind}");
        store.set(key("empty"), Vec::new()).await.unwrap();
        assert_eq!(store.get(key("empty")).await.unwrap(), Some(Vec::new()), "{kind}");
        store.delete(key("a")).await.unwrap();
        assert_eq!(store.get(key("a")).await.unwrap(), None, "{kind}");
        store.delete(key("absent")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_increments_all_count() {
    let fixture = Fixture::new().await;
    for (kind, store) in &fixture.stores {
        let mut tasks = JoinSet::new();
        for _ in 0..200 {
            let store = store.clone();
            tasks.spawn(async move { store.increment("n".to_owned(), 2).await.unwrap() });
        }
        let mut sums = tasks.join_all().await;
        sums.sort_unstable();
        assert_eq!(sums, (1..=200).map(|n| n * 2).collect::<Vec<_>>(), "{kind}");
        assert_eq!(store.increment("n".to_owned(), -401).await.unwrap(), -1, "{kind}");

        store.set("text".to_owned(), bytes("text")).await.unwrap();
        assert!(store.increment("text".to_owned(), 1).await.is_err(), "{kind}");
        assert_eq!(store.get(key("text")).await.unwrap(), Some(bytes("text")), "{kind}");
        store.increment("large".to_owned(), i64::MAX).await.unwrap();
        assert!(store.increment("large".to_owned(), 1).await.is_err(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_one_file_keep_apart_and_outlive_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[one]\ntype = 'spin'\npath = 'kv.db'\n[two]\ntype = 'spin'\npath = 'kv.db'";
    let open = async || {
        let stores =
            Stores::from_runtime_config(&tables.parse().unwrap(), directory.path(), directory.path())
                .unwrap();
        stores.require("test", ["one", "two"]).await.unwrap();
        stores
    };
    let stores = open().await;
    stores.get("one").unwrap().set("k".to_owned(), bytes("1")).await.unwrap();
    assert_eq!(stores.get("two").unwrap().get(key("k")).await.unwrap(), None);
    drop(stores);
    assert_eq!(open().await.get("one").unwrap().get(key("k")).await.unwrap(), Some(bytes("1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_is_a_file_of_the_state_directory() {
    let directory = tempfile::tempdir().unwrap();
    let stores =
        Stores::from_runtime_config(&toml::Table::new(), directory.path(), Path::new("/base")).unwrap();
    stores.require("test", ["default"]).await.unwrap();
    assert!(directory.path().join("sqlite_key_value.db").exists());
}

#[track_caller]
fn check_refusal(text: &str, parts: &[&str]) {
    let stores = Stores::from_runtime_config(&text.parse().unwrap(), Path::new("/state"), Path::new("/base"));
    let refusal = format!("{:#}", stores.err().unwrap());
    for part in parts {
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    check_refusal(
        "[cache]\ntype = 'azure_cosmos'",
        &["[key_value_store.cache]", "\"azure_cosmos\"", "\"redis\""],
    );
    check_refusal("[cache]\npath = 'x'", &["[key_value_store.cache]", "needs a type"]);
    check_refusal("[cache]\ntype = 'redis'", &["needs a url"]);
    check_refusal("[cache]\ntype = 'redis'\nurl = 'nonsense'", &["[key_value_store.cache]", "url"]);
    check_refusal("[cache]\ntype = 'redis'\nurl = 'redis://h'\npath = 'x'", &["unknown key \"path\""]);
    check_refusal("[cache]\ntype = 'spin'\npath = 3", &["path must be a string"]);
    check_refusal("[cache]\ntype = 'spin'", &["needs a path", "in memory"]);
}

#[tokio::test]
async fn a_label_nothing_is_configured_for_is_refused_by_name() {
    let stores =
        Stores::from_runtime_config(&toml::Table::new(), Path::new("/state"), Path::new("/base")).unwrap();
    let refusal = stores.require("order", ["missing"]).await.unwrap_err().to_string();
    assert!(refusal.contains("component order") && refusal.contains("\"missing\""), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_count_in_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[n]\ntype = 'spin'\npath = 'deep/kv.db'".parse().unwrap();
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let stores = Stores::from_runtime_config(&tables, directory.path(), directory.path()).unwrap();
        stores.require("test", ["n"]).await.unwrap();
        hosts.push(stores);
    }
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let store = hosts[task % 2].get("n").unwrap();
        tasks.spawn(async move {
            for _ in 0..50 {
                store.increment("n".to_owned(), 1).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(hosts[0].get("n").unwrap().increment("n".to_owned(), 0).await.unwrap(), 800);
}

#[tokio::test]
async fn a_value_larger_than_the_limit_is_not_answered() {
    let directory = tempfile::tempdir().unwrap();
    let stores =
        Stores::from_runtime_config(&toml::Table::new(), directory.path(), directory.path()).unwrap();
    stores.require("test", ["default"]).await.unwrap();
    let store = stores.get("default").unwrap();
    store.set(key("k"), vec![0; (128 << 20) + 1]).await.unwrap();
    assert!(store.get(key("k")).await.is_err());
}

#[tokio::test]
async fn a_component_opens_what_it_was_granted_and_counts_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let tables =
        "[mine]\ntype = 'spin'\npath = 'm.db'\n[other]\ntype = 'spin'\npath = 'o.db'".parse().unwrap();
    let stores = Stores::from_runtime_config(&tables, directory.path(), directory.path()).unwrap();
    stores.require("test", ["mine", "other"]).await.unwrap();
    let granted = BTreeSet::from(["mine", "absent"].map(str::to_owned));
    let state = &mut KeyValueState::new(Arc::new(stores), Arc::new(granted), Traces::default());
    let refused = wasi::Host::open(state, key("other")).await.unwrap();
    assert!(matches!(refused, Err(wasi::Error::AccessDenied)));
    let refused = wasi::Host::open(state, key("absent")).await.unwrap();
    assert!(matches!(refused, Err(wasi::Error::NoSuchStore)));
    let mut held = Vec::new();
    for _ in 0..256 {
        held.push(wasi::Host::open(state, key("mine")).await.unwrap().unwrap());
    }
    assert!(wasi::Host::open(state, key("mine")).await.unwrap().is_err());
    let closed = held.pop().unwrap();
    let again = Resource::<Store>::new_borrow(closed.rep());
    HostBucket::drop(state, closed).await.unwrap();
    assert!(atomics::Host::increment(state, again, key("n"), 1).await.is_err(), "it is closed");
    let bucket = wasi::Host::open(state, key("mine")).await.unwrap().unwrap();
    assert_eq!(atomics::Host::increment(state, bucket, key("n"), 4).await.unwrap().unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_goes_on_writing_is_opened_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[n]\ntype = 'spin'\npath = 'kv.db'".parse().unwrap();
    let open = async || {
        let stores = Stores::from_runtime_config(&tables, directory.path(), directory.path()).unwrap();
        stores.require("test", ["n"]).await.unwrap();
        stores.get("n").unwrap()
    };
    open().await.set("k".to_owned(), bytes("v")).await.unwrap();
    let other = rusqlite::Connection::open(directory.path().join("kv.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(open().await.get(key("k")).await.unwrap(), Some(bytes("v")));
}
