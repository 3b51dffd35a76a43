//! What becomes of one message, asked of a whole application.

use std::time::{Duration, Instant};

use super::{Error, Refusal, logged};
use crate::{
    application::Application,
    engine::Limits,
    redis_client::tests::Server,
    redis_trigger::HandlerLimits,
    reuse::{Choice, Reuse, Span},
};

/// A component that does `BODY` for every message.
const HANDLER: &str = r#"(component
    (import "spin:redis/redis@3.0.0" (instance $redis
        (type $shape (variant (case "invalid-address") (case "too-many-connections") (case "type-error")
            (case "other" string)))
        (export "error" (type (eq $shape)))))
    (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
        (export "wait-for" (func async (param "how-long" u64)))))
    (alias export $redis "error" (type $error))
    (core func $wait (canon lower (func $clock "wait-for")))
    (core module $code
        (import "clock" "wait" (func $wait (param i64)))
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32) (result i32) (local $n i32) BODY (i32.const 0)))
    (core instance $instance (instantiate $code (with "clock" (instance (export "wait" (func $wait))))))
    (func $handle async (param "message" (list u8)) (result (result (error $error)))
        (canon lift (core func $instance "handle") (memory (core memory $instance "memory"))
            (realloc (core func $instance "realloc"))))
    (instance $handler (export "handle-message" (func $handle)))
    (export "spin:redis/inbound-redis@3.0.0" (instance $handler)))"#;

/// How long a host that is told to stop is still at a message for which its component does `body`.
/// There are so many components.
async fn at_a_message(body: &str, timeout: Duration, limits: Limits, components: usize) -> Duration {
    at_messages(&["x"], body, timeout, limits, components, Reuse::default()).await
}

/// The same, of several messages.
async fn at_messages(
    messages: &[&str],
    body: &str,
    timeout: Duration,
    limits: Limits,
    components: usize,
    reuse: Reuse,
) -> Duration {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let path = |name: &str| directory.path().join(name);
    let mut manifest = "spin_manifest_version = 2\n[application]\nname = \"a\"\n".to_owned();
    for n in 0..components {
        manifest += &format!(
            "[[trigger.redis]]\naddress = \"{}\"\nchannel = \"c\"\ncomponent = \"c{n}\"
            [component.c{n}]\nsource = \"c.wasm\"\n",
            server.url()
        );
    }
    std::fs::write(path("spin.toml"), manifest).unwrap();
    std::fs::write(path("c.wasm"), wat::parse_str(HANDLER.replace("BODY", body)).unwrap()).unwrap();
    let application = Application {
        listen: "127.0.0.1:0".parse().unwrap(),
        state_dir: Some(path("state")),
        cache_dir: Some(path("cache")),
        quiet: true,
        limits,
        handler_limits: HandlerLimits { timeout, max_waiting: 10 },
        reuse,
        ..Application::new(directory.path())
    };
    let running = application.start().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let redis = client.get_multiplexed_async_connection().await.unwrap();
    let publish = async |message: &str| -> i64 {
        redis::cmd("PUBLISH").arg("c").arg(message).query_async(&mut redis.clone()).await.unwrap()
    };
    while publish(messages[0]).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for message in &messages[1..] {
        tokio::time::sleep(Duration::from_millis(100)).await;
        publish(message).await;
    }
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(10), running.shutdown()).await.expect("it to be given up");
    begun.elapsed()
}

#[test]
fn what_a_component_says_itself_is_logged_in_its_words_and_what_befell_it_with_where() {
    let said = |error| logged(&anyhow::Error::new(Refusal::from(error)));
    assert_eq!(said(Error::Other("Redis is away".to_owned())), "it answered with an error: Redis is away");
    assert_eq!(said(Error::TypeError), "it answered with an error: Error::TypeError");
    let trapped = anyhow::anyhow!("wasm trap: unreachable").context("wasm backtrace");
    assert!(logged(&trapped).contains("Caused by"), "{}", logged(&trapped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_never_done_with_is_given_up() {
    let limits = Limits { max_busy_time: Duration::from_secs(600), ..Limits::default() };
    let took = at_a_message("(loop $l (br $l))", Duration::from_millis(300), limits, 1).await;
    assert!(took >= Duration::from_millis(250), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_waits_again_and_again_is_finished() {
    let body = "(loop $l (call $wait (i64.const 20000000))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 100))))";
    let limits = Limits { max_busy_time: Duration::from_millis(300), ..Limits::default() };
    let took = at_a_message(body, Duration::from_secs(30), limits, 1).await;
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_waits_while_there_are_as_many_instances_as_there_may_be() {
    let body = "(loop $l (call $wait (i64.const 20000000))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $n) (i32.const 25))))";
    let limits = Limits { max_instances: 1, ..Limits::default() };
    let took = at_a_message(body, Duration::from_secs(30), limits, 2).await;
    assert!(took >= Duration::from_millis(900), "one after the other: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_serves_several_messages_in_a_row_but_no_more_than_it_may_and_not_after_a_pause() {
    // The second message of an instance takes a second.
    let body = "(i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
        (if (i32.eq (i32.load (i32.const 8)) (i32.const 2)) (then (call $wait (i64.const 1000000000))))";
    let once = Reuse { requests: Choice::Value(1), ..Reuse::default() };
    let briefly = Reuse { idle_timeout: Choice::Value(Span(Duration::from_millis(20))), ..Reuse::default() };
    let patience = Duration::from_secs(30);
    for (reuse, again) in [(Reuse::default(), true), (once, false), (briefly, false)] {
        let took = at_messages(&["x", "y"], body, patience, Limits::default(), 1, reuse).await;
        assert_eq!(took >= Duration::from_millis(900), again, "{reuse:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_failed_at_a_message_serves_no_other() {
    // Waits where it is at its second message, and fails at its first.
    let body = "(i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
        (if (i32.eq (i32.load (i32.const 8)) (i32.const 2)) (then (call $wait (i64.const 1000000000))))
        unreachable";
    let patience = Duration::from_secs(30);
    let took = at_messages(&["x", "y"], body, patience, Limits::default(), 1, Reuse::default()).await;
    assert!(took < Duration::from_millis(900), "{took:?}");
}
