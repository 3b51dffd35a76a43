//! Mistakes that people make, each of which must be noticed: one overlay, one change, and the words that say so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use deploy_tests::{application::Application, kind, kubernetes, kustomize, name, rules};
use serde_json::{Value, json};

struct Overlay {
    objects: Vec<Value>,
    rollout: Vec<Value>,
}

impl Overlay {
    fn named(name: &str) -> Self {
        let rendered = |path: &str| kustomize::render(&kubernetes().join(path)).unwrap();
        let rollout = match name {
            "plain" => Vec::new(),
            "sqlite" => {
                kustomize::documents(include_str!("../../../deploy/kubernetes/rollout/sqlite.yaml")).unwrap()
            }
            _ => rendered("rollout"),
        };
        Self { objects: rendered(&format!("overlays/{name}")), rollout }
    }

    #[track_caller]
    fn at(&mut self, of_kind: &str, named: &str) -> &mut Value {
        let found = self.objects.iter_mut().find(|it| kind(it) == of_kind && name(it) == named);
        found.unwrap_or_else(|| panic!("there is no {of_kind} {named}"))
    }

    fn remove(&mut self, of_kind: &str, named: &str) {
        self.objects.retain(|it| kind(it) != of_kind || name(it) != named);
    }
}

/// Makes the mistake, and looks for the words in what is said then. Without it nothing is said.
#[track_caller]
fn is_caught(overlay: &str, mistake: impl FnOnce(&mut Overlay), words: &str) {
    let application = Application::load().unwrap();
    let mut overlay = Overlay::named(overlay);
    let before = rules::problems(&overlay.objects, &overlay.rollout, &application);
    assert!(before.is_empty(), "before any mistake: {before:?}");
    mistake(&mut overlay);
    let problems = rules::problems(&overlay.objects, &overlay.rollout, &application);
    assert!(problems.iter().any(|problem| problem.contains(words)), "{words}: {problems:#?}");
}

#[test]
fn a_field_that_does_not_exist() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["spec"]["replica"] = json!(2),
        "unknown field `replica`",
    );
    is_caught(
        "plain",
        |it| it.at("Deployment", "pay")["spec"]["template"]["spec"]["containers"][0]["enw"] = json!([]),
        "unknown field `enw`",
    );
}

#[test]
fn a_kind_that_nobody_knows() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["apiVersion"] = json!("core.spinoperator.dev/v1alpha1"),
        "SpinApp",
    );
}

#[test]
fn a_secret_in_a_config_map() {
    is_caught(
        "postgres",
        |it| it.at("ConfigMap", "sugang-variables")["data"]["card_key"] = json!("00"),
        "ConfigMap sugang-variables: `card_key` is secret",
    );
    let from_map = json!({ "configMapKeyRef": { "name": "sugang-variables", "key": "pay_database_url" } });
    is_caught(
        "plain",
        |it| {
            set_variable(
                &mut it.at("Deployment", "pay")["spec"]["template"]["spec"]["containers"][0]["env"],
                "SPIN_VARIABLE_PAY_DATABASE_URL",
                &from_map,
            )
        },
        "the variable `pay_database_url` is secret and must come from a Secret",
    );
}

fn set_variable(variables: &mut Value, name: &str, from: &Value) {
    let variables = variables.as_array_mut().unwrap();
    let variable = variables.iter_mut().find(|it| it["name"] == name).unwrap();
    variable["valueFrom"] = from.clone();
}

#[test]
fn a_secret_value_in_the_repository() {
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": {} });
    is_caught("postgres", |it| it.objects.push(secret), "no Secret belongs here");
}

#[test]
fn a_variable_that_does_not_exist_or_that_nobody_set() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "order")["spec"]["variables"][0]["name"] = json!("redis_skeme"),
        "spin.toml has no variable `redis_skeme`",
    );
    is_caught(
        "postgres",
        |it| drop(it.at("SpinApp", "order")["spec"]["variables"].as_array_mut().unwrap().pop()),
        "order: the variable",
    );
    is_caught(
        "postgres",
        |it| drop(it.at("ConfigMap", "sugang-variables")["data"].as_object_mut().unwrap().remove("pay_url")),
        "the ConfigMap `sugang-variables` has no key `pay_url`",
    );
}

#[test]
fn an_address_at_which_nobody_is() {
    let order_url = |it: &mut Overlay, url: &str| {
        it.at("ConfigMap", "sugang-variables")["data"]["order_url"] = json!(url);
    };
    is_caught(
        "postgres",
        |it| order_url(it, "http://orders"),
        "`order_url` leads to `orders`, which does not",
    );
    // There all components are one application, of another name.
    is_caught("sqlite", |it| order_url(it, "http://order"), "`order_url` leads to `order`, which does not");
}

#[test]
fn a_component_that_nobody_runs_or_two_run() {
    is_caught(
        "postgres",
        |it| it.remove("SpinApp", "pay-worker"),
        "no workload runs the component `pay-worker`",
    );
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "site")["spec"]["components"] = json!(["site", "pay"]),
        "the component `pay` is run by",
    );
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "site")["spec"]["components"] = json!(["sight"]),
        "spin.toml has no component `sight`",
    );
}

#[test]
fn a_store_that_nothing_is_behind() {
    let config = |it: &mut Overlay| {
        drop(it.at("SpinApp", "pay")["spec"].as_object_mut().unwrap().remove("runtimeConfig"));
    };
    is_caught("postgres", config, "pay: nothing is behind the label `gateway`");
}

#[test]
fn a_stream_or_a_group_of_another_name() {
    let trigger = |it: &mut Overlay, field: &str, text: &str| {
        it.at("ScaledObject", "pay-worker")["spec"]["triggers"][0]["metadata"][field] = json!(text);
    };
    let words = "ScaledObject pay-worker: it looks at";
    is_caught("postgres", |it| trigger(it, "stream", "sugang:event:reservation"), words);
    is_caught("postgres", |it| trigger(it, "stream", "sugang:events:order"), words);
    is_caught("postgres", |it| trigger(it, "consumerGroup", "pay-worker"), words);
    is_caught(
        "postgres",
        |it| trigger(it, "address", "redis:6379"),
        "KEDA, which is elsewhere, does not find",
    );
}

#[test]
fn autoscaling_and_replicas_at_once_or_neither() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["spec"]["replicas"] = json!(3),
        "replicas cannot be set when autoscaling is enabled",
    );
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["spec"]["enableAutoscaling"] = json!(false),
        "SpinApp pay: replicas must be > 0",
    );
    is_caught(
        "plain",
        |it| it.at("Deployment", "pay")["spec"]["replicas"] = json!(3),
        "`pay` says itself how many",
    );
}

#[test]
fn a_scaler_of_nothing_or_of_what_requests_nothing() {
    let target = |it: &mut Overlay| {
        it.at("HorizontalPodAutoscaler", "pay")["spec"]["scaleTargetRef"]["name"] = json!("payment");
    };
    is_caught("postgres", target, "there is no Deployment `payment` to scale");
    let requests = |it: &mut Overlay| {
        drop(it.at("SpinApp", "pay")["spec"]["resources"]["requests"].as_object_mut().unwrap().remove("cpu"));
    };
    is_caught("postgres", requests, "`pay` requests no processor time");
    is_caught("postgres", |it| it.remove("ScaledObject", "order-worker"), "order-worker: it is scaled by 0");
    is_caught(
        "postgres",
        |it| it.at("ScaledObject", "order-worker")["spec"]["minReplicaCount"] = json!(0),
        "ScaledObject order-worker: at least 1",
    );
}

#[test]
fn an_executor_that_is_missing_or_two_things_at_once() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["spec"]["executor"] = json!("spin"),
        "the executor `spin` does not exist",
    );
    is_caught(
        "postgres",
        |it| it.at("SpinAppExecutor", "sugang")["spec"]["deploymentConfig"]["runtimeClassName"] = json!("w"),
        "exactly one of runtimeClassName and spinImage",
    );
}

#[test]
fn an_image_by_its_tag() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["spec"]["image"] = json!("a/b:latest"),
        "has no digest",
    );
    is_caught(
        "postgres",
        |it| it.at("Deployment", "tick")["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:1"),
        "Deployment tick: the image `a:1` has no digest",
    );
}

#[test]
fn somebody_is_root() {
    is_caught(
        "postgres",
        |it| {
            it.at("StatefulSet", "redis")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] =
                json!(0)
        },
        "StatefulSet redis: it may run as root",
    );
    is_caught(
        "plain",
        |it| {
            let container = &mut it.at("Deployment", "order")["spec"]["template"]["spec"]["containers"][0];
            container["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        },
        "has more rights than it needs",
    );
    is_caught(
        "postgres",
        |it| it.rollout.retain(|deployment| name(deployment) != "order"),
        "SpinApp order: nothing is applied onto its Deployment",
    );
}

#[test]
fn somebody_reaches_pay_who_must_not_and_somebody_does_not_who_must() {
    let from = |it: &mut Overlay, names: Value| {
        let rule = &mut it.at("NetworkPolicy", "pay")["spec"]["ingress"][0]["from"][0];
        rule["podSelector"]["matchExpressions"][0]["values"] = names.clone();
        let out = &mut it.at("NetworkPolicy", "to-pay")["spec"]["podSelector"];
        out["matchExpressions"][0]["values"] = names;
    };
    is_caught("postgres", |it| from(it, json!(["order", "site"])), "`order-worker` must reach `pay`");
    is_caught(
        "postgres",
        |it| from(it, json!(["order", "order-worker", "site", "reservation"])),
        "`reservation` must not reach `pay`",
    );
    is_caught("postgres", |it| it.remove("NetworkPolicy", "default-deny"), "must not be reached by others");
}

#[test]
fn a_path_that_leads_nowhere_or_into_pay() {
    let path = |it: &mut Overlay, path: Value| {
        let ingress = &mut it.at("Ingress", "sugang")["spec"]["rules"][0]["http"]["paths"];
        ingress.as_array_mut().unwrap().push(path);
    };
    let to = |path: &str, service: &str| {
        let backend = json!({ "service": { "name": service, "port": { "number": 80 } } });
        json!({ "path": path, "pathType": "Prefix", "backend": backend })
    };
    is_caught("postgres", |it| path(it, to("/pays", "pay")), "`/pays` must not be reached from outside");
    is_caught("postgres", |it| path(it, to("/x", "nobody")), "`/x` leads to `nobody`, which does not exist");
    is_caught("postgres", |it| it.remove("Ingress", "sugang"), "`/orders` does not lead to `order`");
}

#[test]
fn a_probe_that_nobody_answers() {
    is_caught(
        "postgres",
        |it| it.at("SpinApp", "pay")["spec"]["checks"]["readiness"]["httpGet"]["path"] = json!("/healthz"),
        "pay: it is asked at",
    );
    is_caught(
        "shim",
        |it| it.at("SpinApp", "pay")["spec"]["checks"]["readiness"]["httpGet"]["path"] = json!("/readyz"),
        "pay: it is asked at",
    );
}

#[test]
fn no_budget_for_a_node_that_is_drained() {
    is_caught(
        "postgres",
        |it| it.remove("PodDisruptionBudget", "order"),
        "order: it has not exactly one PodDisruptionBudget",
    );
}
