//! What is under `deploy/telemetry`, as far as it can be held against itself and the application. That every metric it names exists is held against a
//! host that runs, by the end-to-end tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use deploy_tests::{list, root, texts};
use serde_json::Value;

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join("deploy/telemetry").join(file)).unwrap()
}

#[test]
fn every_part_of_a_pipeline_is_there_and_every_part_is_in_a_pipeline() {
    let collector: Value = serde_yaml_ng::from_str(&text("collector.yaml")).unwrap();
    let names = |section: &str| -> BTreeSet<String> {
        collector[section].as_object().unwrap().keys().cloned().collect()
    };
    let defined: BTreeSet<String> =
        ["receivers", "processors", "exporters", "connectors"].into_iter().flat_map(names).collect();
    let pipelines = collector["service"]["pipelines"].as_object().unwrap();
    let used = |part: &str| -> BTreeSet<String> {
        pipelines.values().flat_map(|it| texts(&it[part])).map(str::to_owned).collect()
    };
    let (from, to) = (used("receivers"), used("exporters"));
    let all: BTreeSet<String> = from.iter().chain(&to).cloned().chain(used("processors")).collect();
    assert_eq!(defined, all);
    for connector in names("connectors") {
        assert!(
            from.contains(&connector) && to.contains(&connector),
            "{connector} leads from nowhere or to nowhere"
        );
    }
    for signal in ["traces", "metrics", "logs"] {
        assert!(list(&pipelines[signal]["receivers"]).any(|it| it == "otlp"), "{signal}");
    }
    // Where the cluster's hosts send to.
    assert_eq!(collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"], "0.0.0.0:4318");
}

#[test]
fn every_alert_says_what_to_do_and_knows_how_many_workers_there_are() {
    let rules: Value = serde_yaml_ng::from_str(&text("alerts.yaml")).unwrap();
    let alerts: Vec<&Value> = list(&rules["groups"]).flat_map(|group| list(&group["rules"])).collect();
    let named: BTreeSet<_> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert!(named.len() == alerts.len() && named.len() >= 8, "{named:?}");
    for alert in &alerts {
        for field in ["summary", "description"] {
            let words = alert["annotations"][field].as_str().unwrap_or_default();
            assert!(words.len() > 20, "{} has no {field}", alert["alert"]);
        }
        assert!(alert["expr"].is_string() && alert["labels"]["severity"].is_string(), "{alert}");
    }
    let spin: toml::Table = std::fs::read_to_string(root().join("spin.toml")).unwrap().parse().unwrap();
    let workers = spin["component"].as_table().unwrap().keys().filter(|id| id.ends_with("-worker")).count();
    let silent = alerts.iter().find(|alert| alert["alert"] == "SugangWorkerSilent").unwrap();
    assert!(silent["expr"].as_str().unwrap().ends_with(&format!("< {workers}")), "{silent}");
}

#[test]
fn every_panel_asks_for_something_and_says_what_it_shows() {
    let dashboard: Value = serde_json::from_str(&text("dashboards/sugang.json")).unwrap();
    let panels: Vec<&Value> = list(&dashboard["panels"]).collect();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["description"].as_str().is_some_and(|it| !it.is_empty()), "{}", panel["title"]);
        assert!(list(&panel["targets"]).next().is_some(), "{}", panel["title"]);
        assert!(list(&panel["targets"]).all(|it| it["expr"].is_string()), "{}", panel["title"]);
    }
}
