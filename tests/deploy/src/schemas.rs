//! The custom resources' own schemas, which are data of others and not part of this repository. Where
//! `SUGANG_CRD_SCHEMAS` names a folder with CustomResourceDefinitions (`*.yaml`), every object of their kinds is held against
//! them, and a field that they do not know is refused.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use jsonschema::Validator;
use serde_json::Value;

use crate::{kind, kustomize::documents, list, name};

/// Names the folder.
pub const VARIABLE: &str = "SUGANG_CRD_SCHEMAS";

/// The schemas, by version and kind.
#[derive(Default)]
pub struct Schemas(BTreeMap<(String, String), Validator>);

impl Schemas {
    /// Those of the folder that is named; none where none is.
    pub fn load() -> Result<Self> {
        let Some(folder) = env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from)
        else {
            return Ok(Self::default());
        };
        let mut schemas = Self::default();
        for entry in fs::read_dir(&folder).with_context(|| format!("{VARIABLE}={}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                for definition in documents(&fs::read_to_string(&path)?)? {
                    schemas.add(&definition).with_context(|| path.display().to_string())?;
                }
            }
        }
        Ok(schemas)
    }

    /// How many kinds are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, definition: &Value) -> Result<()> {
        let spec = &definition["spec"];
        let (group, kind) = (spec["group"].as_str(), spec["names"]["kind"].as_str());
        let (Some(group), Some(kind)) = (group, kind) else { return Ok(()) };
        for version in list(&spec["versions"]) {
            let mut schema = version["schema"]["openAPIV3Schema"].clone();
            close(&mut schema);
            // Kubernetes knows what this is, and the definition only that it is an object.
            schema["properties"]["metadata"] = serde_json::json!({ "type": "object" });
            let version = version["name"].as_str().unwrap_or_default();
            let validator = jsonschema::validator_for(&schema)?;
            self.0.insert((format!("{group}/{version}"), kind.to_owned()), validator);
        }
        Ok(())
    }

    /// What the schemas say against an object.
    #[must_use]
    pub fn problems(&self, object: &Value) -> Vec<String> {
        let version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let Some(validator) = self.0.get(&(version, kind(object).to_owned())) else { return Vec::new() };
        let errors = validator.iter_errors(object);
        errors
            .map(|error| format!("{} {}: {}: {error}", kind(object), name(object), error.instance_path()))
            .collect()
    }
}

/// No field but those that are listed, as an API server has it when it is asked to be strict.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let is_open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if fields.contains_key("properties") && !fields.contains_key("additionalProperties") && !is_open {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for (key, inner) in fields {
        match key.as_str() {
            "properties" => inner.as_object_mut().into_iter().flatten().for_each(|(_, it)| close(it)),
            "items" | "additionalProperties" => close(inner),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> Schemas {
        let schema = json!({
            "type": "object",
            "properties": { "spec": {
                "type": "object", "required": ["image"], "properties": { "image": { "type": "string" } },
            } },
        });
        let definition = json!({ "spec": {
            "group": "example.dev", "names": { "kind": "App" },
            "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema } }],
        } });
        let mut schemas = Schemas::default();
        schemas.add(&definition).unwrap();
        schemas
    }

    #[test]
    fn a_field_that_a_schema_lacks_is_refused_and_so_is_one_of_another_type() {
        let problems = |spec: Value| {
            let (version, metadata) = ("example.dev/v1", json!({ "name": "a" }));
            schemas().problems(
                &json!({ "apiVersion": version, "kind": "App", "metadata": metadata, "spec": spec }),
            )
        };
        for (spec, expected) in [
            (json!({ "image": "i", "imaje": "j" }), 1),
            (json!({ "image": 1 }), 1),
            (json!({}), 1),
            (json!({ "image": "i" }), 0),
        ] {
            // The version and the kind are properties of every object, which a schema has to list.
            let found = problems(spec.clone()).into_iter().filter(|it| it.contains("/spec")).count();
            assert_eq!(found, expected, "{spec}");
        }
    }
}
