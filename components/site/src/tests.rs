//! What this component says about the others, held against their source and against `spin.toml`.

use crate::http::{OPENAPI, answer};
use futures::executor::block_on;
use hal::{Kind, Method, Request, Response, StatusCode};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn send(method: Method, path: &str) -> Response {
    let request = Request::new(method, path, &[("host", "127.0.0.1:8080")], "").unwrap();
    block_on(hal::answer(&request, async |request: &Request| answer(request)))
}

fn get(path: &str) -> Response {
    send(Method::GET, path)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn openapi() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn the_root_says_where_everything_is() {
    let root = get("/");
    assert_eq!(root.get("content-type"), Some("application/hal+json"));
    let links = &root.json()["_links"];
    for rel in ["orders", "pays", "reservations", "courses", "infomations", "notifications"] {
        let href = links[rel]["href"].as_str().unwrap();
        assert!(href.starts_with(&format!("http://127.0.0.1:8080/{rel}{{?")), "{href}");
        assert_eq!(links[rel]["templated"], true);
    }
    assert_eq!(links["openapi"]["href"], "http://127.0.0.1:8080/openapi.json");
    assert_eq!(links["health"]["href"], "http://127.0.0.1:8080/.well-known/spin/health");
}

#[test]
fn what_is_not_there_is_a_problem_that_can_be_opened() {
    for path in ["/nothing", "/problems/no-such-kind", "/openapi.json/x", "/favicon.ico"] {
        let answered = get(path);
        assert_eq!(answered.status(), StatusCode::NOT_FOUND, "{path}");
        let problem = answered.json();
        let kind = problem["type"].as_str().unwrap();
        assert_eq!(get(kind).json()["type"], kind);
    }
}

#[test]
fn every_page_is_only_for_reading() {
    for path in ["/", "/openapi.json", "/problems", "/problems/not-found"] {
        let refused = send(Method::POST, path);
        assert_eq!((refused.status().as_u16(), refused.get("allow")), (405, Some("GET, HEAD, OPTIONS")));
        assert_eq!(send(Method::OPTIONS, path).status(), StatusCode::NO_CONTENT);
    }
}

#[test]
fn the_list_of_problems_has_all_of_them_by_slug() {
    let listed = get("/problems").json();
    let listed = listed["_embedded"]["problems"].as_array().unwrap();
    let slugs: Vec<_> = Kind::ALL.iter().map(|kind| kind.slug).collect();
    assert_eq!(listed.len(), slugs.len());
    assert!(slugs.is_sorted(), "{slugs:?}");
}

#[test]
fn every_path_in_the_contract_is_routed_by_the_manifest() {
    let manifest: toml::Table = fs::read_to_string(workspace().join("spin.toml")).unwrap().parse().unwrap();
    let routes: Vec<_> = manifest["trigger"]["http"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trigger| (trigger["route"].as_str().unwrap(), trigger["component"].as_str().unwrap()))
        .collect();
    // The component that a path goes to: the longest prefix wins.
    let component_of = |path: &str| {
        let matching = routes.iter().filter_map(|(route, component)| {
            let prefix = route.strip_suffix("/...")?;
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((prefix.len(), *component))
        });
        matching.max().map(|(_, component)| component)
    };
    let document = openapi();
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let operations =
            item.as_object().unwrap().values().filter(|member| member.get("operationId").is_some());
        for tag in operations.map(|operation| operation["tags"][0].as_str().unwrap()) {
            assert_eq!(component_of(path), Some(tag), "{path}");
        }
    }
    let described: BTreeSet<_> = paths.keys().filter_map(|path| component_of(path)).collect();
    let routed: BTreeSet<_> = routes.iter().map(|(_, component)| *component).collect();
    assert_eq!(described, routed, "a component of which nothing is described");
}

#[test]
fn both_readmes_list_every_variable_with_its_default() {
    let manifest: toml::Table = fs::read_to_string(workspace().join("spin.toml")).unwrap().parse().unwrap();
    for readme in ["README.md", "README.ko.md"] {
        let text = fs::read_to_string(workspace().join(readme)).unwrap();
        for (name, variable) in manifest["variables"].as_table().unwrap() {
            let names =
                |line: &str| line.split('|').nth(1).is_some_and(|names| names.contains(&format!("`{name}`")));
            let row = text.lines().find(|line| names(line));
            let row = row.unwrap_or_else(|| panic!("{readme} has no row for {name}"));
            let default = variable["default"].as_str().unwrap();
            let secret = variable.get("secret").is_some();
            assert!(secret || row.contains(default), "{readme}: the default of {name} is {default}");
        }
    }
}

/// Calls `look` with every object in the document, and where it is.
fn walk<'a>(value: &'a Value, at: &str, look: &mut impl FnMut(&str, &'a Value)) {
    look(at, value);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                walk(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), look);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{at}/{index}"), look);
            }
        }
        _ => {}
    }
}

#[test]
fn every_reference_in_the_contract_leads_somewhere_and_everything_defined_is_used() {
    let document = openapi();
    let mut referenced = BTreeSet::new();
    walk(&document, "", &mut |at, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{at} refers to {target}, which is not there");
            referenced.insert(pointer.to_owned());
        }
    });
    // Security schemes are referred to by name.
    for requirement in document["security"].as_array().unwrap() {
        referenced.extend(
            requirement.as_object().unwrap().keys().map(|name| format!("/components/securitySchemes/{name}")),
        );
    }
    for (kind, defined) in document["components"].as_object().unwrap() {
        for name in defined.as_object().unwrap().keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(referenced.contains(&pointer), "nothing refers to {pointer}");
        }
    }
}

/// The schema, with what it may refer to.
fn validator(document: &Value, schema: &Value, at: &str) -> jsonschema::Validator {
    let schema = serde_json::json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{at} is no schema: {error}"))
}

#[test]
fn every_example_in_the_contract_fits_its_schema() {
    let document = openapi();
    let mut checked = 0;
    walk(&document, "", &mut |at, value| {
        let Some(schema) = value.get("schema") else { return };
        let one = value.get("example").into_iter();
        let named = value.get("examples").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
        let examples: Vec<_> = one.chain(named.filter_map(|example| example.get("value"))).collect();
        if examples.is_empty() {
            return;
        }
        let validator = validator(&document, schema, at);
        for example in examples {
            let problems: Vec<_> =
                validator.iter_errors(example).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(problems.is_empty(), "the example at {at}: {problems:#?}");
            checked += 1;
        }
    });
    assert!(checked > 20, "only {checked} examples");
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_can_go_wrong() {
    let document = openapi();
    let mut names = BTreeSet::new();
    walk(&document["paths"], "", &mut |at, value| {
        let Some(name) = value.get("operationId").and_then(Value::as_str) else { return };
        assert!(names.insert(name), "{name} stands for two operations");
        let responses = value["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at} never succeeds");
        if at.contains("{") {
            assert!(responses.contains_key("404") || at.ends_with("/options"), "{at} is always found");
        }
    });
    assert!(names.len() > 20, "only {names:?}");
}

/// What a template says by itself: what is left of it without its tags, its expressions and the markup; and what stands in
/// attributes that are read to people.
fn words_of(template: &str) -> String {
    // This block is a class of the element it is in.
    let mut text = template.replace("{% block width %}narrow{% endblock %}", "");
    for (open, close) in [("{{", "}}"), ("{%", "%}"), ("{#", "#}")] {
        while let Some(from) = text.find(open) {
            let to = text[from..].find(close).map_or(text.len(), |to| from + to + close.len());
            text.replace_range(from..to, "");
        }
    }
    let mut said = String::new();
    for attribute in ["alt=\"", "title=\"", "placeholder=\"", "aria-label=\""] {
        for value in text.split(attribute).skip(1) {
            said.push_str(value.split('"').next().unwrap());
        }
    }
    let mut rest = text.as_str();
    while let Some((before, tag)) = rest.split_once('<') {
        said.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    said + rest
}

#[test]
fn no_template_says_anything_that_is_not_in_the_message_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut looked_at = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let said = words_of(&fs::read_to_string(&path).unwrap());
        let said = said.replace("&nbsp;", "");
        assert!(!said.chars().any(char::is_alphabetic), "{} says {said:?}", path.display());
        looked_at += 1;
    }
    assert!(looked_at > 15, "only {looked_at} templates");
    assert_eq!(words_of("<p class=\"x\" title=\"a\">{{ t.x() }} b</p>").replace(' ', ""), "ab");
}

#[test]
fn every_message_is_there_in_both_languages() {
    let ids = |language: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("messages").join(language);
        let files =
            fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        let lines = files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let ids = lines.filter_map(|line| line.split_once(" = ").map(|(id, _)| id.to_owned()));
        ids.filter(|id| id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'))
            .collect()
    };
    let (korean, english): (BTreeSet<String>, BTreeSet<String>) = (ids("ko"), ids("en"));
    assert!(korean.len() > 300, "only {}", korean.len());
    assert_eq!(korean, english);
}
