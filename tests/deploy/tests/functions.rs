//! The manifest for Akamai Functions, held against `spin.toml`: the same application, with nothing that the platform lacks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use deploy_tests::root;
use eventlog::topology::{CONSUMERS, readers_of};
use toml::{Table, Value};
use wasmparser::{Parser, Payload};

/// What a worker there has and an HTTP entry needs not: it reaches `pay` by service chaining.
const NOT_NEEDED: &str = "application_url";

/// How long the platform lets an answer take, in seconds.
const LONGEST_ANSWER: u64 = 30;

fn read(path: &str) -> Table {
    toml::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn main_manifest() -> Table {
    read("spin.toml")
}

fn functions() -> Table {
    read("deploy/functions/spin.toml")
}

fn table<'a>(value: &'a Table, path: &[&str]) -> &'a Table {
    path.iter().fold(value, |table, key| table[*key].as_table().unwrap())
}

/// A list of texts; nothing where there is none.
fn texts(component: &Value, key: &str) -> BTreeSet<String> {
    let list = component.get(key).and_then(Value::as_array).into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn values(component: &Value) -> BTreeMap<String, String> {
    let table = component.get("variables").and_then(Value::as_table).into_iter().flatten();
    table.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// The paths, each with who answers it.
fn routes(manifest: &Table) -> BTreeMap<String, String> {
    let triggers = manifest["trigger"]["http"].as_array().unwrap().iter();
    let text = |trigger: &Value, key: &str| trigger[key].as_str().unwrap().to_owned();
    triggers.map(|trigger| (text(trigger, "route"), text(trigger, "component"))).collect()
}

fn names(manifest: &Table) -> BTreeSet<String> {
    manifest["component"].as_table().unwrap().keys().cloned().collect()
}

#[test]
fn it_asks_for_nothing_that_the_platform_lacks() {
    let manifest = functions();
    assert_eq!(table(&manifest, &["trigger"]).keys().collect::<Vec<_>>(), ["http"]);
    assert!(manifest["application"].get("trigger").is_none());
    for (id, component) in table(&manifest, &["component"]) {
        assert_eq!(component.get("sqlite_databases"), None, "{id}");
        let labels = texts(component, "key_value_stores");
        assert!(labels.iter().all(|label| label == "default"), "{id}: {labels:?}");
    }
}

#[test]
fn every_context_is_there_once_at_the_same_paths_and_at_its_own_to_be_woken() {
    let (main, functions) = (main_manifest(), functions());
    let contexts: BTreeSet<_> = names(&main).into_iter().filter(|id| !id.ends_with("-worker")).collect();
    assert_eq!(names(&functions), contexts);
    let mut expected = routes(&main);
    let wake = |consumer: &eventlog::topology::Consumer| {
        (format!("/internal/wake/{}", consumer.name), consumer.name.to_owned())
    };
    expected.extend(CONSUMERS.iter().map(wake));
    assert_eq!(routes(&functions), expected);
    let answering: BTreeSet<_> = routes(&functions).into_values().collect();
    assert_eq!(answering, contexts, "a component that nobody calls");
}

#[test]
fn its_variables_are_the_applications() {
    let (main, functions) = (main_manifest(), functions());
    let names =
        |manifest: &Table| -> BTreeSet<String> { table(manifest, &["variables"]).keys().cloned().collect() };
    let mut expected = names(&main);
    expected.remove(NOT_NEEDED);
    expected.insert("wake_keys".to_owned());
    assert_eq!(names(&functions), expected);
    let secret = |variable: &Value| variable.get("secret").and_then(Value::as_bool).unwrap_or_default();
    for (name, variable) in table(&functions, &["variables"]) {
        let Some(elsewhere) = table(&main, &["variables"]).get(name) else {
            assert!(
                secret(variable) && variable.get("default").is_none(),
                "{name} has to be set, and is secret"
            );
            continue;
        };
        assert_eq!(secret(variable), secret(elsewhere), "{name}");
        let default = variable.get("default");
        let is_required = variable.get("required").and_then(Value::as_bool) == Some(true);
        assert!(name == "live_stream_s" || is_required || default == elsewhere.get("default"), "{name}");
    }
    let stream: u64 = functions["variables"]["live_stream_s"]["default"].as_str().unwrap().parse().unwrap();
    assert!(stream < LONGEST_ANSWER, "a stream of {stream} s would be cut off");
    // A store without an address would be on SQLite.
    for (name, variable) in table(&functions, &["variables"]) {
        if name.ends_with("_database_url") {
            assert_eq!(variable.get("required").and_then(Value::as_bool), Some(true), "{name}");
        }
    }
}

/// What both entries of a context have in `spin.toml`, its one entry has here; beside it what waking over HTTP takes.
#[test]
fn a_component_has_what_both_its_entries_have_and_what_it_takes_to_wake_others() {
    let (main, functions) = (main_manifest(), functions());
    for (id, component) in table(&functions, &["component"]) {
        let entries = [id.clone(), format!("{id}-worker")];
        let entries: Vec<_> = entries.iter().filter_map(|id| main["component"].get(id)).collect();
        let union = |key: &str| entries.iter().flat_map(|entry| texts(entry, key)).collect::<BTreeSet<_>>();
        let mut hosts: BTreeSet<_> = union("allowed_outbound_hosts");
        let mut variables: BTreeMap<_, _> = entries.iter().flat_map(|entry| values(entry)).collect();
        hosts.remove(&format!("{{{{ {NOT_NEEDED} }}}}"));
        variables.remove(NOT_NEEDED);
        if CONSUMERS.iter().any(|consumer| consumer.name == id) {
            // Whoever reads what it tells, and itself where one request is too little.
            let woken = readers_of(id).map(|consumer| consumer.name).chain([id.as_str()]);
            hosts.extend(woken.map(|name| format!("http://{name}.spin.internal")));
            variables.insert("wake_by".to_owned(), "http".to_owned());
            variables.insert("wake_keys".to_owned(), "{{ wake_keys }}".to_owned());
        }
        if id == "order" {
            variables.insert("breaker_store".to_owned(), "redis".to_owned());
        }
        assert_eq!(texts(component, "allowed_outbound_hosts"), hosts, "{id}");
        assert_eq!(values(component), variables, "{id}");
        assert_eq!(texts(component, "key_value_stores"), union("key_value_stores"), "{id}");
        let elsewhere = |path: &Value| {
            path.as_str().unwrap().replace("target/wasm32-wasip2/component/", "../../target/functions/")
        };
        assert_eq!(component["source"].as_str(), Some(elsewhere(&entries[0]["source"]).as_str()), "{id}");
        let dependencies = |component: &Value, made: &dyn Fn(&Value) -> String| {
            let table = component.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
            table
                .into_iter()
                .map(|(import, of)| (import, made(&of["path"]), of["inherit_configuration"].clone()))
                .collect::<Vec<_>>()
        };
        let here = dependencies(component, &|path| path.as_str().unwrap().to_owned());
        assert_eq!(here, dependencies(entries[0], &elsewhere), "{id}");
    }
}

/// The interfaces that a component imports.
fn imports(wasm: &Path) -> Vec<String> {
    let bytes = fs::read(wasm);
    let bytes =
        bytes.unwrap_or_else(|error| panic!("{}: {error}: `cargo xtask build` makes it", wasm.display()));
    let (mut depth, mut found) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                found.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    found
}

/// What is imported from elsewhere is what is imported here, but for the stores that are not there.
#[test]
fn no_code_imports_a_store_that_is_not_there() {
    let manifest = functions();
    let paths = table(&manifest, &["component"]).values().flat_map(|component| {
        let dependencies = component.get("dependencies").and_then(Value::as_table).into_iter().flatten();
        let dependencies = dependencies.map(|(_, dependency)| dependency["path"].as_str().unwrap());
        [component["source"].as_str().unwrap()].into_iter().chain(dependencies)
    });
    for path in paths.collect::<BTreeSet<_>>() {
        let file = Path::new(path).file_name().unwrap();
        let here: BTreeSet<_> = imports(&root().join("target/functions").join(file)).into_iter().collect();
        let elsewhere = imports(&root().join("target/wasm32-wasip2/component").join(file));
        let absent =
            |import: &str| import.starts_with("spin:sqlite/") || import.starts_with("wasi:keyvalue/");
        assert!(!here.iter().any(|import| absent(import)), "{path}: {here:?}");
        let kept: BTreeSet<_> = elsewhere.into_iter().filter(|import| !absent(import)).collect();
        assert!(here.is_superset(&kept), "{path}: {here:?}");
    }
}

#[test]
fn the_deployment_guide_has_a_cron_line_for_every_worker() {
    let guide = fs::read_to_string(root().join("docs/deployment.md")).unwrap();
    for consumer in &CONSUMERS {
        let line = format!("--path-and-query \"/internal/wake/{}?key=", consumer.name);
        let looped = guide.contains("for context in order pay reservation notification information member");
        assert!(
            guide.contains(&line) || (looped && guide.contains("/internal/wake/$context?key=")),
            "{line}"
        );
    }
}
