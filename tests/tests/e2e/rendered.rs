//! What `deploy/kubernetes` describes, run: each SpinApp as the process that the SpinKube operator would start, with a real
//! Redis and a real PostgreSQL. Only addresses are other than in a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ::access::Role;
use deploy_tests::{find, kubernetes, kustomize, list, name, of_kind, operator, texts};
use serde_json::Value;
use servers::{PostgresServer, Process};
use sugang_tests::members::{self, member};
use sugang_tests::orders::{AUTOMATIC, MANUAL, order};
use sugang_tests::{Api, Ground, eventually};
use tempfile::TempDir;
use xtask::registry_server::RegistryServer;
use xtask::workspace;

/// How long all of it may take to start: each of them loads and checks the whole image.
const START: Duration = Duration::from_secs(120);

/// A cluster in which every pod is a process on this machine.
struct Cluster {
    processes: Vec<Process>,
    services: BTreeMap<String, SocketAddr>,
    folder: TempDir,
    ground: Ground,
    postgres: PostgresServer,
    registry: RegistryServer,
}

impl Cluster {
    fn start(overlay: &str) -> Self {
        let objects = kustomize::render(&kubernetes().join("overlays").join(overlay)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (mut ground, registry) = (Ground::new(), RegistryServer::start(folder.path()).unwrap());
        ground.stop_ticking();
        let database = folder.path().join("postgres");
        fs::create_dir(&database).unwrap();
        let postgres = PostgresServer::start(&database, &["fsync=off", "max_connections=300"]).unwrap();
        let free = || SocketAddr::from(([127, 0, 0, 1], servers::free_port().unwrap()));
        let services = of_kind(&objects, "SpinApp").map(|app| (name(app).to_owned(), free())).collect();
        let mut cluster = Self { processes: Vec::new(), services, folder, ground, postgres, registry };
        let image = cluster.push();
        let values = cluster.values(&objects);
        let executor = find(&objects, "SpinAppExecutor", "sugang").unwrap();
        for app in of_kind(&objects, "SpinApp") {
            let container = operator::container(app, executor).unwrap();
            let process = cluster.start_container(&container, &image, &values);
            cluster.processes.push(process);
        }
        cluster.processes.push(cluster.tick(find(&objects, "Deployment", "tick").unwrap()));
        for app in cluster.services.keys() {
            let api = cluster.service(app);
            let begun = Instant::now();
            while !(api.is_up() && api.get("/readyz").status == 200) {
                let log = || fs::read_to_string(cluster.folder.path().join(app).join("log"));
                assert!(begun.elapsed() < START, "{app} is not ready: {}", log().unwrap_or_default());
                thread::sleep(Duration::from_millis(50));
            }
        }
        cluster
    }

    fn service(&self, name: &str) -> Api {
        // As an operator: nobody else chooses an order's number, and decides about every course.
        Api::new(self.services[name]).as_caller(&member(99, &[Role::Operator]))
    }

    fn push(&self) -> String {
        let tag = format!("{}/sugang/sugang:test", self.registry.address());
        let mut command = Command::new(workspace::host_binary());
        command.args(["image", "push", &tag, "--insecure", "--from"]).arg(workspace::manifest());
        command.env("HOME", self.folder.path()).env_remove("DOCKER_CONFIG");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What is in the ConfigMap and in the Secret, with what is elsewhere here.
    fn values(&self, objects: &[Value]) -> BTreeMap<String, String> {
        let data = find(objects, "ConfigMap", "sugang-variables").unwrap()["data"].as_object().unwrap();
        let mut values: BTreeMap<String, String> =
            data.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
        let example = fs::read_to_string(kubernetes().join("secrets/variables.env.example")).unwrap();
        let database = self.postgres.url();
        for (key, _) in example.lines().filter_map(|line| line.split_once('=')) {
            let value = if key.ends_with("_database_url") { database.clone() } else { String::new() };
            values.insert(key.to_owned(), value);
        }
        let url = |service: &str| format!("http://{}", self.services[service]);
        let redis = self.ground.redis_url().strip_prefix("redis://").unwrap().to_owned();
        let postgres = format!("127.0.0.1:{}", self.postgres.port());
        values.extend(members::keys().map(|(name, key)| (name.to_owned(), key)));
        values.extend([
            ("redis_address".to_owned(), redis),
            ("postgres_address".to_owned(), postgres),
            ("pay_url".to_owned(), url("pay")),
            ("application_url".to_owned(), url("order")),
            ("demo_courses".to_owned(), "true".to_owned()),
            ("card_key".to_owned(), "0123456789abcdef".repeat(4)),
        ]);
        values
    }

    /// The Deployment of the tick, which has one variable.
    fn tick(&self, deployment: &Value) -> Process {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let mut command = Command::new(workspace::host_binary());
        command.args(texts(&container["args"])).stdin(Stdio::null());
        command.env(container["env"][0]["name"].as_str().unwrap(), self.ground.redis_url());
        Process::start("the tick", &mut command).unwrap()
    }

    fn start_container(&self, container: &Value, image: &str, values: &BTreeMap<String, String>) -> Process {
        let pod = container["name"].as_str().unwrap();
        let folder = self.folder.path().join(pod);
        fs::create_dir(&folder).unwrap();
        let example = fs::read_to_string(kubernetes().join("secrets/runtime-config.toml.example")).unwrap();
        let config = example
            .replace("/state", folder.to_str().unwrap())
            .replace("redis://:CHANGE-ME@redis:6379", self.ground.redis_url());
        fs::write(folder.join("runtime-config.toml"), config).unwrap();
        let address = self.services[pod].to_string();
        let mut command = Command::new(workspace::host_binary());
        for argument in texts(&container["args"]) {
            match argument {
                "0.0.0.0:80" => command.arg(&address),
                "/runtime-config.toml" => command.arg(folder.join("runtime-config.toml")),
                it if it.contains("@sha256:") => command.args([image, "--insecure"]),
                it => command.arg(it),
            };
        }
        for variable in list(&container["env"]) {
            let name = variable["name"].as_str().unwrap();
            let from = &variable["valueFrom"];
            let key = from["secretKeyRef"]["key"].as_str().or(from["configMapKeyRef"]["key"].as_str());
            let value = match (key, variable["value"].as_str()) {
                (Some(key), _) => values[key].clone(),
                (_, Some("0.0.0.0:80")) => address.clone(),
                (_, value) => value.unwrap().to_owned(),
            };
            command.env(name, value);
        }
        command.current_dir(&folder).env("HOME", &folder).env_remove("DOCKER_CONFIG");
        command.env(workspace::CACHE_VARIABLE, workspace::code_cache());
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Process::start("a pod", &mut command).unwrap()
    }
}

#[test]
fn the_rendered_processes_take_an_order_through_and_back() {
    let cluster = Cluster::start("postgres");
    let (orders, information) = (cluster.service("order"), cluster.service("information"));
    eventually(|| orders.apply(&order(1, AUTOMATIC)).status, 201);
    // At once, unless `pay` is still getting ready.
    eventually(|| orders.order(1).expect(200).text("/payStatus"), "Paid");
    eventually(|| information.statuses(1), "Ordered / Paid / Reservation Confirmed");
    eventually(|| cluster.service("notification").messages(1).len(), 3);

    orders.apply(&order(2, MANUAL)).expect(201);
    eventually(|| information.statuses(2), "Ordered / Paid / Reservation Requested");
    cluster.service("reservation").decide(2, "Reservation Confirmed").expect(200);
    eventually(|| information.statuses(2), "Ordered / Paid / Reservation Confirmed");

    orders.cancel(1).expect(200);
    eventually(|| information.statuses(1), "Order Canceled / Payment Canceled / Reservation Canceled");
    // Everything is on PostgreSQL: the files that the labels ask for hold nothing.
    let file = cluster.folder.path().join("order").join("order.db");
    assert!(fs::metadata(&file).is_err() || fs::metadata(&file).unwrap().len() < 8192, "{}", file.display());
}
