//! Makes a function of each message in the Fluent files, with the message's variables as its arguments in the order of their
//! names. A message that one language lacks, or that has other variables there, is an error of the build.

use fluent_syntax::ast::{Entry, Expression, InlineExpression, Pattern, PatternElement, VariantKey};
use fluent_syntax::parser;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The languages, the first of which is read by whoever asks for none of them.
const LANGUAGES: [&str; 2] = ["ko", "en"];

/// A message: its variables, and the Rust statements that write it.
#[derive(Default)]
struct Message {
    variables: BTreeSet<String>,
    code: String,
    /// What it says, where it always says the same.
    constant: Option<String>,
}

/// Rust with `impl Messages` of every message.
pub(crate) fn generate(folder: &Path) -> Result<String, Box<dyn Error>> {
    let [first, second] = LANGUAGES.map(|language| read(&folder.join(language)));
    let (first, mut second) = (first?, second?);
    let mut code = String::from("impl Messages {\n");
    for (id, one) in first {
        let other = second.remove(&id).ok_or_else(|| format!("`{id}` is not in {}", LANGUAGES[1]))?;
        if one.variables != other.variables {
            return Err(format!("`{id}` has other variables in {}", LANGUAGES[1]).into());
        }
        code.push_str(&function(&id, &one, &other)?);
    }
    if let Some(id) = second.keys().next() {
        return Err(format!("`{id}` is not in {}", LANGUAGES[0]).into());
    }
    Ok(code + "}\n")
}

fn function(id: &str, ko: &Message, en: &Message) -> Result<String, Box<dyn Error>> {
    let name = id.replace('-', "_");
    let mut code = String::new();
    writeln!(code, "    /// `{id}`.")?;
    if let (Some(ko), Some(en)) = (&ko.constant, &en.constant) {
        writeln!(code, "    pub(crate) const fn {name}(self) -> &'static str {{")?;
        writeln!(code, "        match self.0 {{ Language::Ko => {ko:?}, Language::En => {en:?} }}\n    }}")?;
        return Ok(code);
    }
    let arguments: Vec<_> = ko.variables.iter().map(|name| format!("{name}: impl Display")).collect();
    writeln!(code, "    pub(crate) fn {name}(self, {}) -> String {{", arguments.join(", "))?;
    writeln!(code, "        let mut out = String::new();")?;
    writeln!(
        code,
        "        match self.0 {{ Language::Ko => {{ {} }} Language::En => {{ {} }} }}",
        ko.code, en.code
    )?;
    writeln!(code, "        out\n    }}")?;
    Ok(code)
}

/// The messages of a language, by id.
fn read(folder: &Path) -> Result<BTreeMap<String, Message>, Box<dyn Error>> {
    let mut messages = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let resource =
            parser::parse(text.as_str()).map_err(|(_, errors)| format!("{}: {errors:?}", path.display()))?;
        for entry in resource.body {
            let Entry::Message(message) = entry else { continue };
            let id = message.id.name.to_owned();
            let pattern = message.value.ok_or_else(|| format!("`{id}` says nothing"))?;
            let mut read = Message::default();
            write_pattern(&pattern, &mut read)?;
            read.constant = match pattern.elements.as_slice() {
                [PatternElement::TextElement { value }] => Some((*value).to_owned()),
                elements if read.variables.is_empty() => Some(constant(elements)?),
                _ => None,
            };
            if messages.insert(id.clone(), read).is_some() {
                return Err(format!("`{id}` is there twice").into());
            }
        }
    }
    Ok(messages)
}

/// Text over several lines is several elements.
fn constant(elements: &[PatternElement<&str>]) -> Result<String, Box<dyn Error>> {
    elements.iter().try_fold(String::new(), |all, element| match element {
        PatternElement::TextElement { value } => Ok(all + value),
        PatternElement::Placeable {
            expression: Expression::Inline(InlineExpression::StringLiteral { value }),
        } => Ok(all + value),
        PatternElement::Placeable { .. } => Err("only variables, literals and selections are known".into()),
    })
}

fn write_pattern(pattern: &Pattern<&str>, message: &mut Message) -> Result<(), Box<dyn Error>> {
    for element in &pattern.elements {
        match element {
            PatternElement::TextElement { value } => write!(message.code, "out += {value:?}; ")?,
            PatternElement::Placeable { expression } => write_expression(expression, message)?,
        }
    }
    Ok(())
}

fn write_expression(expression: &Expression<&str>, message: &mut Message) -> Result<(), Box<dyn Error>> {
    match expression {
        Expression::Inline(InlineExpression::StringLiteral { value }) => {
            write!(message.code, "out += {value:?}; ")?;
        }
        Expression::Inline(InlineExpression::VariableReference { id }) => {
            message.variables.insert(id.name.to_owned());
            // Writing to a string cannot fail.
            write!(message.code, "_ = write!(out, \"{{}}\", {}); ", id.name)?;
        }
        Expression::Select { selector: InlineExpression::VariableReference { id }, variants } => {
            message.variables.insert(id.name.to_owned());
            write!(message.code, "match {}.to_string().as_str() {{ ", id.name)?;
            // The one that is taken otherwise comes last, as the others are compared first.
            for wanted_default in [false, true] {
                for variant in variants.iter().filter(|variant| variant.default == wanted_default) {
                    let key = match variant.key {
                        VariantKey::Identifier { name: "one" } => "1",
                        VariantKey::Identifier { name } => name,
                        VariantKey::NumberLiteral { value } => value,
                    };
                    let key = if variant.default { "_".to_owned() } else { format!("{key:?}") };
                    write!(message.code, "{key} => {{ ")?;
                    write_pattern(&variant.value, message)?;
                    write!(message.code, "}} ")?;
                }
            }
            write!(message.code, "}} ")?;
        }
        _ => {
            return Err("only variables, literals and selections are known".into());
        }
    }
    Ok(())
}
