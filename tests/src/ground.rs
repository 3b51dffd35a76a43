//! What the parts of one system share, and the whole system on it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use eventlog::keys;
use rustix::process::Signal;
use store::native::Engine;
use tempfile::TempDir;
use xtask::redis_server::RedisServer;
use xtask::tick::Tick;

use crate::host::{Host, Options};
use crate::postgres::Postgres;
use crate::stores::{self, State};
use crate::wait::until;

/// The contexts that own data. Each is two components: itself for HTTP, and its worker for events.
pub const CONTEXTS: [&str; 6] = ["order", "pay", "reservation", "notification", "information", "member"];

/// How many courses there are before anybody has opened one.
const DEMONSTRATION_COURSES: i64 = 6;

/// Tests need not wait a whole second for what time alone brings about.
const TICK: Duration = Duration::from_millis(200);

/// The password of a Redis that wants one, with all that means something else in an address.
pub const PASSWORD: &str = "p@ss/w:rd%41?#{{x}}";

/// The database that is used of such a Redis.
const DATABASE: &str = "/3";

/// A Redis, the tick, a state directory, and a database where the test's stores are on PostgreSQL: everything but the hosts. All
/// of it ends with this value.
#[derive(Debug)]
pub struct Ground {
    // In this order they end: nobody ticks at a Redis that is gone, nothing writes to a folder that is deleted.
    tick: Option<Tick>,
    redis: Option<RedisServer>,
    redis_url: String,
    redis_folder: PathBuf,
    password: Option<&'static str>,
    postgres: Option<Postgres>,
    state: State,
    _folder: TempDir,
    _postgres_folder: Option<TempDir>,
}

impl Ground {
    /// A ground of one's own.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        Self::try_new().expect("a Redis of its own")
    }

    /// The same, with a Redis that wants a [`PASSWORD`] and whose other databases are somebody else's.
    #[track_caller]
    #[must_use]
    pub fn with_password() -> Self {
        Self::start(Some(PASSWORD), DATABASE, Postgres::shared).expect("a Redis of its own")
    }

    /// A ground of one's own, for whoever wants to handle the error.
    pub fn try_new() -> Result<Self> {
        Self::start(None, "", Postgres::shared)
    }

    /// A ground with a PostgreSQL of its own, which can be brought to harm.
    #[track_caller]
    #[must_use]
    pub fn with_postgres() -> Self {
        let folder = tempfile::Builder::new().prefix("sugang-postgres-").tempdir().expect("a folder");
        let own = || Postgres::own(folder.path());
        let ground = Engine::Postgres.run(|| Self::start(None, "", own)).expect("a PostgreSQL of its own");
        Self { _postgres_folder: Some(folder), ..ground }
    }

    fn start(
        password: Option<&'static str>,
        database: &str,
        postgres: impl FnOnce() -> Result<Postgres>,
    ) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("sugang-").tempdir().context("no temporary directory")?;
        let redis_folder = folder.path().join("redis");
        let redis = start_redis(&redis_folder, password)?;
        let redis_url = redis.url() + database;
        let postgres = match Engine::current() {
            Engine::Sqlite => None,
            Engine::Postgres => Some(postgres()?),
        };
        let state = State::new(folder.path().to_owned(), postgres.as_ref().map(|it| it.url().to_owned()));
        Ok(Self {
            tick: Some(Tick::start(&redis_url, TICK)?),
            redis: Some(redis),
            redis_url,
            redis_folder,
            password,
            postgres,
            state,
            _folder: folder,
            _postgres_folder: None,
        })
    }

    /// Where the hosts keep their state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The database of the stores, where they are on PostgreSQL.
    #[must_use]
    pub fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }

    /// The same, to bring harm to it.
    #[track_caller]
    pub fn postgres_mut(&mut self) -> &mut Postgres {
        self.postgres.as_mut().expect("stores on PostgreSQL")
    }

    /// The address of the Redis, the same after a restart.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// Has a group be handed what is no event; it becomes a dead letter.
    pub fn hand_rubbish_to(&self, group: &str) -> Result<()> {
        let mut redis = redis::Client::open(self.redis_url())?.get_connection()?;
        let rubbish = ["*", "e", "rubbish", "stream", "sugang:events:pay", "id", "1-1"];
        redis::cmd("XADD").arg(keys::replayed(group)).arg(&rubbish).exec(&mut redis)?;
        redis::cmd("PUBLISH").arg(keys::wake(group)).arg("event").exec(&mut redis)?;
        Ok(())
    }

    /// Starts a host on this ground; a test in which it does not start has failed.
    ///
    /// Where both of those who have to do with it are in it, `order` knows the demonstration courses then.
    #[track_caller]
    #[must_use]
    pub fn host(&self, options: Options) -> Host {
        let will_know = options.opens_courses();
        let host = Host::start(self, options);
        if will_know {
            self.wait_for_courses();
        }
        host
    }

    /// Waits until `order` knows the courses that `reservation` has.
    #[track_caller]
    pub fn wait_for_courses(&self) {
        let courses = |context| stores::value::<i64>(self.state(), context, "SELECT COUNT(*) FROM courses");
        until("the courses to be known", || {
            let (opened, known) = (courses("reservation").ok()?, courses("order").ok()?);
            (opened >= DEMONSTRATION_COURSES && known >= opened).then_some(())
        });
    }

    /// From now on nobody ticks.
    pub fn stop_ticking(&mut self) {
        self.tick = None;
    }

    /// The process id of the Redis.
    #[track_caller]
    #[must_use]
    pub fn redis_process_id(&self) -> u32 {
        self.redis.as_ref().expect("a Redis that runs").process_id()
    }

    /// Redis crashes.
    #[track_caller]
    pub fn kill_redis(&mut self) {
        self.redis.take().expect("a Redis that runs").process().kill().expect("Redis to end");
    }

    /// Redis is there again, on the same port and with what it had.
    #[track_caller]
    pub fn start_redis(&mut self) {
        let server = start_redis(&self.redis_folder, self.password).expect("Redis to start again");
        assert!(self.redis_url.starts_with(&server.url()), "its port was taken meanwhile");
        self.redis = Some(server);
    }

    /// Redis stands still, its connections open (SIGSTOP), or goes on (SIGCONT).
    #[track_caller]
    pub fn signal_redis(&mut self, signal: Signal) {
        self.redis.as_mut().expect("a Redis that runs").process().signal(signal).expect("to signal Redis");
    }
}

fn start_redis(folder: &Path, password: Option<&str>) -> Result<RedisServer> {
    match password {
        Some(password) => RedisServer::start_with_password(folder, password),
        None => RedisServer::start(folder, None),
    }
}

impl Default for Ground {
    fn default() -> Self {
        Self::new()
    }
}

/// A whole system: every component in one host, which runs in this process.
///
/// It derefs to its host, and so to the [`Api`](crate::Api).
#[derive(Debug)]
pub struct Sugang {
    // The host ends before the ground it stands on.
    host: Host,
    ground: Ground,
}

impl Sugang {
    /// A system with nothing unusual about it.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        Self::with(Options::new())
    }

    /// A system that is set up otherwise.
    #[track_caller]
    #[must_use]
    pub fn with(options: Options) -> Self {
        let ground = Ground::new();
        Self { host: ground.host(options), ground }
    }

    /// What its hosts share.
    #[must_use]
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// The same, to bring harm to it.
    pub fn ground_mut(&mut self) -> &mut Ground {
        &mut self.ground
    }

    /// Where its stores are.
    #[must_use]
    pub fn state(&self) -> &State {
        self.ground.state()
    }
}

impl Deref for Sugang {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}
