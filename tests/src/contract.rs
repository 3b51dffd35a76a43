//! The published contract, `openapi.json`, held against every answer the tests get.
//!
//! A status that an operation does not promise, a media type it does not name, a body or a header that is not what its
//! schema says: any of these fails the test in which it is seen, whatever that test is about.

use std::collections::HashMap;
use std::fs;
use std::sync::{LazyLock, Mutex};

use anyhow::{Context, Result, bail};
use jsonschema::Validator;
use serde_json::Value;
use xtask::workspace;

use crate::answer::Answer;

static CONTRACT: LazyLock<Value> = LazyLock::new(|| {
    let path = workspace::root().join("components/site/openapi.json");
    let text = fs::read_to_string(path).expect("the contract");
    serde_json::from_str(&text).expect("the contract to be JSON")
});

/// The schemas that were asked for, by where in the document they are.
static SCHEMAS: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);

/// The document itself.
#[must_use]
pub fn document() -> &'static Value {
    &CONTRACT
}

/// Holds an answer against what the contract promises for the request.
pub fn check(method: &str, path: &str, answer: &Answer) -> Result<()> {
    let path = path.split('?').next().unwrap_or_default();
    let Some(template) = template(path) else { return Ok(()) };
    let operation = format!("/paths/{}/{}", escape(template), method.to_ascii_lowercase());
    // What no operation is promised for is refused, which the tests see to themselves.
    if CONTRACT.pointer(&operation).is_none() {
        return Ok(());
    }
    let promised = |status: &str| {
        let place = format!("{operation}/responses/{status}");
        CONTRACT.pointer(&place).is_some().then_some(place)
    };
    let place = promised(&answer.status.to_string())
        .or_else(|| promised("default"))
        .with_context(|| format!("{method} {template} does not promise a {}", answer.status))?;
    let place = follow(place);
    check_headers(&place, answer).with_context(|| format!("{method} {template}, {}", answer.status))?;
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default().trim();
    let Some(content) = CONTRACT.pointer(&format!("{place}/content")) else {
        if !answer.body.is_empty() {
            bail!("{method} {template} promises no body with a {}", answer.status);
        }
        return Ok(());
    };
    if content.get(media_type).is_none() {
        bail!("{method} {template} does not promise {media_type:?} with a {}", answer.status);
    }
    let schema = format!("{place}/content/{}/schema", escape(media_type));
    if media_type.ends_with("json") && CONTRACT.pointer(&schema).is_some() {
        validate(&schema, &answer.json())
            .with_context(|| format!("{method} {template}, {}", answer.status))?;
    }
    Ok(())
}

/// Holds the headers that there are against their schemas.
fn check_headers(place: &str, answer: &Answer) -> Result<()> {
    let Some(headers) = CONTRACT.pointer(&format!("{place}/headers")).and_then(Value::as_object) else {
        return Ok(());
    };
    for name in headers.keys() {
        let value = answer.header(&name.to_ascii_lowercase());
        if value.is_empty() {
            continue;
        }
        let header = follow(format!("{place}/headers/{}", escape(name)));
        let value = value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from);
        validate(&format!("{header}/schema"), &value).with_context(|| name.clone())?;
    }
    Ok(())
}

/// The path of the contract that a requested path is an instance of; the one with the fewest parameters.
fn template(path: &str) -> Option<&'static str> {
    let paths = CONTRACT.get("paths")?.as_object()?;
    let fits = |template: &&String| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        wanted.by_ref().zip(given.by_ref()).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
            && template.split('/').count() == path.split('/').count()
    };
    paths.keys().filter(fits).min_by_key(|template| template.matches('{').count()).map(String::as_str)
}

/// Where a place leads that is a reference to another.
fn follow(place: String) -> String {
    match CONTRACT.pointer(&place).and_then(|it| it.get("$ref")).and_then(Value::as_str) {
        Some(reference) => reference.trim_start_matches('#').to_owned(),
        None => place,
    }
}

fn validate(schema: &str, body: &Value) -> Result<()> {
    let mut schemas = SCHEMAS.lock().map_err(|_| anyhow::anyhow!("a test panicked in here"))?;
    if !schemas.contains_key(schema) {
        // The whole document, begun at that place: its own references then lead where they should.
        let mut document = CONTRACT.clone();
        if let Some(members) = document.as_object_mut() {
            members.insert("$ref".to_owned(), fragment(schema).into());
        }
        let validator =
            jsonschema::validator_for(&document).map_err(|error| anyhow::anyhow!("{schema}: {error}"))?;
        schemas.insert(schema.to_owned(), validator);
    }
    let Some(validator) = schemas.get(schema) else { return Ok(()) };
    let problems: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if !problems.is_empty() {
        bail!("the body is not what the contract says: {}", problems.join("; "));
    }
    Ok(())
}

/// A key as part of a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A JSON pointer as a URI fragment; the braces of a path's parameters are not allowed there as they are.
fn fragment(pointer: &str) -> String {
    format!("#{}", pointer.replace('{', "%7B").replace('}', "%7D"))
}
