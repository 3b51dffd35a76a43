//! Variables: where their values come from, and which of them a component sees.
//!
//! Every value is settled once, at start: from `--variable`, then the runtime configuration's
//! providers, then `SPIN_VARIABLE_<NAME>`, then the manifest's default. Providers that
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
pub(crate) const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE";

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
    /// The runtime configuration's providers; the first that has a value counts.
    pub providers: Vec<Provider>,
}

/// What gives variables their values, by the runtime configuration.
#[derive(Clone)]
pub enum Provider {
    /// The configuration itself.
    Static(BTreeMap<String, String>),
    /// The environment's `<PREFIX>_<NAME>`.
    Environment {
        /// What stands before the underscore.
        prefix: String,
    },
}

/// Names only: any value may be a secret.
impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.names()).finish()
    }
}

impl Provider {
    fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Static(values) => values.get(name).cloned(),
            Self::Environment { prefix } => from_environment(prefix, name),
        }
    }

    /// The variables that it has values for, where it says so.
    fn names(&self) -> impl Iterator<Item = &String> {
        let values = match self {
            Self::Static(values) => Some(values),
            Self::Environment { .. } => None,
        };
        values.into_iter().flat_map(BTreeMap::keys)
    }
}

impl Sources {
    /// The value of one variable; none where nobody gives one. The environment's `SPIN_VARIABLE_<NAME>` comes last.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        let provided = || self.providers.iter().find_map(|provider| provider.get(name));
        let value = self.given.get(name).cloned().or_else(provided);
        value.or_else(|| from_environment(ENVIRONMENT_PREFIX, name))
    }
}

impl Variables {
    /// Settles the value of every declared variable. Refuses names that are not declared, and
    /// required variables that no source has a value for.
    pub fn settle(declared: &IndexMap<String, VariableDeclaration>, sources: &Sources) -> Result<Self> {
        for name in sources.given.keys().chain(sources.providers.iter().flat_map(Provider::names)) {
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
                "no value for the required variable(s) {}: give `--variable NAME=VALUE` or set `{ENVIRONMENT_PREFIX}_<NAME>`",
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

fn from_environment(prefix: &str, name: &str) -> Option<String> {
    std::env::var(format!("{prefix}_{}", name.to_ascii_uppercase())).ok()
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
