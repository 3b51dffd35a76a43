//! Every overlay as it is, held against the application.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use deploy_tests::{
    OVERLAYS, application::Application, find, kubernetes, kustomize, list, name, of_kind, operator, rules,
    schemas::Schemas,
};
use serde_json::Value;

fn render(overlay: &str) -> Vec<Value> {
    kustomize::render(&kubernetes().join("overlays").join(overlay)).unwrap()
}

/// What is applied onto the operator's Deployments; nothing where there is no operator.
fn rollout(overlay: &str) -> Vec<Value> {
    let folder = kubernetes().join("rollout");
    match overlay {
        "sqlite" => {
            kustomize::documents(&std::fs::read_to_string(folder.join("sqlite.yaml")).unwrap()).unwrap()
        }
        "plain" => Vec::new(),
        _ => kustomize::render(&folder).unwrap(),
    }
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "yaml"));
    files.chain(folders.iter().flat_map(|folder| yaml_files(folder))).collect()
}

#[test]
fn nothing_is_wrong_with_any_overlay() {
    let application = Application::load().unwrap();
    for overlay in OVERLAYS {
        let problems = rules::problems(&render(overlay), &rollout(overlay), &application);
        assert!(problems.is_empty(), "{overlay}:\n{}", problems.join("\n"));
    }
}

#[test]
fn the_resources_own_schemas_have_nothing_against_them() {
    let schemas = Schemas::load().unwrap();
    for overlay in OVERLAYS {
        let problems: Vec<_> = render(overlay).iter().flat_map(|object| schemas.problems(object)).collect();
        assert!(problems.is_empty(), "{overlay}:\n{}", problems.join("\n"));
    }
}

#[test]
fn every_file_is_part_of_something_that_is_rendered() {
    let used = |path: &Path| {
        let file = path.file_name().unwrap().to_str().unwrap();
        let kustomization = path.with_file_name("kustomization.yaml");
        let listed = std::fs::read_to_string(kustomization).unwrap();
        file == "kustomization.yaml" || listed.contains(&format!("- {file}")) || file == "sqlite.yaml"
    };
    let unused: Vec<_> = yaml_files(&kubernetes()).into_iter().filter(|path| !used(path)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// The tool itself, where it is installed, makes the same of the overlays as this crate does.
#[test]
fn kustomize_renders_what_is_checked_here() {
    for overlay in OVERLAYS {
        let folder = kubernetes().join("overlays").join(overlay);
        let tool = Command::new("kubectl").arg("kustomize").arg(folder).output();
        let Ok(output) = tool else { return };
        assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let (theirs, ours) = (kustomize::documents(&text).unwrap(), render(overlay));
        let only = |these: &[Value], those: &[Value]| -> Vec<Value> {
            these.iter().filter(|object| !those.contains(object)).cloned().collect()
        };
        assert_eq!(only(&theirs, &ours), only(&ours, &theirs), "{overlay}");
        assert_eq!(theirs.len(), ours.len(), "{overlay}");
    }
}

/// Without the operator the same runs as with it; what the operator lacks is added.
#[test]
fn the_plain_deployments_are_those_that_the_operator_would_make() {
    let (apps, plain) = (render("postgres"), render("plain"));
    let executor = find(&apps, "SpinAppExecutor", "sugang").unwrap();
    for app in of_kind(&apps, "SpinApp") {
        let made = operator::container(app, executor).unwrap();
        let deployment = find(&plain, "Deployment", name(app)).unwrap();
        let written = &deployment["spec"]["template"]["spec"]["containers"][0];
        for field in ["image", "ports", "livenessProbe", "readinessProbe", "resources", "volumeMounts"] {
            assert_eq!(written[field], made[field], "{}: {field}", name(app));
        }
        // The image to run is named in one place, for all of them.
        let image = find(&plain, "ConfigMap", "sugang-image").unwrap()["data"]["image"].as_str().unwrap();
        let arguments = written["args"].to_string().replace("$(SUGANG_IMAGE)", image);
        assert_eq!(arguments, made["args"].to_string(), "{}", name(app));
        let environment: Vec<_> =
            list(&written["env"]).filter(|it| it["name"] != "SUGANG_IMAGE").cloned().collect();
        assert_eq!(Value::from(environment), made["env"], "{}", name(app));
        let volumes =
            |value: &Value| list(value).filter(|it| it["secret"].is_null()).cloned().collect::<Vec<_>>();
        assert_eq!(
            volumes(&deployment["spec"]["template"]["spec"]["volumes"]),
            volumes(&app["spec"]["volumes"]),
            "{}",
            name(app)
        );
    }
}

/// The Secrets that the manifests ask for are those that an operator is told to make, of files with an example each.
#[test]
fn the_secrets_are_made_of_the_examples() {
    let folder = kubernetes().join("secrets");
    let text = std::fs::read_to_string(folder.join("kustomization.yaml")).unwrap();
    let kustomization = &kustomize::documents(&text).unwrap()[0];
    let names: Vec<_> =
        list(&kustomization["secretGenerator"]).map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, rules::SECRETS);
    assert_eq!(kustomization["generatorOptions"]["disableNameSuffixHash"], true);
    for generator in list(&kustomization["secretGenerator"]) {
        for file in list(&generator["envs"]).chain(list(&generator["files"])) {
            let example = folder.join(format!("{}.example", file.as_str().unwrap()));
            assert!(example.exists(), "{}", example.display());
        }
    }
}

#[test]
fn the_examples_of_secrets_hold_none() {
    let secrets = kubernetes().join("secrets");
    let text = std::fs::read_to_string(secrets.join("variables.env.example")).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.contains("CHANGE-ME"), "{line}");
    }
    for name in ["variables.env", "runtime-config.toml"] {
        let ignored = std::fs::read_to_string(secrets.join(".gitignore")).unwrap();
        assert!(ignored.lines().any(|line| line == name), "{name} is one commit from the public");
    }
}

/// The table says of every variable where it is set, and says it of a secret one that it is in the Secret.
#[test]
fn the_deployment_guide_says_where_every_variable_is_set() {
    let text = std::fs::read_to_string(deploy_tests::root().join("docs/deployment.md")).unwrap();
    let (_, section) = text.split_once("\n## Where each variable is set\n").unwrap();
    let rows =
        section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
    let mut said = std::collections::BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for variable in cells[1].split('`').skip(1).step_by(2) {
            let secret = cells[3].starts_with("Secret ");
            assert!(secret || cells[3].starts_with("ConfigMap"), "{variable}: {}", cells[3]);
            assert_eq!(said.insert(variable.to_owned(), secret), None, "{variable} stands there twice");
        }
    }
    assert_eq!(said, Application::load().unwrap().variables);
}

/// What is released has one number, wherever it is asked for.
#[test]
fn the_release_has_one_number() {
    let read = |path: &str| std::fs::read_to_string(deploy_tests::root().join(path)).unwrap();
    let toml = |path: &str| -> toml::Table { toml::from_str(&read(path)).unwrap() };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(toml("Cargo.toml")["workspace"]["package"]["version"].as_str(), Some(version));
    assert_eq!(toml("spin.toml")["application"]["version"].as_str(), Some(version));
    let openapi: Value = serde_json::from_str(&read("components/site/openapi.json")).unwrap();
    assert_eq!(openapi["info"]["version"], version);
    assert!(
        read("CHANGELOG.md").contains(&format!("\n## {version}\n")),
        "the changelog has no part for {version}"
    );
}
