//! The workflows under `deploy/github`: every field of GitHub's that is used there, and what must hold of them.
//!
//! What it deliberately does not do: run one. That takes GitHub.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use xtask::arguments::Arguments;

use crate::github;

/// The text of every workflow, by the name of its file.
pub type Texts = BTreeMap<String, String>;

/// More lines than these are a command of their own.
const LONGEST: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Workflow {
    #[serde(rename = "name")]
    _name: String,
    on: On,
    permissions: BTreeMap<String, String>,
    concurrency: Option<Concurrency>,
    defaults: Value,
    jobs: BTreeMap<String, Job>,
}

/// What starts one. `pull_request_target`, which runs a stranger's change with our rights, is none of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct On {
    #[serde(rename = "pull_request")]
    _pull_request: Option<Value>,
    #[serde(rename = "push")]
    _push: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    workflow_call: Option<Called>,
    workflow_dispatch: Option<Called>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Called {
    #[serde(default)]
    inputs: BTreeMap<String, Value>,
    #[serde(default)]
    secrets: BTreeMap<String, Value>,
}

/// `workflow_call:` with nothing behind it is there all the same.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Called>, D::Error> {
    Ok(Some(Option::deserialize(from)?.unwrap_or_default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Concurrency {
    group: String,
    #[serde(rename = "cancel-in-progress")]
    _cancel_in_progress: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Job {
    runs_on: Option<String>,
    timeout_minutes: Option<u32>,
    permissions: Option<BTreeMap<String, String>>,
    #[serde(default)]
    needs: OneOrMore,
    environment: Option<Value>,
    concurrency: Option<Concurrency>,
    #[serde(default)]
    outputs: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    steps: Vec<Step>,
    uses: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, String>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    #[default]
    None,
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn names(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(name) => std::slice::from_ref(name),
            Self::More(names) => names,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Step {
    #[serde(rename = "name")]
    _name: Option<String>,
    id: Option<String>,
    #[serde(rename = "if")]
    _if: Option<String>,
    #[serde(rename = "timeout-minutes")]
    _timeout_minutes: Option<u32>,
    #[serde(rename = "working-directory")]
    _working_directory: Option<String>,
    uses: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, Value>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    run: Option<String>,
}

/// The workflows as the repository has them.
pub fn texts() -> Result<Texts> {
    let mut texts = Texts::new();
    for entry in fs::read_dir(github())? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "yaml" || it == "yml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            texts.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}

/// Every script of every step, to be looked at by a shell.
#[must_use]
pub fn scripts(texts: &Texts) -> Vec<String> {
    let workflows = texts.values().filter_map(|text| serde_yaml_ng::from_str::<Workflow>(text).ok());
    let jobs = workflows.flat_map(|workflow| workflow.jobs.into_values());
    jobs.flat_map(|job| job.steps).filter_map(|step| step.run).collect()
}

/// Everything that is wrong with the workflows; `documented` is the text that says what they need.
#[must_use]
pub fn problems(texts: &Texts, documented: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut workflows = BTreeMap::new();
    for (file, text) in texts {
        match serde_yaml_ng::from_str::<Workflow>(text) {
            Ok(workflow) => drop(workflows.insert(file.as_str(), workflow)),
            Err(error) => problems.push(format!("{file}: {error}")),
        }
        let of_text = pinned(text).into_iter().chain(undocumented(text, documented));
        problems.extend(of_text.map(|problem| format!("{file}: {problem}")));
    }
    for (file, workflow) in &workflows {
        let mut of_file = Vec::new();
        if !workflow.permissions.is_empty() {
            of_file.push("permissions are given to jobs, not to a whole workflow".to_owned());
        }
        if workflow.defaults["run"]["shell"] != "bash" {
            of_file.push(
                "`defaults.run.shell` is not bash: a failure within a pipe would not be seen".to_owned(),
            );
        }
        for (name, job) in &workflow.jobs {
            let of_job = job.problems(workflow, &workflows);
            of_file.extend(of_job.into_iter().map(|problem| format!("{name}: {problem}")));
        }
        problems.extend(of_file.into_iter().map(|problem| format!("{file}: {problem}")));
    }
    problems
}

/// An action is its commit, and says in a comment which version that is.
fn pinned(text: &str) -> Vec<String> {
    let uses = text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
    let foreign = uses.filter(|used| !used.starts_with("./"));
    let is_pinned = |used: &str| {
        let (action, version) = used.split_once(" # v").unwrap_or((used, ""));
        let commit = action.split_once('@').map(|(_, commit)| commit).unwrap_or_default();
        let numbers = version.split('.').filter(|part| part.parse::<u32>().is_ok()).count();
        commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && numbers == 3
    };
    let loose = foreign.filter(|used| !is_pinned(used));
    loose.map(|used| format!("`{used}` is not pinned by its commit, with its version behind it")).collect()
}

/// Who sets a pipeline up is told of each secret and variable.
fn undocumented(text: &str, documented: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for kind in ["secrets.", "vars."] {
        names.extend(
            references(text, kind)
                .into_iter()
                .filter(|name| name.chars().all(|it| it == '_' || it.is_ascii_uppercase())),
        );
    }
    let missing = names.into_iter().filter(|name| !documented.contains(&format!("`{name}`")));
    missing.map(|name| format!("`{name}` is not documented")).collect()
}

/// The names behind a prefix such as `needs.`, up to what can be no part of a path.
fn references(text: &str, prefix: &str) -> Vec<String> {
    let path = |rest: &str| {
        rest.chars().take_while(|it| it.is_ascii_alphanumeric() || "_-.".contains(*it)).collect()
    };
    text.match_indices(prefix)
        .filter(|(at, _)| {
            !text[..*at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '.')
        })
        .filter_map(|(at, _)| text.get(at + prefix.len()..))
        .map(path)
        .collect()
}

impl Job {
    fn problems(&self, workflow: &Workflow, workflows: &BTreeMap<&str, Workflow>) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, words: &str| {
            if !holds {
                problems.push(words.to_owned());
            }
        };
        must(self.permissions.is_some(), "it says no permissions");
        // GitHub takes neither from a job that calls a workflow: that says both itself.
        if self.uses.is_none() {
            must(self.timeout_minutes.is_some(), "it has no timeout");
            must(self.runs_on.is_some(), "it says no runner");
            must(
                workflow.concurrency.is_some() || self.concurrency.is_some(),
                "nothing says how many may run at once",
            );
        }
        let scripts = || self.steps.iter().filter_map(|step| step.run.as_deref());
        let deploys = scripts().any(|script| script.contains("kubectl apply"));
        must(
            !deploys || self.environment.is_some(),
            "it deploys, and to no environment that could ask for approval",
        );
        let signs = self.permissions.iter().flatten().any(|(name, _)| name == "id-token");
        let builds =
            scripts().any(|script| script.contains("cargo ") || script.contains("docker buildx build"));
        must(!(signs && builds), "what it builds could sign in our name");
        for step in &self.steps {
            problems.extend(step.problems(self));
        }
        problems.extend(self.dangling(workflow));
        if let Some(called) = &self.uses {
            problems.extend(self.call(called, workflows));
        }
        problems
    }

    /// What it calls is there, takes what it is given, and gets no less permission than its jobs ask for.
    fn call(&self, called: &str, workflows: &BTreeMap<&str, Workflow>) -> Vec<String> {
        let file = called.trim_start_matches("./.github/workflows/");
        let workflow = workflows.get(file);
        let Some((workflow, takes)) = workflow.and_then(|it| Some((it, it.on.workflow_call.as_ref()?)))
        else {
            return vec![format!("it calls `{called}`, which cannot be called")];
        };
        let mut problems = Vec::new();
        for (given, taken, what) in [
            (self.with.keys().collect::<BTreeSet<_>>(), &takes.inputs, "input"),
            (self.secrets.keys().collect(), &takes.secrets, "secret"),
        ] {
            problems.extend(
                given
                    .iter()
                    .filter(|name| !taken.contains_key(**name))
                    .map(|name| format!("`{file}` takes no {what} `{name}`")),
            );
            let required = taken.iter().filter(|(_, of)| of["required"] == true).map(|(name, _)| name);
            problems.extend(
                required
                    .filter(|name| !given.contains(name))
                    .map(|name| format!("`{file}` needs the {what} `{name}`")),
            );
        }
        let granted = |name: &str| {
            self.permissions.iter().flatten().find(|(it, _)| *it == name).map(|(_, level)| level.as_str())
        };
        for (name, level) in workflow.jobs.values().flat_map(|job| job.permissions.iter().flatten()) {
            if granted(name) != Some(level) && granted(name) != Some("write") {
                problems.push(format!("`{file}` needs the permission `{name}: {level}`"));
            }
        }
        problems
    }

    /// Jobs, outputs, steps and inputs that are spoken of and are not there: GitHub takes them for empty texts.
    fn dangling(&self, workflow: &Workflow) -> Vec<String> {
        let mut problems = Vec::new();
        let needs = self.needs.names();
        problems.extend(
            needs
                .iter()
                .filter(|name| !workflow.jobs.contains_key(*name))
                .map(|name| format!("there is no job `{name}`")),
        );
        let of_steps = self.steps.iter().flat_map(|step| {
            let with = step.with.values().filter_map(Value::as_str);
            with.chain(step.env.values().map(String::as_str))
        });
        let concurrency = self.concurrency.iter().map(|it| it.group.as_str());
        let environment = self.environment.iter().filter_map(|it| it["name"].as_str());
        let own =
            self.env.values().chain(self.with.values()).chain(self.outputs.values()).map(String::as_str);
        for text in own.chain(of_steps).chain(concurrency).chain(environment) {
            for path in references(text, "needs.") {
                let (job, output) = path.split_once(".outputs.").unwrap_or((&path, ""));
                let known = needs.iter().any(|it| it == job)
                    && workflow.jobs.get(job).is_some_and(|it| it.outputs.contains_key(output));
                problems.extend((!known).then(|| format!("`needs.{path}` is nothing")));
            }
            for path in references(text, "steps.") {
                let known = self.steps.iter().any(|step| step.id.as_deref() == path.split('.').next());
                problems.extend((!known).then(|| format!("`steps.{path}` is nothing")));
            }
            for name in references(text, "inputs.") {
                let mut callers =
                    [&workflow.on.workflow_call, &workflow.on.workflow_dispatch].into_iter().flatten();
                let known = callers.all(|it| it.inputs.contains_key(&name));
                problems.extend((!known).then(|| format!("`inputs.{name}` is nothing")));
            }
        }
        problems
    }
}

impl Step {
    fn problems(&self, job: &Job) -> Vec<String> {
        let mut problems = Vec::new();
        if self.uses.as_deref().is_some_and(|used| used.starts_with("actions/checkout@"))
            && self.with.get("persist-credentials") != Some(&Value::Bool(false))
        {
            problems
                .push("the checkout leaves its token where everything that follows can read it".to_owned());
        }
        let Some(script) = &self.run else { return problems };
        if script.contains("${{") {
            problems.push(format!(
                "an expression stands in a script, where it is code: it goes through `env`: `{script}`"
            ));
        }
        if script.contains("set -x") {
            problems.push("`set -x` shows every value in the log".to_owned());
        }
        if script.lines().count() > LONGEST {
            problems.push(format!("a script of more than {LONGEST} lines is a command of its own"));
        }
        let is_secret = |value: &str| value.contains("secrets.") || value.contains("github.token");
        let secrets = job.env.iter().chain(&self.env).filter(|(_, value)| is_secret(value));
        for (name, _) in secrets {
            problems.extend(shown(script, name));
        }
        problems.extend(commands(script).filter_map(|words| command(&words)));
        problems.extend(script.lines().flat_map(images));
        problems
    }
}

/// A secret goes to the standard input of a program that takes a password, or into a file; into no argument, and no log.
fn shown(script: &str, name: &str) -> Option<String> {
    let line = script.lines().find(|line| {
        let input = format!("<<<\"${name}\"");
        let kept = line.contains("--password-stdin") || line.contains(&format!("{input} > "));
        line.replace(&input, "").contains(&format!("${name}"))
            || line.contains(&format!("${{{name}"))
            || (line.contains(&input) && !kept)
    })?;
    Some(format!("`{name}` is secret and may be seen: `{}`", line.trim()))
}

/// The words of every call of `cargo xtask`.
fn commands(script: &str) -> impl Iterator<Item = Vec<String>> {
    script.split("cargo xtask ").skip(1).map(|rest| {
        let end = rest.find(['\n', '|', ')', ';', '&', '>']).unwrap_or(rest.len());
        let words = rest[..end].split_whitespace();
        words.map(|word| word.trim_matches('"').to_owned()).collect()
    })
}

fn command(words: &[String]) -> Option<String> {
    let error = Arguments::read(words.iter().map(String::as_str)).err()?;
    Some(format!("`cargo xtask {}`: {error}", words.join(" ")))
}

/// The images that a line signs, verifies or deploys without a digest.
fn images(line: &str) -> Vec<String> {
    let calls = [
        "cosign sign ",
        "verify \"",
        "kustomize edit set image ",
        "docker run ",
        "docker pull ",
        "kubectl set image ",
    ];
    let Some((_, rest)) = calls.iter().find_map(|call| line.split_once(call)) else { return Vec::new() };
    let words = rest.split_whitespace().map(|word| word.trim_matches('"')).filter(|word| word.contains('/'));
    let loose = words.filter(|word| !word.contains("@$") && !word.contains("@sha256:"));
    loose.map(|word| format!("the image `{word}` has no digest")).collect()
}
