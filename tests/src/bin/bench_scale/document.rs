//! What was measured, in docs/performance.md: each table between two marks of its own.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use xtask::workspace;

/// Where the document and its plots are.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join("docs")
}

/// Puts a table in the place of the last one of its name.
pub(crate) fn write(name: &str, table: &str) -> Result<()> {
    let path = folder().join("performance.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = replaced(&text, name, table).with_context(|| {
        format!("{} has no place for the table `{name}`: <!-- {name} --> and <!-- end -->", path.display())
    })?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n"))?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    Some(format!("{before}<!-- {name} -->\n{table}<!-- end -->{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_last_one_of_its_name() {
        let text = "a\n<!-- x -->\nold\n<!-- end -->\nb\n<!-- y -->\n<!-- end -->\n";
        let new = "a\n<!-- x -->\nnew\n<!-- end -->\nb\n<!-- y -->\n<!-- end -->\n";
        assert_eq!(replaced(text, "x", "new\n").as_deref(), Some(new));
        assert_eq!(replaced(text, "z", "new\n"), None);
    }
}
