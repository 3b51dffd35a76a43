//! What stores promise, asked of every kind.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tokio::task::JoinSet;
use wasmtime::component::Resource;

use super::{
    config::Stores,
    guest::{
        KeyValueState,
        bindings::wasi::keyvalue::{
            atomics::{self, CasError, HostCas},
            batch,
            store::{self as wasi, HostBucket},
        },
    },
    store::Store,
};
use crate::redis_client::tests::Server;

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
            "[file]\ntype = 'spin'\npath = 'kv.db'\n[memory]\ntype = 'spin'\n[redis]\ntype = 'redis'\nurl = '{}'",
            server.url()
        );
        let stores = Stores::from_runtime_config(&tables.parse().unwrap(), None, directory.path()).unwrap();
        let labels = ["file", "memory", "redis"];
        stores.require("test", labels).await.unwrap();
        let stores = labels.map(|label| (label, stores.get(label).unwrap())).into();
        Self { stores, _directory: directory, _server: server }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_kept_replaced_listed_and_removed() {
    let fixture = Fixture::new().await;
    for (kind, store) in &fixture.stores {
        assert_eq!(store.get("a").await.unwrap(), None, "{kind}");
        assert!(!store.exists("a").await.unwrap(), "{kind}");
        store.set("a".to_owned(), bytes("1")).await.unwrap();
        store.set("a".to_owned(), vec![0, 255]).await.unwrap();
        assert_eq!(store.get("a").await.unwrap(), Some(vec![0, 255]), "{kind}");
        assert!(store.exists("a").await.unwrap(), "{kind}");
        store.set_many(vec![("b".to_owned(), bytes("2")), ("c".to_owned(), Vec::new())]).await.unwrap();
        let mut keys = store.keys().await.unwrap();
        keys.sort();
        assert_eq!(keys, ["a", "b", "c"], "{kind}");
        let wanted = ["c", "absent", "b"].map(str::to_owned).to_vec();
        let values: Vec<_> =
            store.get_many(wanted).await.unwrap().into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [Some(Vec::new()), None, Some(bytes("2"))], "{kind}");
        store.delete("a".to_owned()).await.unwrap();
        let mut left = store.keys().await.unwrap();
        left.sort();
        assert_eq!(left, ["b", "c"], "{kind}");
        store.delete_many(vec!["b".to_owned(), "c".to_owned(), "absent".to_owned()]).await.unwrap();
        assert!(store.keys().await.unwrap().is_empty(), "{kind}");
        store.set_many(Vec::new()).await.unwrap();
        store.delete_many(Vec::new()).await.unwrap();
        assert!(store.get_many(Vec::new()).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keys_are_listed() {
    let fixture = Fixture::new().await;
    for (kind, store) in &fixture.stores {
        let entries = (0..10_000).map(|n| (format!("key {n}"), bytes("value"))).collect();
        store.set_many(entries).await.unwrap();
        assert_eq!(store.keys().await.unwrap().len(), 10_000, "{kind}");
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
        assert_eq!(store.get("text").await.unwrap(), Some(bytes("text")), "{kind}");
        store.increment("large".to_owned(), i64::MAX).await.unwrap();
        assert!(store.increment("large".to_owned(), 1).await.is_err(), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_succeeds_only_where_nothing_changed() {
    let fixture = Fixture::new().await;
    for (kind, store) in &fixture.stores {
        let swap = async |old: Option<&str>, new: &str| {
            store.swap("k".to_owned(), old.map(bytes), bytes(new)).await.unwrap()
        };
        assert!(!swap(Some("1"), "2").await, "{kind}: there was nothing");
        assert!(swap(None, "").await, "{kind}: it was made");
        assert!(!swap(None, "1").await, "{kind}: it was there, although empty");
        assert!(swap(Some(""), "1").await, "{kind}");
        assert!(!swap(Some("0"), "2").await, "{kind}");
        assert!(swap(Some("1"), "2").await, "{kind}");
        assert_eq!(store.get("k").await.unwrap(), Some(bytes("2")), "{kind}");

        let mut tasks = JoinSet::new();
        for task in 0..50 {
            let store = store.clone();
            tasks.spawn(async move {
                store.swap("k".to_owned(), Some(bytes("2")), bytes(&format!("by {task}"))).await
            });
        }
        let won = tasks.join_all().await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
        assert_eq!(won, 1, "{kind}: exactly one was first");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_one_file_keep_apart_and_outlive_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[one]\ntype = 'spin'\npath = 'kv.db'\n[two]\ntype = 'spin'\npath = 'kv.db'";
    let open = async || {
        let stores = Stores::from_runtime_config(&tables.parse().unwrap(), None, directory.path()).unwrap();
        stores.require("test", ["one", "two"]).await.unwrap();
        stores
    };
    let stores = open().await;
    stores.get("one").unwrap().set("k".to_owned(), bytes("1")).await.unwrap();
    assert_eq!(stores.get("two").unwrap().get("k").await.unwrap(), None);
    drop(stores);
    assert_eq!(open().await.get("one").unwrap().get("k").await.unwrap(), Some(bytes("1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_is_a_file_of_the_state_directory_or_memory() {
    let directory = tempfile::tempdir().unwrap();
    let stores =
        Stores::from_runtime_config(&toml::Table::new(), Some(directory.path()), Path::new("/base")).unwrap();
    stores.require("test", ["default"]).await.unwrap();
    assert!(directory.path().join("sqlite_key_value.db").exists());
    let stores = Stores::from_runtime_config(&toml::Table::new(), None, Path::new("/base")).unwrap();
    stores.require("test", ["default"]).await.unwrap();
    assert!(matches!(stores.get("default"), Some(Store::Memory(_))));
}

#[track_caller]
fn check_refusal(text: &str, parts: &[&str]) {
    let stores = Stores::from_runtime_config(&text.parse().unwrap(), None, Path::new("/base"));
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
}

#[tokio::test]
async fn a_label_nothing_is_configured_for_is_refused_by_name() {
    let stores = Stores::from_runtime_config(&toml::Table::new(), None, Path::new("/base")).unwrap();
    let refusal = stores.require("order", ["missing"]).await.unwrap_err().to_string();
    assert!(refusal.contains("component order") && refusal.contains("\"missing\""), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_count_in_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[n]\ntype = 'spin'\npath = 'deep/kv.db'".parse().unwrap();
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let stores = Stores::from_runtime_config(&tables, None, directory.path()).unwrap();
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
    let store = Store::Memory(super::memory::Memory::default());
    store.set("k".to_owned(), vec![0; (128 << 20) + 1]).await.unwrap();
    assert!(store.get("k").await.is_err());
    assert!(store.get_many(vec!["k".to_owned()]).await.is_err());
    store.set("k".repeat((128 << 20) + 1), Vec::new()).await.unwrap();
    assert!(store.keys().await.is_err());
}

#[tokio::test]
async fn a_component_opens_what_it_was_granted_and_swaps_what_it_has_seen() {
    let tables = "[mine]\ntype = 'spin'\n[other]\ntype = 'spin'".parse().unwrap();
    let stores = Stores::from_runtime_config(&tables, None, Path::new("/base")).unwrap();
    stores.require("test", ["mine", "other"]).await.unwrap();
    let store = stores.get("mine").unwrap();
    let granted = BTreeSet::from(["mine", "absent"].map(str::to_owned));
    let state = &mut KeyValueState::new(Arc::new(stores), Arc::new(granted));
    let refused = wasi::Host::open(state, "other".to_owned()).await.unwrap();
    assert!(matches!(refused, Err(wasi::Error::AccessDenied)));
    let refused = wasi::Host::open(state, "absent".to_owned()).await.unwrap();
    assert!(matches!(refused, Err(wasi::Error::NoSuchStore)));
    let mut held = Vec::new();
    for _ in 0..256 {
        held.push(wasi::Host::open(state, "mine".to_owned()).await.unwrap().unwrap());
    }
    assert!(wasi::Host::open(state, "mine".to_owned()).await.unwrap().is_err());
    let closed = held.pop().unwrap();
    let again = Resource::new_borrow(closed.rep());
    HostBucket::drop(state, closed).await.unwrap();
    assert!(HostCas::new(state, again, "k".to_owned()).await.is_err(), "it is closed");
    let bucket = wasi::Host::open(state, "mine".to_owned()).await.unwrap().unwrap();

    let swap = HostCas::new(state, bucket, "k".to_owned()).await.unwrap().unwrap();
    store.set("k".to_owned(), bytes("theirs")).await.unwrap();
    let Err(CasError::CasFailed(again)) = atomics::Host::swap(state, swap, bytes("1")).await.unwrap() else {
        panic!("somebody else was first");
    };
    atomics::Host::swap(state, again, bytes("2")).await.unwrap().unwrap();
    assert_eq!(store.get("k").await.unwrap(), Some(bytes("2")));
}

#[tokio::test]
async fn a_swap_goes_by_what_was_last_looked_at_and_may_be_held_256_times() {
    let tables = "[mine]\ntype = 'spin'".parse().unwrap();
    let stores = Stores::from_runtime_config(&tables, None, Path::new("/base")).unwrap();
    stores.require("test", ["mine"]).await.unwrap();
    let store = stores.get("mine").unwrap();
    let granted = Arc::new(BTreeSet::from(["mine".to_owned()]));
    let state = &mut KeyValueState::new(Arc::new(stores), granted);
    let rep = wasi::Host::open(state, "mine".to_owned()).await.unwrap().unwrap().rep();
    let bucket = || Resource::<Store>::new_borrow(rep);
    let swap = HostCas::new(state, bucket(), "k".to_owned()).await.unwrap().unwrap();
    store.set("k".to_owned(), bytes("theirs")).await.unwrap();
    let seen = HostCas::current(state, Resource::new_borrow(swap.rep())).await.unwrap().unwrap();
    assert_eq!(seen, Some(bytes("theirs")));
    atomics::Host::swap(state, swap, bytes("mine")).await.unwrap().unwrap();

    let mut held = Vec::new();
    for _ in 0..256 {
        held.push(HostCas::new(state, bucket(), "k".to_owned()).await.unwrap().unwrap());
    }
    assert!(HostCas::new(state, bucket(), "k".to_owned()).await.unwrap().is_err());
    HostCas::drop(state, held.pop().unwrap()).await.unwrap();
    HostCas::new(state, bucket(), "k".to_owned()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_component_reaches_every_value_of_its_store_by_wasi() {
    let tables = "[mine]\ntype = 'spin'".parse().unwrap();
    let stores = Stores::from_runtime_config(&tables, None, Path::new("/base")).unwrap();
    stores.require("test", ["mine"]).await.unwrap();
    let state = &mut KeyValueState::new(Arc::new(stores), Arc::new(BTreeSet::from(["mine".to_owned()])));
    let rep = wasi::Host::open(state, "mine".to_owned()).await.unwrap().unwrap().rep();
    let bucket = || Resource::<Store>::new_borrow(rep);
    let key = |key: &str| key.to_owned();

    HostBucket::set(state, bucket(), key("a"), bytes("1")).await.unwrap().unwrap();
    let entries = vec![(key("b"), bytes("2")), (key("c"), bytes("3"))];
    batch::Host::set_many(state, bucket(), entries).await.unwrap().unwrap();
    assert_eq!(atomics::Host::increment(state, bucket(), key("n"), 4).await.unwrap().unwrap(), 4);
    assert_eq!(HostBucket::get(state, bucket(), key("a")).await.unwrap().unwrap(), Some(bytes("1")));
    let many = batch::Host::get_many(state, bucket(), vec![key("c"), key("d")]).await.unwrap().unwrap();
    assert_eq!(many, [(key("c"), Some(bytes("3"))), (key("d"), None)]);
    HostBucket::delete(state, bucket(), key("a")).await.unwrap().unwrap();
    assert!(!HostBucket::exists(state, bucket(), key("a")).await.unwrap().unwrap());
    batch::Host::delete_many(state, bucket(), vec![key("c")]).await.unwrap().unwrap();

    let listed = HostBucket::list_keys(state, bucket(), None).await.unwrap().unwrap();
    assert_eq!(listed.cursor, None);
    assert_eq!(listed.keys.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([key("b"), key("n")]));
    // All are listed at once, so that there is no place to go on from.
    let refused = HostBucket::list_keys(state, bucket(), Some(key("b"))).await.unwrap();
    assert!(matches!(refused, Err(wasi::Error::Other(why)) if why.contains("cursor")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_takes_all_of_a_batch_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[n]\ntype = 'spin'\npath = 'kv.db'".parse().unwrap();
    let stores = Stores::from_runtime_config(&tables, None, directory.path()).unwrap();
    stores.require("test", ["n"]).await.unwrap();
    let store = stores.get("n").unwrap();
    let entries = |keys: [&str; 2]| keys.map(|key| (key.to_owned(), bytes("1"))).to_vec();
    store.set_many(entries(["a", "stays"])).await.unwrap();
    let triggers = "CREATE TRIGGER i BEFORE INSERT ON spin_key_value WHEN new.key = 'bad'
            BEGIN SELECT RAISE(ABORT, 'no'); END;
        CREATE TRIGGER d BEFORE DELETE ON spin_key_value WHEN old.key = 'stays'
            BEGIN SELECT RAISE(ABORT, 'no'); END";
    rusqlite::Connection::open(directory.path().join("kv.db")).unwrap().execute_batch(triggers).unwrap();
    assert!(store.set_many(entries(["b", "bad"])).await.is_err());
    assert!(store.delete_many(["a", "stays"].map(str::to_owned).to_vec()).await.is_err());
    let mut keys = store.keys().await.unwrap();
    keys.sort();
    assert_eq!(keys, ["a", "stays"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_somebody_goes_on_writing_is_opened_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let tables = "[n]\ntype = 'spin'\npath = 'kv.db'".parse().unwrap();
    let open = async || {
        let stores = Stores::from_runtime_config(&tables, None, directory.path()).unwrap();
        stores.require("test", ["n"]).await.unwrap();
        stores.get("n").unwrap()
    };
    open().await.set("k".to_owned(), bytes("v")).await.unwrap();
    let other = rusqlite::Connection::open(directory.path().join("kv.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(open().await.get("k").await.unwrap(), Some(bytes("v")));
}
