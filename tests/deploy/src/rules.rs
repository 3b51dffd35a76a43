//! What must hold between the manifests and the application. Each rule says in words what is wrong, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    application::Application,
    find, kind, list, models, name, network, of_kind, texts,
    workloads::{Source, Workload, has_key, workloads},
};

/// The Secret of the variables, and that of the runtime configuration: whoever deploys makes them from the examples.
pub const SECRETS: [&str; 2] = ["sugang-secrets", "sugang-runtime-config"];

/// Everything that is wrong with the objects of an overlay and those that are applied onto the operator's Deployments.
#[must_use]
pub fn problems(objects: &[Value], rollout: &[Value], application: &Application) -> Vec<String> {
    let workloads = workloads(objects, application);
    let shapes = objects.iter().filter_map(|object| models::check(object).err());
    let mut problems: Vec<String> = shapes.map(|problem| format!("{problem:#}")).collect();
    let partial = rollout.iter().filter_map(|object| models::check_partial(object).err());
    problems.extend(partial.map(|problem| format!("{problem:#}")));
    problems.extend(operator(objects));
    for workload in &workloads {
        problems.extend(variables(workload, objects, application));
        problems.extend(stores(workload, application));
        problems.extend(probes(workload, objects));
        problems.extend(resources(workload));
    }
    problems.extend(partition(&workloads, application));
    problems.extend(secrets(objects, application));
    problems.extend(addresses(objects, &workloads));
    problems.extend(autoscaling(objects, &workloads));
    problems.extend(streams(objects));
    problems.extend(images(objects));
    problems.extend(users(objects, rollout));
    problems.extend(ingress(objects, &workloads, application));
    problems.extend(disruption(objects, &workloads));
    problems.extend(network::problems(objects, application, &workloads));
    problems
}

/// What the operator's webhooks refuse.
fn operator(objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    for app in of_kind(objects, "SpinApp") {
        let (spec, name) = (&app["spec"], name(app));
        let executor = spec["executor"].as_str().unwrap_or_default();
        if find(objects, "SpinAppExecutor", executor).is_none() {
            problems.push(format!("SpinApp {name}: the executor `{executor}` does not exist"));
        }
        let replicas = spec["replicas"].as_u64().unwrap_or_default();
        match spec["enableAutoscaling"] == true {
            true if replicas != 0 => {
                problems.push(format!("SpinApp {name}: replicas cannot be set when autoscaling is enabled"))
            }
            false if replicas < 1 => problems.push(format!("SpinApp {name}: replicas must be > 0")),
            _ => {}
        }
        for variable in list(&spec["variables"]) {
            if variable["value"].is_string() == variable["valueFrom"].is_object() {
                problems
                    .push(format!("SpinApp {name}: {} needs either value or valueFrom", variable["name"]));
            }
        }
    }
    for executor in of_kind(objects, "SpinAppExecutor") {
        let config = &executor["spec"]["deploymentConfig"];
        if config["runtimeClassName"].is_string() == config["spinImage"].is_string() {
            let name = name(executor);
            problems.push(format!(
                "SpinAppExecutor {name}: exactly one of runtimeClassName and spinImage must be set"
            ));
        }
    }
    problems
}

/// Every variable that its components need has a value, no other is set, and a secret comes from the Secret.
fn variables(workload: &Workload<'_>, objects: &[Value], application: &Application) -> Vec<String> {
    let here = workload.name;
    let of = |id: &String| application.components.get(id).map(|component| component.variables.clone());
    let needed: BTreeSet<String> = workload.components.iter().filter_map(of).flatten().collect();
    let mut problems = Vec::new();
    for missing in needed.iter().filter(|name| !workload.variables.contains_key(*name)) {
        problems.push(format!("{here}: the variable `{missing}` has no value"));
    }
    for (name, source) in &workload.variables {
        let Some(secret) = application.variables.get(name) else {
            problems.push(format!("{here}: spin.toml has no variable `{name}`"));
            continue;
        };
        if !needed.contains(name) {
            problems.push(format!("{here}: none of its components uses the variable `{name}`"));
        }
        let (object, key, is_there) = match source {
            Source::Literal | Source::ConfigMap(..) if *secret => {
                problems.push(format!("{here}: the variable `{name}` is secret and must come from a Secret"));
                continue;
            }
            Source::Literal => continue,
            Source::ConfigMap(object, key) => (object, key, has_key(objects, object, key)),
            Source::Secret(object, key) => {
                (object, key, *object == SECRETS[0] && application.secret_keys.contains(*key))
            }
        };
        if !is_there {
            let kind = if *secret { "Secret" } else { "ConfigMap" };
            problems.push(format!("{here}: the {kind} `{object}` has no key `{key}`"));
        } else if key != name {
            problems.push(format!("{here}: the variable `{name}` gets the value of `{key}`"));
        }
    }
    problems
}

/// What a variable calls by a name of the namespace is there. Names with a dot, and numbers, are of elsewhere.
fn addresses(objects: &[Value], workloads: &[Workload<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    for map in of_kind(objects, "ConfigMap") {
        for (key, value) in map["data"].as_object().into_iter().flatten() {
            let host = value.as_str().and_then(|value| value.strip_prefix("http://")).unwrap_or("elsewhere.");
            let is_there = host.contains('.') || workloads.iter().any(|workload| workload.name == host);
            if !is_there {
                problems.push(format!(
                    "ConfigMap {}: `{key}` leads to `{host}`, which does not exist",
                    name(map)
                ));
            }
        }
    }
    problems
}

/// No secret stands in a ConfigMap, no Secret in the repository, and every key that is asked for is in the examples.
fn secrets(objects: &[Value], application: &Application) -> Vec<String> {
    let mut problems = Vec::new();
    for map in of_kind(objects, "ConfigMap") {
        for (key, _) in map["data"].as_object().into_iter().flatten() {
            if application.variables.get(key) == Some(&true) {
                problems.push(format!("ConfigMap {}: `{key}` is secret", name(map)));
            }
        }
    }
    problems
        .extend(of_kind(objects, "Secret").map(|it| format!("Secret {}: no Secret belongs here", name(it))));
    for object in objects {
        each(object, &mut |value| {
            let (secret, key) = (&value["secretKeyRef"]["name"], &value["secretKeyRef"]["key"]);
            if let (Some(secret), Some(key)) = (secret.as_str(), key.as_str())
                && (secret != SECRETS[0] || !application.secret_keys.contains(key))
            {
                problems.push(format!(
                    "{} {}: the examples have no key `{key}` of the Secret `{secret}`",
                    kind(object),
                    name(object)
                ));
            }
        });
    }
    problems
}

fn each(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|inner| each(inner, visit)),
        Value::Array(items) => items.iter().for_each(|inner| each(inner, visit)),
        _ => {}
    }
}

/// Every label of a store of its components is covered by the runtime configuration.
fn stores(workload: &Workload<'_>, application: &Application) -> Vec<String> {
    let here = workload.name;
    let components = workload.components.iter().filter_map(|id| application.components.get(id));
    let labels: BTreeSet<(&str, &String)> = components
        .flat_map(|component| &component.labels)
        .flat_map(|(store, labels)| labels.iter().map(move |label| (*store, label)))
        .collect();
    let is_configured = workload.runtime_config == Some(SECRETS[1]);
    let missing = labels.into_iter().filter(|(store, label)| {
        !is_configured || !application.configured.get(store).is_some_and(|known| known.contains(*label))
    });
    missing.map(|(store, label)| format!("{here}: nothing is behind the label `{label}` ({store})")).collect()
}

/// Every component that something calls runs in exactly one workload.
fn partition(workloads: &[Workload<'_>], application: &Application) -> Vec<String> {
    let mut runs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for workload in workloads {
        for id in &workload.components {
            runs.entry(id).or_default().push(workload.name);
        }
    }
    let mut problems = Vec::new();
    for id in application.components.keys().filter(|id| !runs.contains_key(id.as_str())) {
        problems.push(format!("no workload runs the component `{id}`"));
    }
    for (id, names) in runs {
        if !application.components.contains_key(id) {
            problems.push(format!("{}: spin.toml has no component `{id}`", names.join(", ")));
        } else if names.len() > 1 {
            problems.push(format!("the component `{id}` is run by {}", names.join(" and by ")));
        }
    }
    problems
}

/// What is scaled exists, says what it asks for, and is scaled by one.
fn autoscaling(objects: &[Value], workloads: &[Workload<'_>]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut scaled: BTreeMap<&str, u32> = BTreeMap::new();
    let scalers = of_kind(objects, "HorizontalPodAutoscaler").chain(of_kind(objects, "ScaledObject"));
    for scaler in scalers {
        let (spec, here) = (&scaler["spec"], format!("{} {}", kind(scaler), name(scaler)));
        let target = &spec["scaleTargetRef"];
        let wanted = target["name"].as_str().unwrap_or_default();
        *scaled.entry(wanted).or_default() += 1;
        let Some(workload) = workloads.iter().find(|it| it.name == wanted && target["kind"] == "Deployment")
        else {
            problems.push(format!("{here}: there is no Deployment `{wanted}` to scale"));
            continue;
        };
        if !workload.autoscaled || workload.replicas.is_some() {
            problems.push(format!("{here}: `{wanted}` says itself how many there are"));
        }
        if !workload.resources["requests"]["cpu"].is_string() {
            problems
                .push(format!("{here}: `{wanted}` requests no processor time, by which it could be scaled"));
        }
        let bounds = [["minReplicas", "maxReplicas"], ["minReplicaCount", "maxReplicaCount"]];
        let bounds = bounds.map(|pair| pair.map(|field| spec[field].as_u64()));
        if !bounds.iter().any(|pair| matches!(pair, [Some(min), Some(max)] if 1 <= *min && min <= max)) {
            problems.push(format!("{here}: at least 1, and at most no less than at least"));
        }
    }
    for workload in workloads.iter().filter(|workload| workload.autoscaled) {
        let times = scaled.get(workload.name).copied().unwrap_or_default();
        if times != 1 {
            problems.push(format!("{}: it is scaled by {times}, and must be by one", workload.name));
        }
    }
    problems
}

/// A worker is scaled by the streams that it reads, each for the group that it reads for.
fn streams(objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    for scaler in of_kind(objects, "ScaledObject") {
        let (spec, here) = (&scaler["spec"], format!("ScaledObject {}", name(scaler)));
        let target = spec["scaleTargetRef"]["name"].as_str().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let read: BTreeSet<(String, String)> = list(&spec["triggers"])
            .map(|it| (text(&it["metadata"]["stream"]), text(&it["metadata"]["consumerGroup"])))
            .collect();
        match Application::streams(target) {
            Some(expected) if expected == read => {}
            Some(expected) => {
                problems.push(format!("{here}: it looks at {read:?}, and `{target}` reads {expected:?}"))
            }
            None => problems.push(format!("{here}: `{target}` reads no streams")),
        }
        for trigger in list(&spec["triggers"]) {
            let address = text(&trigger["metadata"]["address"]);
            let namespace = scaler["metadata"]["namespace"].as_str().unwrap_or_default();
            let host = address.split_once(':').map(|(host, _)| host).unwrap_or_default();
            let service = host.strip_suffix(&format!(".{namespace}.svc.cluster.local"));
            if service.is_none_or(|service| find(objects, "Service", service).is_none()) {
                problems.push(format!("{here}: KEDA, which is elsewhere, does not find `{address}`"));
            }
            let authentication = text(&trigger["authenticationRef"]["name"]);
            if find(objects, "TriggerAuthentication", &authentication).is_none() {
                problems.push(format!("{here}: there is no TriggerAuthentication `{authentication}`"));
            }
        }
    }
    problems
}

/// Every image is named by its digest.
fn images(objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut look = |object: &Value, image: &Value| {
        let image = image.as_str().unwrap_or_default();
        let digits = image.split_once("@sha256:").map(|(_, digits)| digits).unwrap_or_default();
        if digits.len() != 64 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            problems.push(format!("{} {}: the image `{image}` has no digest", kind(object), name(object)));
        }
    };
    for object in objects {
        list(&object["spec"]["template"]["spec"]["containers"]).for_each(|it| look(object, &it["image"]));
        match kind(object) {
            "SpinApp" => look(object, &object["spec"]["image"]),
            "SpinAppExecutor" if object["spec"]["deploymentConfig"]["spinImage"].is_string() => {
                look(object, &object["spec"]["deploymentConfig"]["spinImage"]);
            }
            "ConfigMap" if object["data"]["image"].is_string() => look(object, &object["data"]["image"]),
            _ => {}
        }
    }
    problems
}

/// Nobody is root, nor can become it, nor writes to its root file system. The operator says nothing of that, so that for a
/// SpinApp it is said by what is applied onto its Deployment.
fn users(objects: &[Value], rollout: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let pods = objects.iter().filter(|object| object["spec"]["template"]["spec"]["containers"].is_array());
    for object in pods.chain(rollout) {
        let (spec, here) =
            (&object["spec"]["template"]["spec"], format!("{} {}", kind(object), name(object)));
        let pod = &spec["securityContext"];
        if pod["runAsNonRoot"] != true || pod["runAsUser"] == 0 {
            problems.push(format!("{here}: it may run as root"));
        }
        for container in list(&spec["containers"]) {
            let security = &container["securityContext"];
            if security["allowPrivilegeEscalation"] != false
                || security["readOnlyRootFilesystem"] != true
                || !texts(&security["capabilities"]["drop"]).any(|it| it == "ALL")
                || security["runAsUser"] == 0
            {
                problems.push(format!(
                    "{here}: the container {} has more rights than it needs",
                    container["name"]
                ));
            }
        }
    }
    for app in of_kind(objects, "SpinApp") {
        let applied = find(rollout, "Deployment", name(app)).filter(|deployment| {
            list(&deployment["spec"]["template"]["spec"]["containers"]).all(|it| it["name"] == name(app))
                && deployment["metadata"]["namespace"] == app["metadata"]["namespace"]
        });
        if applied.is_none() {
            problems.push(format!("SpinApp {}: nothing is applied onto its Deployment (rollout)", name(app)));
        }
    }
    problems
}

/// The host has probes of its own; whoever else runs a SpinApp, Spin's.
fn probes(workload: &Workload<'_>, objects: &[Value]) -> Vec<String> {
    let by_shim = of_kind(objects, "SpinAppExecutor")
        .any(|executor| executor["spec"]["deploymentConfig"]["runtimeClassName"].is_string());
    let health = "/.well-known/spin/health";
    let expected = if by_shim { [health, health] } else { ["/livez", "/readyz"] };
    if workload.probes == expected.map(Some) {
        return Vec::new();
    }
    vec![format!("{}: it is asked at {:?}, and answers at {expected:?}", workload.name, workload.probes)]
}

fn resources(workload: &Workload<'_>) -> Vec<String> {
    let said = |what: &str, of: &str| workload.resources[what][of].is_string();
    let all = [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")];
    let missing = all.into_iter().filter(|(what, of)| !said(what, of));
    missing.map(|(what, of)| format!("{}: resources.{what}.{of} is missing", workload.name)).collect()
}

/// Every route leads to who answers it, but for those of `pay`, which only `order` reaches.
fn ingress(objects: &[Value], workloads: &[Workload<'_>], application: &Application) -> Vec<String> {
    let mut problems = Vec::new();
    let rules = of_kind(objects, "Ingress").flat_map(|ingress| list(&ingress["spec"]["rules"]));
    let paths: Vec<(&str, &str)> = rules
        .flat_map(|rule| list(&rule["http"]["paths"]))
        .filter_map(|path| Some((path["path"].as_str()?, path["backend"]["service"]["name"].as_str()?)))
        .collect();
    let runs = |service: &str| workloads.iter().find(|workload| workload.name == service);
    for (path, service) in &paths {
        if runs(service).is_none() {
            problems.push(format!("Ingress: `{path}` leads to `{service}`, which does not exist"));
        }
    }
    for (route, component) in &application.routes {
        let leads = |path: &&(&str, &str)| route.starts_with(path.0);
        let longest = paths.iter().filter(leads).max_by_key(|(path, _)| path.len());
        let answered = longest.and_then(|(_, service)| runs(service));
        let answers = answered.is_some_and(|workload| workload.components.contains(component));
        let alone = answered.is_some_and(|workload| workload.components.len() > 1);
        if component == "pay" && answers && !alone {
            problems.push(format!("Ingress: `{route}` must not be reached from outside"));
        } else if component != "pay" && !answers {
            problems.push(format!("Ingress: `{route}` does not lead to `{component}`"));
        }
    }
    problems
}

/// Whatever there may be several of is drained one at a time.
fn disruption(objects: &[Value], workloads: &[Workload<'_>]) -> Vec<String> {
    let budgets: Vec<&Value> = of_kind(objects, "PodDisruptionBudget").collect();
    let selected = |workload: &&Workload<'_>| {
        budgets.iter().filter(|budget| network::selects(&budget["spec"]["selector"], workload.labels)).count()
    };
    let several = workloads.iter().filter(|workload| workload.replicas != Some(1));
    let wrong = several.filter(|workload| selected(workload) != 1);
    wrong.map(|workload| format!("{}: it has not exactly one PodDisruptionBudget", workload.name)).collect()
}
