//! What a platform lacks, refused under `--restrict`: each by name, at start or at the request that asks for it.

use crate::misbehaviour::send;
use crate::support::{Fixture, refusal};
use sugang_host::{Application, platform::Platform};

const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"a\"\n";
const HTTP: &str = "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"c\"\n";
const REDIS: &str = "[[trigger.redis]]\naddress = \"redis://h\"\nchannel = \"x\"\ncomponent = \"c\"\n";

fn manifest(trigger: &str, more: &str) -> String {
    format!("{HEAD}{trigger}[component.c]\nsource = \"c.wasm\"\n{more}\n")
}

fn restricted(fixture: &Fixture) -> Application {
    Application { platform: Some(Platform::Functions), ..fixture.application() }
}

async fn check(fixture: Fixture, expected: &[&str]) {
    let refusal = refusal(restricted(&fixture)).await;
    for part in expected.iter().chain(&["Akamai Functions"]) {
        assert!(refusal.contains(part), "refused with: {refusal}\nexpected: {part}");
    }
}

#[tokio::test]
async fn triggers_and_stores_that_are_not_there_are_refused() {
    for (trigger, more, expected) in [
        (REDIS, "", vec!["[[trigger.redis]]", "component `c`", "no Redis trigger"]),
        (HTTP, "sqlite_databases = [\"default\"]", vec!["[component.c]", "`default`", "no SQLite"]),
        (
            HTTP,
            "key_value_stores = [\"default\", \"sessions\"]",
            vec!["[component.c]", "`sessions`", "the label `default`"],
        ),
    ] {
        let fixture =
            Fixture::new(&manifest(trigger, more)).with("c.wasm", wat::parse_str("(component)").unwrap());
        check(fixture, &expected).await;
    }
}

#[tokio::test]
async fn a_runtime_configuration_is_refused() {
    let fixture = Fixture::new(&manifest(HTTP, "")).with("runtime.toml", "");
    let runtime_config = Some(fixture.path().join("runtime.toml"));
    let refusal = refusal(Application { runtime_config, ..restricted(&fixture) }).await;
    assert!(
        refusal.contains("--runtime-config-file") && refusal.contains("no runtime configuration"),
        "{refusal}"
    );
}

#[tokio::test]
async fn code_that_imports_what_is_not_there_is_refused() {
    for (interface, expected) in [
        ("spin:sqlite/sqlite@3.1.0", "no SQLite"),
        ("wasi:keyvalue/atomics@0.2.0-draft2", "no atomic counters"),
    ] {
        let code = format!("(component (import \"{interface}\" (instance)))");
        let fixture = Fixture::new(&manifest(HTTP, "")).with("c.wasm", wat::parse_str(code).unwrap());
        check(fixture, &["component `c`", interface, expected]).await;
    }
}

#[tokio::test]
async fn the_one_store_that_is_there_is_granted() {
    let fixture =
        Fixture::new(&manifest(HTTP, "key_value_stores = [\"default\"]")).with_handler("c.wasm", "");
    restricted(&fixture).start().await.unwrap().shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_longer_than_the_platform_takes_is_refused() {
    let fixture = Fixture::new(&manifest(HTTP, "")).with_handler("c.wasm", "");
    let running = restricted(&fixture).start().await.unwrap();
    let post = |length: usize| {
        let head =
            format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; length]].concat()
    };
    // It gets as far as the component, which traps.
    let taken = send(running.address(), &post(10 << 20)).await;
    assert!(taken.starts_with("HTTP/1.1 500 "), "{taken}");
    let refused = send(running.address(), &post((10 << 20) + 1)).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    running.shutdown().await;
}
