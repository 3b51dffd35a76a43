//! Who may reach whom, by the network policies.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{application::Application, find, list, of_kind, operator::PORT, texts, workloads::Workload};

/// The port of Redis.
const REDIS: u16 = 6379;

/// Says where the policies allow more or less than the application needs.
pub fn problems(objects: &[Value], application: &Application, workloads: &[Workload<'_>]) -> Vec<String> {
    let policies: Vec<&Value> = of_kind(objects, "NetworkPolicy").map(|policy| &policy["spec"]).collect();
    let Some(redis) = find(objects, "StatefulSet", "redis") else { return Vec::new() };
    let mut pods: Vec<(&str, &Value)> = workloads.iter().map(|it| (it.name, it.labels)).collect();
    pods.push(("redis", &redis["spec"]["template"]["metadata"]["labels"]));
    if let Some(tick) = find(objects, "Deployment", "tick") {
        pods.push(("tick", &tick["spec"]["template"]["metadata"]["labels"]));
    }
    let components = |name: &str| -> Vec<&str> {
        let workload = workloads.iter().find(|workload| workload.name == name);
        workload.into_iter().flat_map(|it| &it.components).map(String::as_str).collect()
    };
    let reaches =
        |name: &str, variable: &str| components(name).iter().any(|id| application.reaches(id, variable));
    let mut problems = Vec::new();
    for (from, from_labels) in &pods {
        for (to, to_labels) in pods.iter().filter(|(to, _)| to != from) {
            let port = if *to == "redis" { REDIS } else { PORT };
            let needed = match *to {
                "redis" => *from == "tick" || reaches(from, "redis_address"),
                // Whoever may call another context knows where it is by a variable.
                context => reaches(from, &format!("{context}_url")),
            };
            let allowed = is_allowed(&policies, "Egress", from_labels, to_labels, port)
                && is_allowed(&policies, "Ingress", to_labels, from_labels, port);
            if needed != allowed {
                let must = if needed { "must" } else { "must not" };
                problems.push(format!("network policies: `{from}` {must} reach `{to}` on port {port}"));
            }
        }
    }
    let stranger = json!({ "app.kubernetes.io/name": "stranger" });
    for (to, labels) in &pods {
        let port = if *to == "redis" { REDIS } else { PORT };
        if is_allowed(&policies, "Ingress", labels, &stranger, port) {
            problems.push(format!("network policies: `{to}` must not be reached by others"));
        }
    }
    problems.extend(database_problems(&policies, &pods, &reaches));
    problems
}

/// PostgreSQL is outside, so that only what leaves can be looked at.
fn database_problems(
    policies: &[&Value],
    pods: &[(&str, &Value)],
    reaches: &dyn Fn(&str, &str) -> bool,
) -> Vec<String> {
    let uses = |port: u16| -> BTreeSet<&str> {
        let leaves = |labels: &Value| is_allowed(policies, "Egress", labels, &json!({}), port);
        pods.iter().filter(|(_, labels)| leaves(labels)).map(|(name, _)| *name).collect()
    };
    let needed: BTreeSet<&str> =
        pods.iter().map(|(name, _)| *name).filter(|name| reaches(name, "postgres_address")).collect();
    let allowed = uses(5432);
    // Where the stores are in files, nobody needs it.
    if allowed.is_empty() || allowed == needed {
        return Vec::new();
    }
    vec![format!("network policies: PostgreSQL may be reached by {allowed:?}, and must be by {needed:?}")]
}

/// Whether traffic may pass, as far as those policies say that select the pod with the labels `of`.
fn is_allowed(policies: &[&Value], direction: &str, of: &Value, other: &Value, port: u16) -> bool {
    let concerns = |policy: &&&Value| {
        texts(&policy["policyTypes"]).any(|it| it == direction) && selects(&policy["podSelector"], of)
    };
    let (rules, peers) = if direction == "Egress" { ("egress", "to") } else { ("ingress", "from") };
    let concerned: Vec<_> = policies.iter().filter(concerns).collect();
    // Whom no policy concerns may do anything.
    concerned.is_empty()
        || concerned.iter().flat_map(|policy| list(&policy[rules])).any(|rule| {
            list(&rule["ports"]).any(|it| it["port"] == port && it["protocol"] == "TCP")
                && (rule[peers].is_null() || list(&rule[peers]).any(|peer| is_pod_of_ours(peer, other)))
        })
}

fn is_pod_of_ours(peer: &Value, labels: &Value) -> bool {
    peer["namespaceSelector"].is_null() && selects(&peer["podSelector"], labels)
}

/// Whether a selector selects what has these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let exactly = selector["matchLabels"].as_object();
    let exactly = exactly.into_iter().flatten().all(|(key, value)| labels[key] == *value);
    let among = |it: &Value| {
        let key = it["key"].as_str().unwrap_or_default();
        list(&it["values"]).any(|value| labels[key] == *value)
    };
    selector.is_object() && exactly && list(&selector["matchExpressions"]).all(among)
}
