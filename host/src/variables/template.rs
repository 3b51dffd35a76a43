//! Templates: text in which `{{ name }}` stands for an application variable. No refusal repeats the text: somebody may
//! have written a password there.

use anyhow::{Result, bail};

/// A parsed template, such as `http://{{ host }}:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

impl Template {
    /// Parses a template; a `{{` without its `}}` is refused.
    pub fn parse(source: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some((text, after)) = rest.split_once("{{") {
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            let Some((name, tail)) = after.split_once("}}") else {
                bail!("the template has a `{{{{` without its `}}}}`");
            };
            parts.push(Part::Variable(name.trim().to_owned()));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Whether the template names no variable at all.
    pub fn is_literal(&self) -> bool {
        self.variables().next().is_none()
    }

    /// The names of the variables the template refers to, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with every variable replaced by what `value` returns for it.
    pub fn fill<'a>(&'a self, mut value: impl FnMut(&str) -> Option<&'a str>) -> Result<String> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Variable(name) => match value(name) {
                    Some(value) => filled.push_str(value),
                    None => {
                        bail!("the template refers to `{name}`, which is not declared under [variables]")
                    }
                },
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    fn check(source: &str, expected: &str) {
        let filled = Template::parse(source)
            .and_then(|template| {
                template
                    .fill(|name| match name {
                        "host" => Some("example.com"),
                        "empty" => Some(""),
                        _ => None,
                    })
                    .map_err(|error| anyhow::anyhow!("{error}"))
            })
            .unwrap_or_else(|error| format!("refused: {error}"));
        assert_eq!(filled, expected, "{source}");
    }

    #[test]
    fn variables_are_filled_in_wherever_they_stand() {
        check("", "");
        check("plain", "plain");
        check("{{ host }}", "example.com");
        check("{{host}}", "example.com");
        check("http://{{ host }}:8080/{{ empty }}", "http://example.com:8080/");
        check("{ not a template }", "{ not a template }");
        check("}} either", "}} either");
    }

    #[test]
    fn a_template_that_cannot_be_filled_is_refused_by_name() {
        check(
            "{{ other }}",
            "refused: the template refers to `other`, which is not declared under [variables]",
        );
        check("{{ host", "refused: the template has a `{{` without its `}}`");
    }

    #[test]
    fn a_template_without_variables_is_literal() {
        assert!(Template::parse("a").unwrap().is_literal());
        assert!(!Template::parse("a{{ host }}").unwrap().is_literal());
    }
}
