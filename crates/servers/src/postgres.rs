//! A private PostgreSQL server: the stores of one system or of one test program, on a port of its own.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Pid, Signal, test_kill_process};

use crate::{Process, free_port, is_free};

/// How long a server may take from its start until it lets clients in; to recover from a crash takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to end: it writes down what it has in memory.
const ENDING: Duration = Duration::from_secs(30);

/// How often it is started anew that ended while starting: somebody else took its port after our choice, or what a
/// crash of it left has not ended yet.
const ATTEMPTS: u32 = 10;

/// How much longer is waited with each attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// Its one user, who may do everything.
const USER: &str = "sugang";

/// The database that is there from the start.
const DATABASE: &str = "postgres";

/// The server refuses to run as root; then one of these runs it.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Tests need no disk that keeps what it was told, and are many at once. (A system has up to 64 connections for each
/// component and store.)
const FOR_TESTS: [&str; 2] = ["fsync=off", "max_connections=800"];

/// Texts in the order of their bytes, as SQLite has them, and on every machine alike.
const BY_BYTES: [&str; 1] = ["--locale=C"];

/// Texts are sorted by a language's rules, unless a schema says otherwise, as on most servers: what relies on the order of
/// bytes is to be noticed.
const BY_LANGUAGE: [&str; 3] = ["--locale=C", "--locale-provider=icu", "--icu-locale=en"];

/// Becomes the server, which so has the process id that we know, and leaves somebody behind who ends it when our end
/// of the pipe is closed without a word: we have died. Then the folder goes, too, where one is named.
const SCRIPT: &str = r#"exec 3<&0
( ( read -r word <&3 || {
    kill -INT "$$"
    [ -z "$1" ] || { while kill -0 "$$" 2>/dev/null; do sleep 0.1; done; rm -rf "$1"; }
} ) & )
exec 3<&- </dev/null
shift
exec "$@""#;

/// The folder of the programs: that of the `PATH`, or the newest where distributions keep them.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/usr/libexec"].into_iter();
    let folders = versions.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path().join("bin")).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).unwrap_or_default();
        version.to_string_lossy().parse::<u32>().unwrap_or_default()
    });
    let mut found = env::split_paths(&path).chain(folders.into_iter().rev());
    let found = found.find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file()))?;
    // What is on the path may be links to where all the programs are.
    Some(found.join("postgres").canonicalize().ok()?.parent()?.to_owned())
}

/// A server that runs for as long as this value lives, or this process.
#[derive(Debug)]
pub struct PostgresServer {
    process: Process,
    port: u16,
    folder: PathBuf,
    is_temporary: bool,
    password: String,
    /// Closed without a word, it ends the server: also when we are killed.
    lifeline: Option<ChildStdin>,
}

impl PostgresServer {
    /// Starts a server that keeps its data, its log, its password and its port number in `folder`, and waits until it
    /// lets clients in. `settings` are the server's, such as `max_connections=200`.
    ///
    /// Started again on the same folder it has the same data, the same password and, where it is still free, the same
    /// port. Two cannot run on the same folder: should there still be one that is ending, its end is awaited.
    pub fn start(folder: &Path, settings: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Self::start_in(folder, false, settings, &BY_BYTES)
    }

    /// Starts a server for tests, which keeps nothing: its folder goes with it.
    pub fn temporary() -> Result<Self> {
        let folder = env::temp_dir().join(format!("sugang-postgres-{}", random()?));
        fs::DirBuilder::new().mode(0o700).create(&folder).context("no temporary directory")?;
        let started = Self::start_in(&folder, true, &FOR_TESTS, &BY_LANGUAGE);
        if started.is_err() {
            // What went wrong before is what there is to tell.
            _ = fs::remove_dir_all(&folder);
        }
        started
    }

    /// The one that the tests of this process share.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<PostgresServer>> = OnceLock::new();
        SHARED.get_or_init(Self::temporary).as_ref().map_err(|error| anyhow!("{error:#}"))
    }

    fn start_in(folder: &Path, is_temporary: bool, settings: &[&str], order: &[&str]) -> Result<Self> {
        let programs = programs()
            .context("PostgreSQL's initdb and postgres are not there; `cargo xtask setup` installs them")?;
        // The server itself calls it by its whole name, and it is another user who does.
        let folder = &folder.canonicalize()?;
        let user = User::for_server()?;
        let durable = !settings.contains(&"fsync=off");
        let password = prepare(folder, &programs, user.as_ref(), durable, order)?;
        wait_for_predecessor(folder)?;
        let mut preferred =
            fs::read_to_string(folder.join("port")).ok().and_then(|text| text.trim().parse().ok());
        for attempt in 1..=ATTEMPTS {
            let port = match preferred.filter(|port| is_free(*port)) {
                Some(port) => port,
                None => free_port()?,
            };
            let temporary = is_temporary.then_some(folder.as_path());
            let seen = Seen::by(user.as_ref(), folder)?;
            let mut command = command(&programs.join("postgres"), folder, &seen, temporary, port, settings)?;
            run_as(&mut command, user.as_ref());
            let mut process = Process::start("postgres", &mut command)?;
            let lifeline = process.take_stdin();
            let password = password.clone();
            let mut server =
                Self { process, port, folder: folder.to_owned(), is_temporary: false, password, lifeline };
            let is_ready = server.process.wait_until(PATIENCE, |id| is_ready(folder, id));
            if is_ready.with_context(|| format!("on port {port}; see {}", server.log().display()))? {
                fs::write(folder.join("port"), port.to_string())?;
                server.is_temporary = is_temporary;
                return Ok(server);
            }
            preferred = preferred.filter(|preferred| *preferred != port || is_free(port));
            thread::sleep(PAUSE * attempt);
        }
        bail!("postgres ended {ATTEMPTS} times while starting; see {}", log_file(folder).display())
    }

    /// The address for clients of the database that is there from the start, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        self.database(DATABASE)
    }

    /// The address of another database.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{name}", self.password, self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it writes what it has to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        log_file(&self.folder)
    }

    /// The process, to signal it or to see it end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it: those who are connected are cut off, and what they were at is rolled back.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::INT)?;
        let deadline = Instant::now() + ENDING;
        while self.process.exited()?.is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        self.process.kill().map(drop)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // Nothing to do about a failure here, and nobody to tell.
        let _ = self.stop();
        // The process id may be somebody else's from here on.
        if let Some(lifeline) = &mut self.lifeline {
            let _ = lifeline.write_all(b"ended\n");
        }
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What the server on `folder` writes down of itself, line by line: its process id first, and as the eighth its state.
fn written_down(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(data(folder).join("postmaster.pid")).unwrap_or_default();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Whether the server that runs in `folder` is the process `id` and lets clients in.
fn is_ready(folder: &Path, id: u32) -> bool {
    let lines = written_down(folder);
    lines.first() == Some(&id.to_string()) && lines.get(7).is_some_and(|state| state == "ready")
}

/// Waits for the end of a server that is still at work on `folder`, as it may be when whoever started it was killed. A crash
/// of the server leaves its id behind, which may be another's by now: ours works in its folder.
fn wait_for_predecessor(folder: &Path) -> Result<()> {
    let Some(id) = written_down(folder).first().and_then(|id| id.parse().ok()) else { return Ok(()) };
    let Some(process) = Pid::from_raw(id) else { return Ok(()) };
    let is_ours = || match fs::read_link(format!("/proc/{id}/cwd")) {
        Ok(works_in) => works_in == data(folder),
        // There is no such process, or nothing that tells where it works.
        Err(_) => !Path::new("/proc/self").exists() && test_kill_process(process).is_ok(),
    };
    let deadline = Instant::now() + ENDING;
    while is_ours() {
        ensure!(
            Instant::now() < deadline,
            "another PostgreSQL (process {id}) uses {}: stop it first",
            folder.display()
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Makes an empty database where there is none yet, and returns the password.
fn prepare(
    folder: &Path,
    programs: &Path,
    user: Option<&User>,
    durable: bool,
    order: &[&str],
) -> Result<String> {
    let password_file = folder.join("password");
    if data(folder).join("PG_VERSION").exists() {
        return Ok(fs::read_to_string(&password_file)
            .with_context(|| format!("cannot read {}", password_file.display()))?
            .trim()
            .to_owned());
    }
    let password = random()?;
    fs::write(&password_file, &password)?;
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))?;
    if let Some(user) = user {
        chown(folder, Some(user.id), Some(user.group))?;
        chown(&password_file, Some(user.id), Some(user.group))?;
    }
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args(["--encoding=UTF8", "--auth=scram-sha-256", "--no-instructions"]).args(order);
    initdb.args((!durable).then_some("--no-sync"));
    let seen = Seen::by(user, folder)?;
    initdb.arg(format!("--username={USER}")).arg("--pwfile").arg(seen.path().join("password"));
    initdb.arg("--pgdata").arg(data(seen.path()));
    run_as(&mut initdb, user);
    let output = initdb.current_dir("/").stdin(Stdio::null()).output().context("cannot run initdb")?;
    ensure!(
        output.status.success(),
        "initdb failed{}: {}",
        user.map(|user| format!(" (as the user {})", user.name)).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(password)
}

/// File descriptors that the script has no use for: a shell may put its own at 10 and above.
const BEYOND_THE_SCRIPTS: i32 = 100;

/// The folder as the server's process gets to it.
///
/// Another user may not get into the folders above it, as with everything in the home of root. So that user gets the folder
/// itself, opened.
struct Seen {
    path: PathBuf,
    /// Until the process has started.
    _opened: Option<OwnedFd>,
}

impl Seen {
    fn by(user: Option<&User>, folder: &Path) -> Result<Self> {
        if user.is_none() || !Path::new("/proc/self/fd").exists() {
            return Ok(Self { path: folder.to_owned(), _opened: None });
        }
        let opened = fcntl_dupfd_cloexec(File::open(folder)?, BEYOND_THE_SCRIPTS)?;
        // To be inherited; others that are started at this moment have it, too, and no use for it.
        fcntl_setfd(&opened, FdFlags::empty())?;
        Ok(Self { path: format!("/proc/self/fd/{}", opened.as_raw_fd()).into(), _opened: Some(opened) })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

fn command(
    program: &Path,
    folder: &Path,
    seen: &Seen,
    temporary: Option<&Path>,
    port: u16,
    settings: &[&str],
) -> Result<Command> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "sh"]).arg(temporary.unwrap_or(Path::new("")));
    command.arg(program).arg("-D").arg(data(seen.path()));
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let ours = ["unix_socket_directories=", "logging_collector=off"];
    for setting in ours.iter().chain(settings) {
        command.args(["-c", setting]);
    }
    let log = File::options().create(true).append(true).open(log_file(folder))?;
    command.current_dir("/").stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("postgres.log")
}

/// A password that nobody guesses.
fn random() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Somebody else than root.
struct User {
    name: &'static str,
    id: u32,
    group: u32,
}

impl User {
    /// Who runs the server; none if that is whoever we are.
    fn for_server() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read who is known to this machine")?;
        let found = USERS.into_iter().find_map(|name| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some(Self { name, id: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
        });
        found
            .map(Some)
            .context("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
    }
}

fn run_as(command: &mut Command, user: Option<&User>) {
    if let Some(user) = user {
        command.uid(user.id).gid(user.group);
    }
}
