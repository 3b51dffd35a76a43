//! What an application may not ask for: each is refused at start, naming the place and the reason.

use sugang_host::Application;

use crate::support::{Fixture, refusal};

const HTTP: &str = "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"c\"\n";

/// A manifest with one component, `more` inside of its table.
fn component(more: &str) -> String {
    format!(
        "spin_manifest_version = 2\n[application]\nname = \"a\"\n{HTTP}[component.c]\nsource = \"c.wasm\"\n{more}\n"
    )
}

/// A manifest with one component, and `tables` after it.
fn with_tables(tables: &str) -> String {
    format!("{}{tables}\n", component(""))
}

/// With the runtime configuration that is there.
fn configured(fixture: &Fixture) -> Application {
    let runtime_config = Some(fixture.path().join("runtime.toml"));
    Application { runtime_config, ..fixture.application() }
}

/// With an application variable set.
fn with_variable(fixture: &Fixture, name: &str, value: &str) -> Application {
    let mut application = fixture.application();
    application.variables.insert(name.to_owned(), value.to_owned());
    application
}

async fn check(manifest: &str, expected: &[&str]) {
    let refusal =
        Fixture::new(manifest).with("c.wasm", wat::parse_str("(component)").unwrap()).refusal().await;
    for part in expected {
        assert!(refusal.contains(part), "{manifest}\n\nrefused with: {refusal}\nexpected: {part}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_is_refused_wherever_it_stands() {
    for (manifest, expected) in [
        (component("memory = 1"), ["[component.c]", "`memory`", "`allowed_outbound_hosts`"]),
        (
            component("[component.c.build]\ncommand = \"x\"\nspeed = 1"),
            ["[component.c]", "`speed`", "`workdir`"],
        ),
        (with_tables("[workspace]\n"), ["spin.toml", "`workspace`", "`component`"]),
        (with_tables("[application.log]\n"), ["[application]", "`log`", "`authors`"]),
        (
            with_tables("[variables]\nx = { default = \"1\", kind = \"n\" }"),
            ["[variables] `x`", "`kind`", "`secret`"],
        ),
        (
            with_tables("[[trigger.http]]\nroute = \"/x\"\ncomponent = \"c\"\nmethod = \"GET\""),
            ["component `c`", "`method`", "`route`"],
        ),
        (
            with_tables("[[trigger.redis]]\nchannel = \"x\"\ncomponent = \"c\"\nqueue = 1"),
            ["component `c`", "`queue`", "`channel`"],
        ),
        (
            with_tables("[application.trigger.redis]\nurl = \"x\""),
            ["[application.trigger.redis]", "`url`", "`address`"],
        ),
    ] {
        check(&manifest, &expected).await;
    }
}

#[tokio::test]
async fn what_spin_has_and_this_host_has_not_is_refused_by_name() {
    for (manifest, expected) in [
        (with_tables("[[trigger.cron]]\ncomponent = \"c\""), vec!["`cron`", "`http`, `redis`"]),
        (
            with_tables("[application.trigger.http]\nbase = \"/api\""),
            vec!["[application.trigger.http]", "`base = \"/api\"`", "`route`"],
        ),
        (with_tables("[application.trigger.mqtt]\naddress = \"x\""), vec!["`mqtt`", "`http`, `redis`"]),
        (component("ai_models = [\"llama\"]"), vec!["[component.c]", "ai_models"]),
        (component("files = [\"assets/*\"]"), vec!["[component.c]", "files", "destination"]),
        (component("exclude_files = [\"x\"]"), vec!["[component.c]", "exclude_files"]),
        (component("allowed_http_hosts = [\"x\"]"), vec!["[component.c]", "`allowed_http_hosts`"]),
        (
            component("").replace("\"c.wasm\"", "{ url = \"https://x\", digest = \"y\" }"),
            vec!["[component.c]", "source", ".wasm file"],
        ),
        (component("[component.c.dependencies]\n\"a:b\" = \"1.0\""), vec!["`a:b`", "registry"]),
        (
            component("[component.c.dependencies]\n\"a:b\" = { url = \"https://x\", digest = \"y\" }"),
            vec!["`a:b`", "`url`", "path"],
        ),
        (
            component(
                "[component.c.dependencies]\n\"a:b\" = { path = \"x\", inherit_configuration = [\"variables\"] }",
            ),
            vec!["`a:b`", "only `inherit_configuration = true`"],
        ),
        (
            component("[component.c.dependencies]\n\"a:b\" = { path = \"x\" }"),
            vec!["`a:b`", "only `inherit_configuration = true`"],
        ),
        (
            component("").replace(HTTP, &format!("{HTTP}executor = {{ type = \"wagi\" }}\n")),
            vec!["component `c`", "wagi", "supported"],
        ),
        (component("").replace("= 2", "= 1"), vec!["spin_manifest_version", "2"]),
        (component("").replace("\"/...\"", "{ private = false }"), vec!["component `c`", "private = true"]),
    ] {
        check(&manifest, &expected).await;
    }
}

#[tokio::test]
async fn what_is_named_but_missing_is_refused() {
    for (manifest, expected) in [
        (component("").replace("c.wasm", "gone.wasm"), vec!["[component.c]", "gone.wasm"]),
        (component("").replace("component = \"c\"", "component = \"d\""), vec!["`d`", "`c`"]),
        (
            component("sqlite_databases = [\"books\"]"),
            vec!["[component.c]", "books", "[sqlite_database.books]"],
        ),
        (
            component("key_value_stores = [\"books\"]"),
            vec!["[component.c]", "books", "[key_value_store.books]"],
        ),
        (component("variables = { v = \"{{ nope }}\" }"), vec!["[component.c]", "variables.v", "`nope`"]),
        (component("variables = { v = \"{{ nope\" }"), vec!["[component.c]", "variables.v", "`}}`"]),
        (component("variables = { Big = \"\" }"), vec!["[component.c]", "`Big`", "lower-case"]),
        (with_tables("[variables]\nx = { required = true }"), vec!["required", "`x`", "SPIN_VARIABLE_"]),
        (with_tables("[variables]\nx = {}"), vec!["`x`", "default"]),
        (with_tables("[variables]\nx = { required = true, default = \"\" }"), vec!["`x`", "at once"]),
        (
            component(
                "[component.c.dependencies]\n\"a:b\" = { component = \"d\", inherit_configuration = true }",
            ),
            vec!["`a:b`", "`d`"],
        ),
        (
            component(
                "[component.c.dependencies]\n\"a:b\" = { path = \"d.wasm\", inherit_configuration = true }",
            ),
            vec!["`a:b`", "d.wasm"],
        ),
        (
            component(
                "[component.c.dependencies]\n\"a:b\" = { path = \"c.wasm\", inherit_configuration = true }",
            ),
            vec!["`a:b`", "matches no import"],
        ),
        (component("files = [{ source = \"gone\", destination = \"/\" }]"), vec!["[component.c]", "gone"]),
        (
            with_tables("[[trigger.redis]]\nchannel = \"x\"\ncomponent = \"c\""),
            vec!["component `c`", "address"],
        ),
        (
            with_tables("[[trigger.redis]]\nchannel = \"x\"\naddress = \"{{ nope }}\"\ncomponent = \"c\"")
                .replace(HTTP, ""),
            vec!["component `c`", "`nope`"],
        ),
        (component(""), vec!["component `c`", "wasi:http/handler@0.3.0"]),
        (
            // This base is none: it gets as far as the component.
            with_tables("[application.trigger.http]\nbase = \"/\""),
            vec!["component `c`", "wasi:http/handler@0.3.0"],
        ),
        (
            with_tables("[[trigger.redis]]\nchannel = \"x\"\naddress = \"redis://h\"\ncomponent = \"c\"")
                .replace(HTTP, ""),
            vec!["component `c`", "spin:redis/inbound-redis@3.0.0"],
        ),
        (
            with_tables("[[trigger.redis]]\nchannel = \"x\"\naddress = \"nowhere\"\ncomponent = \"c\"")
                .replace(HTTP, ""),
            vec!["component `c`", "Redis URL"],
        ),
    ] {
        check(&manifest, &expected).await;
    }
}

#[tokio::test]
async fn a_function_that_this_host_does_not_offer_is_refused_by_name() {
    for (interface, function, signature) in [
        ("spin:sqlite/sqlite@3.1.0", "[method]connection.changes", "(result u64)"),
        ("spin:sqlite/sqlite@3.1.0", "[method]connection.last-insert-rowid", "(result s64)"),
    ] {
        let text = format!(
            "(component (import \"{interface}\" (instance (export \"connection\" (type $c (sub resource)))
                (export \"{function}\" (func (param \"self\" (borrow $c)) {signature})))))"
        );
        let fixture = Fixture::new(&component("")).with("c.wasm", wat::parse_str(text).unwrap());
        let refusal = fixture.refusal().await;
        for part in ["component `c`", "the embedded host does not offer", interface, function] {
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}

#[tokio::test]
async fn what_contradicts_itself_is_refused() {
    let chained = |host: &str| component(&format!("allowed_outbound_hosts = [\"{host}\"]"));
    for (manifest, expected) in [
        (with_tables("[[trigger.http]]\nroute = \"/*\"\ncomponent = \"c\""), vec!["`/...`", "`/*`", "clash"]),
        (
            with_tables("[[trigger.http]]\nroute = \"/.well-known/spin/x\"\ncomponent = \"c\""),
            vec!["reserved"],
        ),
        (
            component("allowed_outbound_hosts = [\"example.com\"]"),
            vec!["[component.c]", "`example.com`", "scheme"],
        ),
        (chained("http://gone.spin.internal"), vec!["[component.c]", "`gone`", "`c`"]),
        (
            format!(
                "{}[[trigger.redis]]\nchannel = \"x\"\naddress = \"redis://h\"\ncomponent = \"c\"",
                chained("http://c.spin.internal")
            ),
            vec!["[component.c]", "Redis trigger"],
        ),
        (
            component(
                "dependencies_inherit_configuration = true\n[component.c.dependencies]\n\"a:b\" = { path = \"x\", inherit_configuration = true }",
            ),
            vec!["`a:b`", "inherit_configuration"],
        ),
        (
            with_tables("[component.d]\nsource = \"c.wasm\"\nsqlite_databases = [\"default\"]").replace(
                "source = \"c.wasm\"\n\n",
                "source = \"c.wasm\"\n[component.c.dependencies]\n\"a:b\" = { component = \"d\", inherit_configuration = true }\n",
            ),
            vec!["`a:b`", "`d`", "sqlite_databases"],
        ),
        ("spin_manifest_version = ".to_owned(), vec!["spin.toml"]),
    ] {
        check(&manifest, &expected).await;
    }
}

#[tokio::test]
async fn a_component_that_imports_what_the_host_has_not_is_refused() {
    let imports = r#"(component (import "spin:mysql/mysql@3.0.0" (instance (export "open" (func)))))"#;
    let fixture = Fixture::new(&component("")).with("c.wasm", wat::parse_str(imports).unwrap());
    let refusal = fixture.refusal().await;
    assert!(refusal.contains("component `c`") && refusal.contains("spin:mysql/mysql@3.0.0"), "{refusal}");
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let fixture = Fixture::new(&component("")).with("c.wasm", "not wasm");
    let refusal = fixture.refusal().await;
    assert!(refusal.contains("component `c`") && refusal.contains("compiled"), "{refusal}");
}

#[tokio::test]
async fn a_runtime_configuration_that_asks_for_too_much_is_refused() {
    for (config, expected) in [
        ("[llm_compute]\ntype = \"spin\"", vec!["llm_compute", "`sqlite_database`"]),
        ("[[variables_provider]]\ntype = \"vault\"", vec!["`vault`", "`static`"]),
        ("[sqlite_database.default]\ntype = \"spin\"", vec!["sqlite_database.default", "in memory"]),
        ("[sqlite_database.default]\ntype = \"libsql\"", vec!["sqlite_database.default", "libsql", "spin"]),
        (
            "[key_value_store.default]\ntype = \"azure_cosmos\"",
            vec!["key_value_store.default", "azure_cosmos", "redis"],
        ),
        (
            "[[variables_provider]]\ntype = \"static\"\nvalues = { nope = \"1\" }",
            vec!["`nope`", "[variables]"],
        ),
    ] {
        let fixture = Fixture::new(&component("")).with("runtime.toml", config);
        let refusal = refusal(configured(&fixture)).await;
        for part in expected {
            assert!(refusal.contains(part), "{config}\n\nrefused with: {refusal}\nexpected: {part}");
        }
    }
}

#[tokio::test]
async fn a_selection_or_a_variable_that_does_not_exist_is_refused() {
    let fixture = Fixture::new(&component(""));
    let components = vec!["order".to_owned()];
    let unknown = refusal(Application { components, ..fixture.application() }).await;
    assert!(unknown.contains("`order`") && unknown.contains("`c`"), "{unknown}");
    let undeclared = refusal(with_variable(&fixture, "nope", "secret-value")).await;
    assert!(undeclared.contains("`nope`") && !undeclared.contains("secret-value"), "{undeclared}");
}

#[tokio::test]
async fn an_address_that_a_secret_went_into_is_never_part_of_a_refusal() {
    let redis = "[[trigger.redis]]\nchannel = \"x\"\naddress = \"{{ url }}\"\ncomponent = \"c\"\n";
    let manifest =
        component("").replace(HTTP, redis) + "[variables]\nurl = { required = true, secret = true }";
    for url in [
        "hunter2",
        "redis://:hunter2@",
        "redis://:hunter2@h:port",
        "redis://h/hunter2",
        "rediss://:hunter2@h#hunter2",
        "http://:hunter2@h",
        "redis://h?hunter2=hunter2",
    ] {
        let fixture = Fixture::new(&manifest).with("c.wasm", wat::parse_str("(component)").unwrap());
        let refusal = refusal(with_variable(&fixture, "url", url)).await;
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let config = "[key_value_store.default]\ntype = \"redis\"\nurl = \"redis://:hunter2@h:port\"";
    let fixture = Fixture::new(&component("")).with("runtime.toml", config);
    let refusal = refusal(configured(&fixture)).await;
    assert!(refusal.contains("key_value_store.default") && !refusal.contains("hunter2"), "{refusal}");
}

#[tokio::test]
async fn a_secret_is_never_part_of_a_refusal() {
    let manifest = component("allowed_outbound_hosts = [\"{{ host }}\"]")
        + "[variables]\nhost = { required = true, secret = true }";
    let fixture = Fixture::new(&manifest);
    let refusal = refusal(with_variable(&fixture, "host", "my-secret-host")).await;
    assert!(refusal.contains("`{{ host }}`") && !refusal.contains("my-secret-host"), "{refusal}");
}
