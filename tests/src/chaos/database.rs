//! The PostgreSQL of the stores, and what can happen to it: it crashes, stands still, refuses, or cannot be reached.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use servers::PostgresServer;
use store::native::Store;
use xtask::postgres_url::PostgresUrl;

use super::network::{Network, Way};
use crate::postgres::connect;

/// Deadlocks are to be noticed soon. A crash of the whole machine is none of the faults, so nothing is written through.
const SETTINGS: [&str; 3] = ["fsync=off", "max_connections=1000", "deadlock_timeout=100ms"];

/// How long a server that was just started anew is asked before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and the network by which the system reaches it.
#[derive(Debug)]
pub struct Database {
    server: Option<PostgresServer>,
    folder: PathBuf,
    url: String,
    network: Network,
}

impl Database {
    /// Starts both, on ports that they keep.
    pub fn start(folder: &Path, port: u16, network_port: u16) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("port"), port.to_string())?;
        let server = PostgresServer::start(folder, &SETTINGS)?;
        ensure!(server.port() == port, "the port {port} is taken");
        let network = Network::start(network_port, (Ipv4Addr::LOCALHOST, port).into())?;
        let url = server.url();
        Ok(Self { server: Some(server), folder: folder.to_owned(), url, network })
    }

    /// Its address, without the network in between.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The variables of the application by which every store is in it, by way of the network.
    pub fn variables(&self) -> Result<Vec<(String, String)>> {
        let there = PostgresUrl::parse(&self.url)?;
        let seen = self.url.replace(there.address(), &self.network.address().to_string());
        let url = PostgresUrl::parse(&seen)?;
        let (name, address) = url.grant();
        let secrets = url.secrets().map(|(name, value)| (name, value.to_owned()));
        Ok(secrets.chain([(name.to_owned(), address.to_owned())]).collect())
    }

    /// It crashes: its main process is killed, and all others end when they notice.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.process().kill()?;
        }
        Ok(())
    }

    /// It ends without writing anything down, as it does for an operator in a hurry.
    pub fn stop_at_once(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.process().signal(Signal::QUIT)?;
            let deadline = Instant::now() + PATIENCE;
            while server.process().exited()?.is_none() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// It is there again, with what it had.
    pub fn revive(&mut self) -> Result<()> {
        if self.server.is_none() {
            let server = PostgresServer::start(&self.folder, &SETTINGS)?;
            ensure!(server.url() == self.url, "PostgreSQL did not come back where it was");
            self.server = Some(server);
        }
        Ok(())
    }

    /// Nothing gets through to it, or nothing back, for a while.
    pub fn part(&self, way: Way, time: Duration) {
        self.network.set(way);
        thread::sleep(time);
        self.network.set(Way::Open);
    }

    /// Cuts all connections to it, again and again.
    pub fn cut_off(&self, time: Duration) -> Result<()> {
        let (connection, begun) = (connect(&self.url)?, Instant::now());
        while begun.elapsed() < time {
            connection.run(&format!("SELECT count(pg_terminate_backend(pid)) {SESSIONS}"), &[])?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One of the processes that serve the system stands still; one that is at work, if there is any. `false` where there is
    /// none at all.
    pub fn freeze_one(&self, time: Duration) -> Result<bool> {
        let one =
            format!("SELECT pid {SESSIONS} ORDER BY (state = 'active') DESC, backend_start DESC LIMIT 1");
        let rows = connect(&self.url)?.run(&one, &[])?;
        let Some(row) = rows.first() else { return Ok(false) };
        let process = Pid::from_raw(i32::try_from(row.int("pid")?)?).context("no such process")?;
        if kill_process(process, Signal::STOP).is_err() {
            return Ok(false);
        }
        thread::sleep(time);
        kill_process(process, Signal::CONT)?;
        Ok(true)
    }

    /// Sets it otherwise for a while, its connections included.
    pub fn differently(&self, name: &str, value: &str, time: Duration) -> Result<()> {
        let connection = connect(&self.url)?;
        // So that we can undo it, whatever it is.
        connection.run("SET default_transaction_read_only = off", &[])?;
        let set = |command: String| -> Result<()> {
            connection.run(&command, &[])?;
            connection.run("SELECT pg_reload_conf()", &[])?;
            Ok(())
        };
        set(format!("ALTER SYSTEM SET {name} = {value}"))?;
        thread::sleep(time);
        set(format!("ALTER SYSTEM RESET {name}"))
    }

    /// Takes the tables of `order` the other way around than its decisions do, again and again, and never gives way: who meets
    /// that is given up by the server. Whether anybody was.
    pub fn deadlock(&self, time: Duration) -> Result<bool> {
        let connection = connect(&self.url)?;
        let before = deadlocks(&connection)?;
        let mut any = fastrand::Rng::new();
        let begun = Instant::now();
        while begun.elapsed() < time {
            connection.run("BEGIN", &[])?;
            let mut taken = connection.run("SET LOCAL deadlock_timeout = '8s'", &[]);
            for table in ["tallies", "events"] {
                taken = taken.and_then(|_| {
                    let lock = format!("LOCK TABLE \"order\".{table} IN SHARE ROW EXCLUSIVE MODE");
                    connection.run(&lock, &[])
                });
                thread::sleep(Duration::from_millis(any.u64(30..120)));
            }
            connection.run("ROLLBACK", &[])?;
            thread::sleep(Duration::from_millis(any.u64(5..40)));
        }
        // Each process tells at its end of a transaction, or a second later.
        thread::sleep(Duration::from_millis(1_100));
        Ok(deadlocks(&connection)? > before)
    }

    /// Whether it has said this since its log was so long.
    #[must_use]
    pub fn said(&self, words: &str, from: usize) -> bool {
        let log = std::fs::read(self.folder.join("postgres.log")).unwrap_or_default();
        String::from_utf8_lossy(log.get(from..).unwrap_or_default()).contains(words)
    }

    /// How much it has said so far.
    #[must_use]
    pub fn log_length(&self) -> usize {
        let about = std::fs::metadata(self.folder.join("postgres.log"));
        about.map_or(0, |about| usize::try_from(about.len()).unwrap_or_default())
    }
}

/// Holds every table of a store in the database at `url`, so that it can be read and not written. An error where they cannot
/// be had, or the database is away; `false` where nobody has made the store yet.
pub fn lock(url: &str, label: &str, time: Duration) -> Result<bool> {
    let connection = connect(url)?;
    let tables = tables(&connection, label)?;
    if tables.is_empty() {
        return Ok(false);
    }
    connection.run("BEGIN", &[])?;
    connection.run(&format!("LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", ")), &[])?;
    thread::sleep(time);
    connection.run("ROLLBACK", &[])?;
    Ok(true)
}

/// What serves somebody else than whoever asks.
const SESSIONS: &str =
    "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

fn tables(connection: &Store, label: &str) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = '{label}'"
    );
    let rows = connection.run(&sql, &[])?;
    rows.iter().map(|row| Ok(row.text("name")?.to_owned())).collect()
}

fn deadlocks(connection: &Store) -> Result<i64> {
    Ok(connection.number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")?)
}
