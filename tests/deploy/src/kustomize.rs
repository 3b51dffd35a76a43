//! The part of kustomize that the manifests use: `resources`, `components`, `namespace`, `images` with `configurations`, and
//! `patches` that are JSON patches or delete what they target. Whatever else a kustomization says is refused.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{kind, name};

/// Kinds that belong to no namespace.
const CLUSTER_WIDE: [&str; 1] = ["Namespace"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kustomization {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    configurations: Vec<String>,
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default)]
    patches: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Image {
    name: String,
    new_name: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    target: Target,
    patch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    images: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    kind: String,
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

/// The objects of the kustomization in `folder`.
pub fn render(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    apply(folder, &mut objects).with_context(|| format!("in `{}`", folder.display()))?;
    Ok(objects)
}

/// The documents of a YAML file.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    let values = documents.map(Value::deserialize).collect::<Result<Vec<_>, _>>()?;
    Ok(values.into_iter().filter(|value| !value.is_null()).collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn apply(folder: &Path, objects: &mut Vec<Value>) -> Result<()> {
    let text = read(&folder.join("kustomization.yaml"))?;
    let kustomization: Kustomization = serde_yaml_ng::from_str(&text)?;
    for resource in &kustomization.resources {
        let path = folder.join(resource);
        let found = if path.is_dir() { render(&path)? } else { documents(&read(&path)?)? };
        for object in found {
            let same = |other: &&Value| kind(other) == kind(&object) && name(other) == name(&object);
            ensure!(
                !objects.iter().any(|other| same(&other)),
                "`{resource}`: {} {} is there already",
                kind(&object),
                name(&object)
            );
            objects.push(object);
        }
    }
    for component in &kustomization.components {
        apply(&folder.join(component), objects)?;
    }
    for patch in &kustomization.patches {
        patch.apply(objects)?;
    }
    if let Some(namespace) = &kustomization.namespace {
        for object in objects.iter_mut().filter(|object| !CLUSTER_WIDE.contains(&kind(object))) {
            object["metadata"]["namespace"] = namespace.as_str().into();
        }
    }
    let mut fields = Vec::new();
    for configuration in &kustomization.configurations {
        let configuration: Configuration = serde_yaml_ng::from_str(&read(&folder.join(configuration))?)?;
        fields.extend(configuration.images);
    }
    for image in &kustomization.images {
        for object in objects.iter_mut() {
            image.set(object, &fields);
        }
    }
    Ok(())
}

impl Image {
    /// In containers, and in the fields that were named beside them.
    fn set(&self, object: &mut Value, fields: &[Field]) {
        let mut paths = vec!["/spec/template/spec/containers".to_owned()];
        let kind = kind(object).to_owned();
        paths.extend(fields.iter().filter(|it| it.kind == kind).map(|it| format!("/{}", it.path)));
        for path in paths {
            match object.pointer_mut(&path) {
                Some(Value::Array(containers)) => {
                    containers.iter_mut().for_each(|container| self.set_text(&mut container["image"]));
                }
                Some(text) => self.set_text(text),
                None => {}
            }
        }
    }

    fn set_text(&self, text: &mut Value) {
        if text.as_str() == Some(&self.name) {
            *text = format!("{}@{}", self.new_name, self.digest).into();
        }
    }
}

impl Patch {
    fn apply(&self, objects: &mut Vec<Value>) -> Result<()> {
        let is_target = |object: &Value| {
            kind(object) == self.target.kind
                && self.target.name.as_ref().is_none_or(|wanted| name(object) == wanted)
        };
        ensure!(objects.iter().any(is_target), "a patch targets {}, and there is none", self.target.kind);
        let patch: Value = serde_yaml_ng::from_str(&self.patch)?;
        if patch["$patch"] == "delete" {
            objects.retain(|object| !is_target(object));
            return Ok(());
        }
        let operations: Vec<Operation> =
            serde_json::from_value(patch).context("only JSON patches and `$patch: delete` are known")?;
        for object in objects.iter_mut().filter(|object| is_target(object)) {
            for operation in &operations {
                operation.apply(object).with_context(|| operation.path.clone())?;
            }
        }
        Ok(())
    }
}

impl Operation {
    fn apply(&self, object: &mut Value) -> Result<()> {
        let (parent, key) = self.path.rsplit_once('/').context("not a JSON pointer")?;
        let parent = object.pointer_mut(parent).and_then(Value::as_object_mut).context("no such object")?;
        match self.op.as_str() {
            "add" => drop(parent.insert(key.to_owned(), self.value.clone())),
            "replace" => *parent.get_mut(key).context("there is nothing to replace")? = self.value.clone(),
            "remove" => drop(parent.remove(key).context("there is nothing to remove")?),
            other => bail!("the operation `{other}` is not known"),
        }
        Ok(())
    }
}
