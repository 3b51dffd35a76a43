//! Variables: where their values come from, and which of them a component sees.
//!
//! Every value is settled once, at start: from `--variable`, then the runtime configuration's
//! static providers, then `SPIN_VARIABLE_<NAME>`, then the manifest's default. Providers that
//! have to be asked over the network (Vault, Azure) are refused by the runtime configuration.

mod guest;
mod template;

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result, bail};
use indexmap::IndexMap;
use serde::Deserialize;

pub use guest::{ComponentVariables, VariablesView, add_to_linker};
pub use template::Template;

/// The prefix of the environment variables that set application variables, as in Spin.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// One entry of `[variables]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableDeclaration {
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    pub(crate) required: bool,
    /// The value where nothing else gives one.
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default, rename = "secret")]
    _secret: bool,
}

/// The application's variables, each with its value.
#[derive(Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
}

/// Names only: any value may be a secret.
impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

/// Where the values of variables come from, strongest first.
#[derive(Default)]
pub struct Sources {
    /// What the command line or the embedding program says.
    pub given: BTreeMap<String, String>,
    /// What the runtime configuration's static providers say.
    pub configured: BTreeMap<String, String>,
}

impl Sources {
    /// The value of one variable; none where nobody gives one. The environment's `SPIN_VARIABLE_<NAME>` comes last.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        let value = self.given.get(name).or_else(|| self.configured.get(name)).cloned();
        value.or_else(|| from_environment(name))
    }
}

impl Variables {
    /// Settles the value of every declared variable. Refuses names that are not declared, and
    /// required variables that no source has a value for.
    pub fn settle(declared: &IndexMap<String, VariableDeclaration>, sources: &Sources) -> Result<Self> {
        for name in sources.given.keys().chain(sources.configured.keys()) {
            if !declared.contains_key(name) {
                bail!(
                    "the variable `{name}` was given a value but is not declared under [variables]; declared: {}",
                    listed(declared.keys())
                );
            }
        }
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, declaration) in declared {
            match sources.value(name).or_else(|| declaration.default.clone()) {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => missing.push(name),
            }
        }
        if !missing.is_empty() {
            bail!(
                "no value for the required variable(s) {}: give `--variable NAME=VALUE` or set `{ENVIRONMENT_PREFIX}<NAME>`",
                listed(missing)
            );
        }
        Ok(Self { values })
    }

    /// The text of a template with the variables' values in it.
    pub fn fill(&self, template: &str) -> Result<String> {
        Template::parse(template)?.fill(|name| self.values.get(name).map(String::as_str))
    }

    /// The variables of one component, their templates filled in.
    pub fn of_component(&self, templates: &IndexMap<String, String>) -> Result<ComponentVariables> {
        let mut values = BTreeMap::new();
        for (name, template) in templates {
            let value = self.fill(template).with_context(|| format!("variables.{name}"))?;
            values.insert(name.clone(), value);
        }
        Ok(ComponentVariables::new(values))
    }
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase())).ok()
}

/// What is wrong with a variable's name, if anything: lower-case letters, digits and single
/// underscores between them, starting with a letter.
pub fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("must not be empty")
    } else if name.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')) {
        Some("may contain only lower-case letters, digits and underscores")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("must start with a lower-case letter")
    } else if name.ends_with('_') {
        Some("must not end with an underscore")
    } else if name.contains("__") {
        Some("must not contain two underscores in a row")
    } else {
        None
    }
}

/// `a`, `b`, `c`: how refusals say what there is.
pub(crate) fn listed<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
