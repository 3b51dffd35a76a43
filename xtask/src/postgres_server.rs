//! A private PostgreSQL server: the store of one system, on a port of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::process::Process;
use crate::redis_server::{free_port, is_free};
use crate::{setup, workspace};

/// How long a server may take from its start until it lets clients in; to recover from a crash takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to end: it writes down what it has in memory.
const ENDING: Duration = Duration::from_secs(30);

/// How often a port that somebody else took between our choice and the server's start is replaced.
const ATTEMPTS: u32 = 10;

/// Its one user, who may do everything.
const USER: &str = "sugang";

/// The server refuses to run as root; then one of these runs it.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Becomes the server, which so has the process id that we know, and leaves somebody behind who ends it when our end
/// of the pipe is closed without a word: we have died.
const SCRIPT: &str = r#"exec 3<&0
( ( read -r word <&3 || kill -INT "$$" ) & )
exec 3<&- </dev/null "$@""#;

/// The folder of the programs: that of the `PATH`, or the newest where distributions keep them.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let on_path =
        workspace::find_program(&["postgres"]).and_then(|program| Some(program.parent()?.to_owned()));
    let versions = ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/usr/libexec"].into_iter();
    let folders = versions.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path().join("bin")).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).unwrap_or_default();
        version.to_string_lossy().parse::<u32>().unwrap_or_default()
    });
    let found = on_path.into_iter().chain(folders.into_iter().rev());
    found.into_iter().find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).exists()))
}

/// A server that runs for as long as this value lives, or this process.
#[derive(Debug)]
pub struct PostgresServer {
    process: Process,
    port: u16,
    folder: PathBuf,
    password: String,
    /// Closed without a word, it ends the server: also when we are killed.
    lifeline: Option<ChildStdin>,
}

impl PostgresServer {
    /// Starts a server that keeps its data, its log, its password and its port number in `folder`, and waits until it
    /// lets clients in.
    ///
    /// Started again on the same folder it has the same data, the same password and, where it is still free, the same
    /// port. Two cannot run on the same folder: the server itself sees to that.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, &[])
    }

    /// The same, with settings such as `fsync=off`.
    pub fn start_with(folder: &Path, settings: &[&str]) -> Result<Self> {
        let Some(programs) = programs() else { bail!("{}", setup::how_to_get_postgres()) };
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        // The server itself calls it by its whole name, and it is another user who does.
        let folder = &folder.canonicalize()?;
        let user = User::for_server()?;
        let durable = !settings.contains(&"fsync=off");
        let password = prepare(folder, &programs, user.as_ref(), durable)?;
        let mut preferred =
            fs::read_to_string(folder.join("port")).ok().and_then(|text| text.trim().parse().ok());
        for _ in 0..ATTEMPTS {
            let port = match preferred.take().filter(|port| is_free(*port)) {
                Some(port) => port,
                None => free_port()?,
            };
            let mut command = command(&programs.join("postgres"), folder, port, settings)?;
            run_as(&mut command, user.as_ref());
            let mut process = Process::start("postgres", &mut command)?;
            let lifeline = process.take_stdin();
            let mut server =
                Self { process, port, folder: folder.to_owned(), password: password.clone(), lifeline };
            if server.wait_until_ready()? {
                fs::write(folder.join("port"), port.to_string())?;
                return Ok(server);
            }
        }
        bail!("postgres ended {ATTEMPTS} times while starting; see {}", log_file(folder).display())
    }

    /// The address for clients, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
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

    /// Waits until it lets clients in; `false` if it ended instead.
    fn wait_until_ready(&mut self) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.process.exited()?.is_some() {
                return Ok(false);
            }
            if is_ready(&self.folder, self.process.id()) {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("postgres does not answer on port {}; see {}", self.port, self.log().display())
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
    }
}

/// Whether the server that runs in `folder` is the process `id` and lets clients in; it says so in a file, where the
/// last line is its state.
fn is_ready(folder: &Path, id: u32) -> bool {
    let text = fs::read_to_string(data(folder).join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(id.to_string().as_str()) && lines.nth(6) == Some("ready")
}

/// Makes an empty database where there is none yet, and returns the password.
fn prepare(folder: &Path, programs: &Path, user: Option<&User>, durable: bool) -> Result<String> {
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
    // Text is sorted by its bytes, as SQLite does it and on every machine alike.
    initdb.args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-instructions"]);
    initdb.args((!durable).then_some("--no-sync"));
    initdb.arg(format!("--username={USER}")).arg("--pwfile").arg(&password_file);
    initdb.arg("--pgdata").arg(data(folder));
    run_as(&mut initdb, user);
    let output = initdb.current_dir("/").stdin(Stdio::null()).output().context("cannot run initdb")?;
    ensure!(
        output.status.success(),
        "initdb failed{}: {}",
        user.map(|user| format!(" (as the user {}, who has to get into {})", user.name, folder.display()))
            .unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(password)
}

fn command(program: &Path, folder: &Path, port: u16, settings: &[&str]) -> Result<Command> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "sh"]).arg(program).arg("-D").arg(data(folder));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn start(folder: &Path) -> PostgresServer {
        PostgresServer::start_with(folder, &["fsync=off"]).unwrap()
    }

    fn ask(server: &PostgresServer, sql: &str) -> String {
        let psql = programs().unwrap().join("psql");
        let output = Command::new(psql).args([&server.url(), "-XAtc", sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn wait_for_end(server: &mut PostgresServer) {
        let deadline = Instant::now() + PATIENCE;
        while server.process.exited().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it goes on");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_was_written_survives_a_kill_and_the_address_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = start(folder.path());
        ask(&server, "CREATE TABLE seats AS SELECT 'taken' AS state");
        let url = server.url();
        server.process().kill().unwrap();

        let server = start(folder.path());
        assert_eq!((ask(&server, "SELECT state FROM seats"), server.url()), ("taken".to_owned(), url));
    }

    #[test]
    fn nobody_gets_in_without_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path());
        let psql = programs().unwrap().join("psql");
        let url = server.url().replace(&server.password, "wrong");
        let output = Command::new(psql).args([&url, "-c", "SELECT 1"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("password authentication failed"), "{said}");
    }

    #[test]
    fn a_server_ends_with_whoever_started_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = start(folder.path());
        // What is left of a process that was killed: its end of the pipe is closed.
        drop(server.lifeline.take());
        wait_for_end(&mut server);
    }

    #[test]
    fn it_ends_at_once_although_somebody_is_connected() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path());
        let psql = programs().unwrap().join("psql");
        let mut client = Command::new(psql)
            .args([&server.url(), "-XAtc", "SELECT 'connected'", "-c", "SELECT pg_sleep(600)"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut word = [0; 9];
        client.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        let started = Instant::now();
        drop(server);
        assert!(started.elapsed() < ENDING / 2);
        assert!(!client.wait().unwrap().success());
    }
}
