//! The manifest that a locked application was made from, as far as a host needs it.
//!
//! It goes through the same reading as one that is written by hand, so that whatever is refused there is refused here. The code
//! of a component is named by its digest.

use anyhow::{Context as _, Result, ensure};
use indexmap::IndexMap;
use serde_json::Value;

use super::{Document, Manifest};
use crate::{
    image::locked::{LockedApplication, LockedComponent, LockedDependency, LockedSource},
    manifest::listed,
};

/// What a host must look at, and this one does.
const UNDERSTOOD: [&str; 2] = ["host_requirements", "component_host_requirements"];

/// What an application may require of its host, and this one has.
const OFFERED: [&str; 1] = ["local_service_chaining"];

impl Manifest {
    /// The manifest of a locked application.
    pub fn from_locked(locked: &LockedApplication) -> Result<Self> {
        let version = locked.spin_lock_version;
        ensure!(version <= 1, "spin_lock_version is {version}, but only 0 and 1 are supported");
        for what in &locked.must_understand {
            ensure!(
                UNDERSTOOD.contains(&what.as_str()),
                "the application must not be run by a host that does not understand `{what}`; this one understands {}",
                listed(UNDERSTOOD)
            );
        }
        check_requirements(locked)?;
        let text = |key: &str| locked.metadata.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut application = toml::Table::new();
        for key in ["name", "version", "description"] {
            application.insert(key.to_owned(), text(key).into());
        }
        application.insert("trigger".to_owned(), settings(locked)?.into());
        let document = Document {
            spin_manifest_version: toml::Value::Integer(2),
            application,
            variables: declarations(locked)?,
            trigger: triggers(locked)?,
            component: tables(locked)?,
        };
        document.manifest()
    }
}

fn check_requirements(locked: &LockedApplication) -> Result<()> {
    let components = locked.components.iter().flat_map(|component| &component.host_requirements);
    for (what, how) in locked.host_requirements.iter().chain(components) {
        ensure!(
            how.as_str() == Some("optional") || OFFERED.contains(&what.as_str()),
            "the application requires `{what}`, which this host has not; it has {}",
            listed(OFFERED)
        );
    }
    Ok(())
}

fn declarations(locked: &LockedApplication) -> Result<IndexMap<String, toml::Table>> {
    let declaration = |(name, variable): (&String, &crate::image::locked::LockedVariable)| {
        let mut table = table(&serde_json::to_value(variable)?)?;
        if variable.default.is_none() {
            table.insert("required".to_owned(), true.into());
        }
        Ok((name.clone(), table))
    };
    locked.variables.iter().map(declaration).collect()
}

fn triggers(locked: &LockedApplication) -> Result<IndexMap<String, Vec<toml::Table>>> {
    let mut by_type: IndexMap<String, Vec<toml::Table>> = IndexMap::new();
    for trigger in &locked.triggers {
        ensure!(
            trigger.trigger_dependencies.is_empty(),
            "the trigger `{}` has dependencies, which are not supported",
            trigger.id
        );
        let config: serde_json::Map<String, Value> = trigger.trigger_config.clone().into_iter().collect();
        let table = table(&config.into()).with_context(|| format!("the trigger `{}`", trigger.id))?;
        by_type.entry(trigger.trigger_type.clone()).or_default().push(table);
    }
    Ok(by_type)
}

fn settings(locked: &LockedApplication) -> Result<toml::Table> {
    let settings = locked.metadata.get("triggers").and_then(Value::as_object);
    let settings = settings.into_iter().flatten();
    settings.map(|(kind, settings)| Ok((kind.clone(), table(settings)?.into()))).collect()
}

fn tables(locked: &LockedApplication) -> Result<IndexMap<String, toml::Table>> {
    let table = |component: &LockedComponent| {
        let place = || format!("[component.{}]", component.id);
        Ok((component.id.clone(), component_table(component).with_context(place)?))
    };
    locked.components.iter().map(table).collect()
}

/// What is granted stands in the metadata, under the manifest's own keys but for one. A key that is none is refused by
/// whoever reads the table.
fn component_table(component: &LockedComponent) -> Result<toml::Table> {
    ensure!(
        component.files.is_empty(),
        "it has files in the image, which are not supported: run the application from its folder"
    );
    let mut keys = serde_json::Map::new();
    for (key, value) in &component.metadata {
        let key = if key == "databases" { "sqlite_databases" } else { key };
        keys.insert(key.to_owned(), value.clone());
    }
    keys.insert("source".to_owned(), digest(&component.source)?.into());
    keys.insert("variables".to_owned(), serde_json::to_value(&component.config)?);
    keys.insert("environment".to_owned(), serde_json::to_value(&component.env)?);
    let dependencies: Result<serde_json::Map<_, _>> =
        component.dependencies.iter().map(|(import, it)| Ok((import.clone(), dependency(it)?))).collect();
    keys.insert("dependencies".to_owned(), dependencies?.into());
    table(&keys.into())
}

fn dependency(dependency: &LockedDependency) -> Result<Value> {
    let inherits = dependency.inherit.as_str() == Some("All");
    let mut keys = serde_json::Map::new();
    keys.insert("path".to_owned(), digest(&dependency.source)?.into());
    keys.insert("inherit_configuration".to_owned(), inherits.into());
    if let Some(export) = &dependency.export {
        keys.insert("export".to_owned(), export.as_str().into());
    }
    Ok(keys.into())
}

fn digest(source: &LockedSource) -> Result<&str> {
    source.digest.as_deref().context("its code has no digest, by which it could be found in the image")
}

fn table(value: &Value) -> Result<toml::Table> {
    toml::Table::try_from(value).context("it is not a table, or holds what no manifest can say")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "shop"
        [application.trigger.redis]
        address = "redis://{{ where }}"
        [variables]
        where = { default = "here" }
        key = { required = true, secret = true }
        [[trigger.http]]
        route = "/..."
        component = "shop"
        [[trigger.redis]]
        channel = "c"
        component = "worker"
        [component.shop]
        source = "shop.wasm"
        allowed_outbound_hosts = ["http://shop.spin.internal"]
        sqlite_databases = ["shop"]
        key_value_stores = ["default"]
        variables = { key = "{{ key }}" }
        environment = { LANG = "ko" }
        [component.shop.build]
        command = "make"
        [component.worker]
        source = "shop.wasm""#;

    fn locked() -> Value {
        let locked = LockedApplication::lock(MANIFEST, |_| Ok("sha256:00".to_owned())).unwrap();
        serde_json::to_value(locked).unwrap()
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut value = locked();
        change(&mut value);
        let locked: LockedApplication = serde_json::from_value(value).unwrap();
        format!("{:#}", Manifest::from_locked(&locked).unwrap_err())
    }

    #[test]
    fn a_locked_manifest_says_what_the_manifest_said() {
        let locked: LockedApplication = serde_json::from_value(locked()).unwrap();
        let read = format!("{:?}", Manifest::from_locked(&locked).unwrap());
        let mut manifest = Manifest::parse(MANIFEST).unwrap();
        for component in manifest.components.values_mut() {
            component.source = "sha256:00".into();
        }
        manifest.variables.sort_keys();
        assert_eq!(read, format!("{manifest:?}"));
    }

    #[test]
    fn what_this_host_cannot_run_is_refused_by_name() {
        let shop = |value: &mut Value, key: &str, it: Value| value["components"][0][key] = it;
        let metadata = |value: &mut Value, key: &str, it: Value| value["components"][0]["metadata"][key] = it;
        for (refusal, expected) in [
            (refusal(|it| it["must_understand"] = json!(["lifts"])), "`lifts`"),
            (refusal(|it| it["host_requirements"] = json!({ "gpu": "required" })), "`gpu`"),
            (refusal(|it| shop(it, "host_requirements", json!({ "gpu": "required" }))), "`gpu`"),
            (refusal(|it| it["spin_lock_version"] = json!(2)), "spin_lock_version is 2"),
            (refusal(|it| it["triggers"][0]["trigger_type"] = json!("mqtt")), "`mqtt`"),
            (refusal(|it| it["triggers"][0]["trigger_dependencies"] = json!({ "a": [] })), "dependencies"),
            (refusal(|it| shop(it, "files", json!([{ "path": "a" }]))), "files"),
            (refusal(|it| shop(it, "source", json!({ "content_type": "a" }))), "no digest"),
            (refusal(|it| metadata(it, "ai_models", json!(["llama"]))), "ai_models"),
            (refusal(|it| metadata(it, "wings", json!(2))), "wings"),
        ] {
            assert!(refusal.contains(expected), "{expected}: {refusal}");
        }
    }

    #[test]
    fn what_is_optional_is_not_required() {
        let mut value = locked();
        value["host_requirements"] = json!({ "gpu": "optional" });
        let locked: LockedApplication = serde_json::from_value(value).unwrap();
        Manifest::from_locked(&locked).unwrap();
    }
}
