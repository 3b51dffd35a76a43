//! Every field of every kind that is used. A field that is not here is refused, as an API server refuses one that it does
//! not know when it is asked to be strict; whoever needs another adds it.

// The fields are there to be known, and mostly read by nobody.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{kind, name};

type Texts = BTreeMap<String, String>;

/// Says what is wrong with the fields of an object.
pub fn check(object: &Value) -> Result<()> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let checked = match (version, kind(object)) {
        ("v1", "Namespace") => whole::<Plain>(object),
        ("v1", "ServiceAccount") => whole::<ServiceAccount>(object),
        ("v1", "ConfigMap") => whole::<ConfigMap>(object),
        ("v1", "Service") => whole::<Of<Service>>(object),
        ("v1", "PersistentVolumeClaim") => whole::<Of<Claim>>(object),
        ("apps/v1", "Deployment") => whole::<Of<Deployment>>(object),
        ("apps/v1", "StatefulSet") => whole::<Of<StatefulSet>>(object),
        ("networking.k8s.io/v1", "Ingress") => whole::<Of<Ingress>>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => whole::<Of<NetworkPolicy>>(object),
        ("policy/v1", "PodDisruptionBudget") => whole::<Of<DisruptionBudget>>(object),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => whole::<Of<Autoscaler>>(object),
        ("core.spinkube.dev/v1alpha1", "SpinApp") => whole::<Of<SpinApp>>(object),
        ("core.spinkube.dev/v1alpha1", "SpinAppExecutor") => whole::<Of<Executor>>(object),
        ("keda.sh/v1alpha1", "ScaledObject") => whole::<Of<ScaledObject>>(object),
        ("keda.sh/v1alpha1", "TriggerAuthentication") => whole::<Of<TriggerAuthentication>>(object),
        (version, kind) => bail!("`{kind}` of `{version}` is used nowhere else: models.rs does not know it"),
    };
    checked.with_context(|| format!("{} {}", kind(object), name(object)))
}

/// The same for what is applied onto a Deployment that is there.
pub fn check_partial(object: &Value) -> Result<()> {
    whole::<Of<PartialDeployment>>(object).with_context(|| format!("{} {}", kind(object), name(object)))
}

fn whole<T: DeserializeOwned>(object: &Value) -> Result<()> {
    Ok(serde_json::from_value::<T>(object.clone()).map(drop)?)
}

macro_rules! models {
    ($($name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            struct $name { $($(#[$attribute])* $field: $kind,)* }
        )*
    };
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Of<T> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: T,
}

models! {
    Metadata { name: String, namespace: Option<String>, labels: Option<Texts>, annotations: Option<Texts>, }
    Plain { api_version: String, kind: String, metadata: Metadata, }
    ServiceAccount {
        api_version: String, kind: String, metadata: Metadata, automount_service_account_token: Option<bool>,
    }
    ConfigMap { api_version: String, kind: String, metadata: Metadata, data: Texts, }
    Service { selector: Texts, ports: Vec<ServicePort>, }
    ServicePort { name: String, port: u16, target_port: Option<Value>, }
    Claim { access_modes: Vec<String>, resources: ClaimResources, storage_class_name: Option<String>, }
    ClaimResources { requests: Texts, }
    Selector { match_labels: Option<Texts>, match_expressions: Option<Vec<Expression>>, }
    Expression { key: String, operator: Operator, values: Vec<String>, }

    Deployment { replicas: Option<u32>, strategy: Option<Strategy>, selector: Selector, template: Template, }
    PartialDeployment { strategy: Strategy, template: PartialTemplate, }
    StatefulSet {
        service_name: String, replicas: u32, selector: Selector, template: Template,
        volume_claim_templates: Vec<ClaimTemplate>,
    }
    ClaimTemplate { metadata: Metadata, spec: Claim, }
    Strategy { r#type: StrategyType, rolling_update: Option<RollingUpdate>, }
    RollingUpdate { max_unavailable: u32, max_surge: u32, }
    Template { metadata: TemplateMetadata, spec: PodSpec, }
    TemplateMetadata { labels: Texts, annotations: Option<Texts>, }
    PartialTemplate { spec: PartialPodSpec, }
    PodSpec {
        service_account_name: String, automount_service_account_token: Option<bool>,
        termination_grace_period_seconds: Option<u32>, security_context: PodSecurity,
        containers: Vec<Container>, volumes: Option<Vec<Volume>>,
    }
    PartialPodSpec {
        automount_service_account_token: bool, termination_grace_period_seconds: u32,
        security_context: PodSecurity, containers: Vec<PartialContainer>,
    }
    PodSecurity {
        run_as_non_root: bool, run_as_user: Option<u32>, run_as_group: Option<u32>, fs_group: Option<u32>,
        seccomp_profile: Seccomp, sysctls: Option<Vec<Variable>>,
    }
    Seccomp { r#type: String, }
    ContainerSecurity {
        allow_privilege_escalation: bool, read_only_root_filesystem: bool, capabilities: Capabilities,
    }
    Capabilities { drop: Vec<String>, }
    Container {
        name: String, image: String, command: Option<Vec<String>>, args: Option<Vec<String>>,
        env: Option<Vec<Variable>>, ports: Option<Vec<ContainerPort>>, liveness_probe: Option<Probe>,
        readiness_probe: Option<Probe>, lifecycle: Option<Lifecycle>, resources: Resources,
        volume_mounts: Option<Vec<Mount>>, security_context: ContainerSecurity,
    }
    PartialContainer { name: String, lifecycle: Lifecycle, security_context: ContainerSecurity, }
    ContainerPort { name: String, container_port: u16, }
    Variable { name: String, value: Option<String>, value_from: Option<ValueFrom>, }
    ValueFrom { secret_key_ref: Option<KeyRef>, config_map_key_ref: Option<KeyRef>, }
    KeyRef { name: String, key: String, optional: Option<bool>, }
    Lifecycle { pre_stop: PreStop, }
    PreStop { sleep: Sleep, }
    Sleep { seconds: u32, }
    Probe {
        http_get: Option<HttpGet>, tcp_socket: Option<TcpSocket>, initial_delay_seconds: Option<u32>,
        period_seconds: Option<u32>, timeout_seconds: Option<u32>, failure_threshold: Option<u32>,
    }
    HttpGet { path: String, port: Value, }
    TcpSocket { port: Value, }
    Resources { requests: Texts, limits: Texts, }
    Mount { name: String, mount_path: String, sub_path: Option<String>, read_only: Option<bool>, }
    Volume {
        name: String, secret: Option<SecretVolume>, empty_dir: Option<EmptyDir>,
        persistent_volume_claim: Option<ClaimVolume>,
    }
    SecretVolume { secret_name: String, items: Option<Vec<Item>>, }
    Item { key: String, path: String, }
    EmptyDir { size_limit: Option<String>, }
    ClaimVolume { claim_name: String, }

    Ingress { ingress_class_name: String, rules: Vec<IngressRule>, tls: Option<Vec<IngressTls>>, }
    IngressTls { hosts: Vec<String>, secret_name: String, }
    IngressRule { host: String, http: IngressPaths, }
    IngressPaths { paths: Vec<IngressPath>, }
    IngressPath { path: String, path_type: PathType, backend: Backend, }
    Backend { service: BackendService, }
    BackendService { name: String, port: BackendPort, }
    BackendPort { number: u16, }

    NetworkPolicy {
        pod_selector: Selector, policy_types: Vec<Direction>, ingress: Option<Vec<From>>, egress: Option<Vec<To>>,
    }
    From { from: Option<Vec<Peer>>, ports: Vec<PolicyPort>, }
    To { to: Option<Vec<Peer>>, ports: Vec<PolicyPort>, }
    Peer { pod_selector: Option<Selector>, namespace_selector: Option<Selector>, }
    PolicyPort { protocol: Protocol, port: u16, }

    DisruptionBudget { max_unavailable: u32, selector: Selector, }
    Autoscaler {
        scale_target_ref: ScaleTarget, min_replicas: u32, max_replicas: u32, metrics: Vec<Metric>,
    }
    ScaleTarget { api_version: String, kind: String, name: String, }
    Metric { r#type: String, resource: ResourceMetric, }
    ResourceMetric { name: String, target: MetricTarget, }
    MetricTarget { r#type: String, average_utilization: u32, }

    SpinApp {
        executor: String, image: String, components: Option<Vec<String>>, enable_autoscaling: Option<bool>,
        replicas: Option<u32>, service_account_name: Option<String>, pod_labels: Option<Texts>,
        pod_annotations: Option<Texts>, deployment_annotations: Option<Texts>,
        image_pull_secrets: Option<Vec<PullSecret>>, variables: Option<Vec<Variable>>,
        runtime_config: Option<RuntimeConfig>, resources: Resources, checks: Checks,
        volumes: Option<Vec<Volume>>, volume_mounts: Option<Vec<Mount>>, invocation_limits: Option<Texts>,
    }
    PullSecret { name: String, }
    RuntimeConfig { load_from_secret: String, }
    Checks { liveness: Check, readiness: Check, }
    Check {
        http_get: CheckGet, initial_delay_seconds: Option<u32>, period_seconds: Option<u32>,
        timeout_seconds: Option<u32>, failure_threshold: Option<u32>, success_threshold: Option<u32>,
    }
    CheckGet { path: String, }
    Executor { create_deployment: bool, deployment_config: DeploymentConfig, }
    DeploymentConfig {
        runtime_class_name: Option<String>, spin_image: Option<String>, ca_cert_secret: Option<String>,
        #[serde(rename = "installDefaultCACerts")]
        install_default_ca_certs: Option<bool>,
        otel: Option<Otel>,
    }
    Otel {
        #[serde(rename = "exporter_otlp_endpoint")]
        endpoint: Option<String>,
    }
    ScaledObject {
        scale_target_ref: ScaleTarget, min_replica_count: u32, max_replica_count: u32, triggers: Vec<Trigger>,
    }
    Trigger { r#type: String, metadata: StreamTrigger, authentication_ref: Option<PullSecret>, }
    StreamTrigger { address: String, stream: String, consumer_group: String, lag_count: String, }
    TriggerAuthentication { secret_target_ref: Vec<SecretTarget>, }
    SecretTarget { parameter: String, name: String, key: String, }
}

#[derive(Deserialize)]
enum Operator {
    In,
}

#[derive(Deserialize)]
enum StrategyType {
    RollingUpdate,
    Recreate,
}

#[derive(Deserialize)]
enum PathType {
    Prefix,
}

#[derive(Deserialize)]
enum Direction {
    Ingress,
    Egress,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Protocol {
    Tcp,
    Udp,
}
