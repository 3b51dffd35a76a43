//! The application as an image in a registry: pushed, pulled, run, and refused where it is not what it should be.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use servers::Process;
use sugang_tests::members::OPEN;
use sugang_tests::orders::{AUTOMATIC, order};
use sugang_tests::{Api, Ground, Options, eventually};
use tempfile::TempDir;
use xtask::registry_server::{RegistryServer, USER};
use xtask::workspace;

/// A registry of a test's own, and a folder for whatever else it needs.
struct Shelf {
    registry: RegistryServer,
    folder: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { registry: RegistryServer::start(folder.path()).unwrap(), folder }
    }

    fn tag(&self) -> String {
        format!("{}/sugang/sugang:test", self.registry.address())
    }

    /// Pushes the application; gives back what to pull it by, exactly.
    fn push(&self) -> String {
        printed(sugang(self.folder.path()).args(["image", "push", &self.tag(), "--insecure"]))
    }

    /// A host that runs an image, with nothing pulled before and no right to write anywhere but here.
    fn up(&self, image: &str) -> Command {
        let mut command = sugang(self.folder.path());
        command.args(["up", "-f", image, "--insecure", "--listen", "127.0.0.1:0"]);
        command.arg("--runtime-config-file").arg(workspace::runtime_config());
        command.arg("--state-dir").arg(self.folder.path());
        command
    }
}

/// The command, in a folder of its own, where nothing is known of who we are.
fn sugang(folder: &Path) -> Command {
    let mut command = Command::new(workspace::host_binary());
    command.current_dir(workspace::root()).stdin(Stdio::null());
    command.env("HOME", folder).env_remove("DOCKER_CONFIG").env_remove("SOURCE_DATE_EPOCH");
    command.env(workspace::CACHE_VARIABLE, folder.join("cache")).env(OPEN.0, OPEN.1);
    command
}

#[track_caller]
fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let words = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{words}");
    words
}

/// The layers of the application's image, as Spin names what is in them.
fn layers(folder: &Path) -> Vec<Value> {
    let saved = folder.join("saved");
    printed(sugang(folder).args(["image", "save"]).arg(&saved));
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = read(&saved.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "");
    let manifest = read(&saved.join("blobs/sha256").join(digest));
    manifest["layers"].as_array().unwrap().clone()
}

#[test]
fn the_flow_runs_from_an_image_pulled_by_tag_and_by_digest() {
    let shelf = Shelf::new();
    let exact = shelf.push();
    for (number, image) in [(1, &shelf.tag()), (2, &exact)] {
        let ground = Ground::new();
        let host = ground.host(Options::new().image(image));
        host.apply(&order(number, AUTOMATIC)).expect(201);
        eventually(|| host.statuses(number), "Ordered / Paid / Reservation Confirmed");
    }
}

#[test]
fn the_same_sources_have_the_same_digest_however_the_image_is_made() {
    let shelf = Shelf::new();
    let pushed = shelf.push();
    let saved = |name: &str| {
        let folder = shelf.folder.path().join(name);
        printed(sugang(shelf.folder.path()).args(["image", "save"]).arg(folder))
    };
    let (first, second) = (saved("first"), saved("second"));
    assert_eq!(first, second);
    assert_eq!(pushed, format!("{}/sugang/sugang@{first}", shelf.registry.address()));
    assert_eq!(shelf.push(), pushed, "what is there already is not another image");
}

#[test]
fn a_context_and_its_worker_are_one_layer_and_their_adapters_are_composed_in() {
    let folder = tempfile::tempdir().unwrap();
    let types: Vec<_> = layers(folder.path()).iter().map(|it| it["mediaType"].clone()).collect();
    let mut expected = vec!["application/vnd.wasm.content.layer.v1+wasm"; 7];
    expected.push("application/vnd.fermyon.spin.application.v1+config");
    assert_eq!(types, expected);
}

#[test]
fn a_layer_with_one_byte_changed_is_refused() {
    let shelf = Shelf::new();
    let exact = shelf.push();
    let layer = layers(shelf.folder.path())[0]["digest"].as_str().unwrap().to_owned();
    let blob = shelf.registry.blob(&layer);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    for image in [shelf.tag(), exact] {
        let words = refused(&mut shelf.up(&image));
        assert!(words.contains(&format!("the layer `{layer}` was not taken")), "{words}");
    }
}

#[test]
fn what_is_not_there_or_is_no_application_is_refused_in_words() {
    let shelf = Shelf::new();
    let at = |name: &str| format!("{}/{name}", shelf.registry.address());
    let words = refused(&mut shelf.up(&at("sugang/nothing:here")));
    assert!(words.contains("the registry has no such image"), "{words}");
    let free = servers::free_port().unwrap();
    let words = refused(&mut shelf.up(&format!("127.0.0.1:{free}/sugang:v1")));
    assert!(words.contains("cannot be reached"), "{words}");
    let words = refused(&mut shelf.up("no-such-folder"));
    assert!(words.contains("neither a file nor a directory"), "{words}");
}

#[test]
fn a_registry_that_wants_a_password_gets_the_one_of_the_usual_file() {
    let folder = tempfile::tempdir().unwrap();
    let registry = RegistryServer::start_with_password(folder.path()).unwrap();
    let image = format!("{}/sugang:test", registry.address());
    let push = || {
        let mut command = sugang(folder.path());
        command.args(["image", "push", &image, "-k"]);
        command
    };
    let words = refused(&mut push());
    assert!(words.contains("does not let us in"), "{words}");

    let write = |password: &str| {
        let (user, config) = (USER.0, folder.path().join(".docker"));
        fs::create_dir_all(&config).unwrap();
        let entry = format!(
            r#"{{"auths":{{"{}":{{"username":"{user}","password":"{password}"}}}}}}"#,
            registry.address()
        );
        fs::write(config.join("config.json"), entry).unwrap();
    };
    write("wrong-secret");
    let words = refused(&mut push());
    assert!(words.contains("does not let us in") && !words.contains("wrong-secret"), "{words}");
    write(USER.1);
    let exact = printed(&mut push());
    let mut up = sugang(folder.path());
    up.args(["up", "-k", "-f", &exact, "-c", "no-such-component"]);
    let words = refused(&mut up);
    assert!(words.contains("`no-such-component` was selected"), "it was pulled: {words}");
}

/// What the SpinKube operator starts for a SpinApp of workers, where the executor names our image; but for the port, and for
/// the address of what has no TLS here.
#[test]
fn workers_alone_are_started_as_the_spinkube_operator_starts_them_and_listen_for_health() {
    let shelf = Shelf::new();
    let exact = shelf.push();
    let ground = Ground::new();
    let redis = ground.redis_url().strip_prefix("redis://").unwrap();
    let state = shelf.folder.path().join("state.toml");
    fs::write(&state, runtime_config(ground.state())).unwrap();
    let start = || {
        let address = SocketAddr::from(([127, 0, 0, 1], servers::free_port().unwrap()));
        let mut command = sugang(shelf.folder.path());
        command.args(["up", "--listen", &address.to_string(), "-f", &exact, "--insecure"]);
        command.arg("--runtime-config-file").arg(&state);
        command.args(["--component-id", "order-worker", "--component-id", "reservation-worker"]);
        command.env("SPIN_HTTP_LISTEN_ADDR", address.to_string());
        command.env("SPIN_COMPONENTS_TO_RETAIN", "order-worker,reservation-worker");
        command.env("SPIN_VARIABLE_REDIS_ADDRESS", redis);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start("the workers", &mut command).unwrap();
        let api = Api::new(address);
        eventually(|| api.is_up(), true);
        (process, api)
    };
    let (process, api) = start();
    for path in ["/livez", "/readyz", "/.well-known/spin/health"] {
        assert_eq!(api.get(path).expect(200).body, "OK", "{path}");
    }
    api.get("/orders").expect(404);
    ground.wait_for_courses();
    drop(process);

    // What was pulled by digest is there at the next start, whatever became of the registry.
    drop(shelf.registry);
    let exact = exact.as_str();
    let address = SocketAddr::from(([127, 0, 0, 1], servers::free_port().unwrap()));
    let mut command = sugang(shelf.folder.path());
    // Neither flag is given: the operator's shim says the same by the environment alone.
    command.args(["up", "-f", exact, "--runtime-config-file"]).arg(&state);
    command.env("SPIN_HTTP_LISTEN_ADDR", address.to_string());
    command.env("SPIN_COMPONENTS_TO_RETAIN", "reservation");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _process = Process::start("reservation", &mut command).unwrap();
    let api = Api::new(address);
    eventually(|| api.is_up(), true);
    assert!(api.course(AUTOMATIC).expect(200).text("/title").contains("러스트"));
    api.get("/orders").expect(404);
}

/// As the operator writes it for a SpinApp with `runtimeConfig`.
fn runtime_config(state: &Path) -> String {
    let stores = ["order", "pay", "gateway", "reservation", "notification", "inbox", "information", "member"];
    let store = |label: &str| {
        let path = state.join(".spin").join(format!("{label}.db"));
        format!("[sqlite_database.{label}]\ntype = 'spin'\npath = '{}'\n", path.display())
    };
    let stores: String = stores.into_iter().map(store).collect();
    let default = state.join(".spin").join("default.db");
    format!(
        "[[config_provider]]\ntype = 'env'\nprefix = 'SPIN_VARIABLE_'\n{stores}\
         [key_value_store.default]\ntype = 'spin'\npath = '{}'\n",
        default.display()
    )
}

/// What `deploy/image/Dockerfile` says after its last `FROM`, by instruction.
fn said(instruction: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace::root().join("deploy/image/Dockerfile")).unwrap();
    let last = text.rsplit_once("\nFROM ").unwrap().1.replace("\\\n", "");
    let lines = last.lines().filter_map(|line| line.strip_prefix(instruction));
    lines.map(|rest| rest.trim().to_owned()).collect()
}

/// The files of the host's image: the command, what it is linked with, and the folders that are written to.
fn file_tree(folder: &Path) -> std::path::PathBuf {
    let tree = folder.join("tree");
    let copy = |file: &str, to: &str| {
        let to = tree.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    };
    let binary = workspace::host_binary();
    copy(binary.to_str().unwrap(), "/usr/bin/sugang");
    let linked = printed(Command::new("ldd").arg(&binary));
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        copy(library, library);
    }
    // The base has the certificates of authorities, where Debian has them.
    let certificates =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let found = certificates.into_iter().find(|file| Path::new(file).exists()).expect("ca-certificates");
    copy(found, certificates[0]);
    for empty in ["state", "cache", "home/nonroot/.docker", "tmp", "dev"] {
        fs::create_dir_all(tree.join(empty)).unwrap();
    }
    tree
}

/// There is no container engine here: a user namespace stands in for one.
#[test]
fn the_hosts_image_starts_as_an_ordinary_user_whose_root_file_system_is_read_only() {
    let can = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        println!("no user namespaces here: the tree of the host's image was not started");
        return;
    }
    let shelf = Shelf::new();
    let exact = shelf.push();
    let tree = file_tree(shelf.folder.path());
    let user = said("USER").remove(0);
    let (user, entry) = (user.split(':').next().unwrap(), said("ENTRYPOINT").remove(0));
    assert_eq!(entry, r#"["/usr/bin/sugang"]"#);
    assert_ne!(user, "0");
    let address = SocketAddr::from(([127, 0, 0, 1], servers::free_port().unwrap()));
    // The root is mounted for reading; volumes, as SpinApps have them, are over the two folders.
    let script = format!(
        "set -e; mount --bind $1 $1; mount -o remount,bind,ro $1; mount -t tmpfs none $1/state; \
         mount -t tmpfs none $1/cache; ! touch $1/usr/x 2>/dev/null; root=$1; shift; \
         exec unshare --user --map-user={user} --root=$root --wd={} \"$@\"",
        said("WORKDIR").remove(0)
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]).arg(&tree);
    command.args(["/usr/bin/sugang", "up", "--listen", &address.to_string(), "-f", &exact, "--insecure"]);
    command.args(["--runtime-config-file", "/runtime-config.toml", "--component-id", "site"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    for pair in said("ENV").iter().flat_map(|line| line.split_whitespace()) {
        let (name, value) = pair.split_once('=').unwrap();
        command.env(name, value);
    }
    command.env(OPEN.0, OPEN.1);
    // Nobody sends it requests when it is told to stop.
    command.env("SUGANG_DRAIN_TIME", "0s");
    let log = shelf.folder.path().join("log");
    let file = fs::File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut process = Process::start("the host's image", &mut command).unwrap();
    let api = Api::new(address);
    eventually(|| api.is_up() || process.exited().unwrap().is_some(), true);
    let said = fs::read_to_string(&log).unwrap();
    assert!(process.exited().unwrap().is_none(), "{said}");
    api.get("/").expect(200);
    assert!(!said.contains("anew"), "what was pulled and compiled is kept: {said}");
}
