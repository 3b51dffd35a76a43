//! Least privilege, shown: what each built component imports, and what `spin.toml` grants it, is what
//! `tests/deploy/privileges.toml` lists for it, where it is said of each what it is for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use deploy_tests::root;
use serde::Deserialize;
use wasmparser::{Parser, Payload};

/// The checked-in table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// What each capability is for.
    why: BTreeMap<String, String>,
    /// What every component imports, mostly since Rust's standard library does.
    everybody: BTreeSet<String>,
    /// What else each component and each dependency has.
    needs: BTreeMap<String, BTreeSet<String>>,
}

#[test]
fn a_component_has_what_the_table_says_and_nothing_else() {
    let table: Table = toml::from_str(include_str!("../privileges.toml")).unwrap();
    let manifest: toml::Table = fs::read_to_string(root().join("spin.toml")).unwrap().parse().unwrap();
    let mut had = BTreeMap::new();
    for (id, component) in manifest["component"].as_table().unwrap() {
        let source = root().join(component["source"].as_str().unwrap());
        had.insert(id.clone(), imports(&source).chain(grants(component, &manifest)).collect::<BTreeSet<_>>());
        for (_, dependency) in
            component.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten()
        {
            let path = Path::new(dependency["path"].as_str().unwrap());
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            had.insert(name, imports(&root().join(path)).collect());
        }
    }
    assert_eq!(
        had.keys().collect::<Vec<_>>(),
        table.needs.keys().collect::<Vec<_>>(),
        "the table is about the components that there are"
    );
    for (id, had) in &had {
        let listed: BTreeSet<_> = table.everybody.union(&table.needs[id]).cloned().collect();
        let more: Vec<_> = had.difference(&listed).collect();
        assert!(
            more.is_empty(),
            "`{id}` has what tests/deploy/privileges.toml does not say it needs: {more:#?}"
        );
        let less: Vec<_> = table.needs[id].difference(had).collect();
        assert!(less.is_empty(), "`{id}` no longer has: {less:#?}");
        for capability in listed {
            assert!(table.why.contains_key(&capability), "nothing says what `{capability}` is for");
        }
    }
    for capability in table.why.keys() {
        let is_used = had.values().any(|had| had.contains(capability));
        assert!(is_used, "nobody has `{capability}`");
    }
}

/// What a manifest lets a component reach, and which secrets it is given.
fn grants(component: &toml::Value, manifest: &toml::Table) -> Vec<String> {
    const KNOWN: [&str; 8] = [
        "description",
        "source",
        "build",
        "variables",
        "dependencies",
        "allowed_outbound_hosts",
        "sqlite_databases",
        "key_value_stores",
    ];
    let component = component.as_table().unwrap();
    let unknown: Vec<_> = component.keys().filter(|key| !KNOWN.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "a grant of a kind that this test does not know: {unknown:?}");
    let list = |key: &str, kind: &'static str| {
        let values = component.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
        values.into_iter().map(move |value| format!("{kind} {}", value.as_str().unwrap())).collect::<Vec<_>>()
    };
    let secrets = component.get("variables").and_then(toml::Value::as_table).into_iter().flatten();
    let is_secret = |template: &str| {
        let mut named = manifest["variables"].as_table().unwrap().iter();
        named.any(|(name, variable)| {
            template.contains(&format!("{{{{ {name} }}}}"))
                && variable.get("secret").and_then(toml::Value::as_bool) == Some(true)
        })
    };
    let secrets = secrets.filter(|(_, value)| is_secret(value.as_str().unwrap()));
    let secrets = secrets.map(|(name, _)| format!("secret {name}"));
    let reached = list("allowed_outbound_hosts", "outbound");
    let stores = list("sqlite_databases", "sqlite").into_iter().chain(list("key_value_stores", "key-value"));
    reached.into_iter().chain(stores).chain(secrets).collect()
}

/// The interfaces that a component imports, without their versions.
fn imports(wasm: &Path) -> impl Iterator<Item = String> {
    let bytes = fs::read(wasm);
    let bytes =
        bytes.unwrap_or_else(|error| panic!("{}: {error}: `cargo xtask build` makes it", wasm.display()));
    let mut depth = 0;
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                let names = section.into_iter().map(|import| import.unwrap().name.name);
                found.extend(names.map(|name| name.split('@').next().unwrap().to_owned()));
            }
            _ => {}
        }
    }
    found.into_iter()
}
