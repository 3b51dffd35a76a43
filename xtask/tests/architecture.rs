//! The table "Who may know what" in docs/architecture.md, held against the code.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "all of it is tests")]

use std::fs;
use std::path::{Path, PathBuf};

use xtask::workspace;

/// Where there is product code.
const FOLDERS: [&str; 5] = ["components", "crates", "host", "sugang", "xtask"];

/// A line of the table: what is known, the words that tell, and where they may stand.
struct Rule {
    what: String,
    words: Vec<String>,
    places: Vec<String>,
}

fn rules() -> Vec<Rule> {
    let text = fs::read_to_string(workspace::root().join("docs/architecture.md")).unwrap();
    let (_, section) = text.split_once("## Who may know what").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Rule { what: cells[0].to_owned(), words: quoted(cells[1]), places: quoted(cells[2]) }
    })
    .collect()
}

/// The product files: not tests, each up to its tests, without comments.
fn product() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        collect(&workspace::root().join(folder), &mut files);
    }
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !["tests", "target", "examples", "wit"].contains(&name.as_str()) {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") && !["tests.rs", "testing.rs", "samples.rs"].contains(&name.as_str())
        {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\n#[cfg(test)]").next().unwrap_or_default();
            let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let shown = path.strip_prefix(workspace::root()).unwrap().to_str().unwrap().to_owned();
            files.push((shown, code.join("\n")));
        }
    }
}

/// Whether a file is in a place; `*` stands for one folder, and `…/src/store` for the room and its folder alike.
fn is_in(file: &str, place: &str) -> bool {
    let mut parts = file.split('/');
    let stem = |part: &str| part.strip_suffix(".rs").unwrap_or(part).to_owned();
    place.split('/').all(|wanted| {
        parts.next().is_some_and(|part| wanted == "*" || part == wanted || stem(part) == wanted)
    })
}

#[test]
fn only_those_know_a_thing_that_the_table_names() {
    let (rules, files) = (rules(), product());
    assert!(rules.len() >= 8 && files.len() > 100, "{} rules, {} files", rules.len(), files.len());
    let mut broken = Vec::new();
    for Rule { what, words, places } in &rules {
        assert!(!words.is_empty() && !places.is_empty(), "{what}");
        for (file, code) in &files {
            let knows = words.iter().find(|word| code.contains(word.as_str()));
            if let Some(word) = knows
                && !places.iter().any(|place| is_in(file, place))
            {
                broken.push(format!("{file} knows of {what}: {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_domains_know_nothing_but_the_kernel() {
    let known =
        ["crate::domain", "super", "kernel", "std", "serde", "thiserror", "faults", "crate::templates"];
    for (file, code) in product() {
        if !is_in(&file, "components/*/src/domain") {
            continue;
        }
        for line in code.lines().map(str::trim).filter(|line| line.starts_with("use ")) {
            let path = line.trim_start_matches("use ").trim_start_matches("::");
            assert!(known.iter().any(|known| path.starts_with(known)), "{file}: {line}");
        }
    }
}

#[test]
fn a_place_is_a_folder_or_the_file_of_that_name() {
    assert!(is_in("components/order/src/store.rs", "components/*/src/store"));
    assert!(is_in("components/order/src/store/read.rs", "components/*/src/store"));
    assert!(!is_in("components/order/src/storey.rs", "components/*/src/store"));
    assert!(!is_in("components/order/src/http.rs", "components/*/src/store"));
}
