//! One host over stores on SQLite or PostgreSQL, to be measured.

use std::time::Duration;

use anyhow::{Context, Result};
use sugang_tests::load::Applicants;
use sugang_tests::{Api, Cluster, Ground, Host, Options, Shape, generate};

use crate::processor::{memory_of, time_of};

/// What the stores are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Database {
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A host that runs, and what it stands on.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
pub(crate) enum Stand {
    // The host ends before the ground it stands on.
    Sqlite { host: Host, ground: Ground },
    Postgres(Box<Cluster>),
}

impl Stand {
    /// Starts a host, opens the courses of the load, writes so many orders into the stores while it is stopped, and
    /// starts it again.
    pub(crate) fn with_orders(database: Database, orders: u64) -> Result<Self> {
        match database {
            Database::Sqlite => {
                let ground = Ground::try_new()?;
                let options = || Options::new().variable("demo_courses", false).process();
                let host = Host::try_start(&ground, options())?;
                settle(&host)?;
                host.stop();
                generate::write(ground.state(), orders)?;
                Ok(Self::Sqlite { host: Host::try_start(&ground, options())?, ground })
            }
            Database::Postgres => {
                let mut cluster = Cluster::start(Shape::of(1).variable("demo_courses", false))?;
                settle(&cluster)?;
                cluster.while_stopped(|state| generate::write(state, orders))?;
                Ok(Self::Postgres(Box::new(cluster)))
            }
        }
    }

    /// The host itself.
    pub(crate) fn api(&self) -> Result<Api> {
        match self {
            Self::Sqlite { host, .. } => Ok(Api::new(host.address())),
            Self::Postgres(cluster) => cluster.hosts().into_iter().next().context("there is no host"),
        }
    }

    fn processes(&mut self) -> Result<[u32; 2]> {
        match self {
            Self::Sqlite { host, ground } => Ok([host.process_id(), ground.redis_process_id()]),
            Self::Postgres(cluster) => {
                let [_, redis, _] = cluster.other_process_ids();
                Ok([cluster.process_ids().into_iter().next().context("there is no host")?, redis])
            }
        }
    }

    fn database_process(&mut self) -> Option<u32> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(cluster) => {
                let [postgres, ..] = cluster.other_process_ids();
                Some(postgres)
            }
        }
    }

    /// How long the host, its Redis and its database server were on a processor so far.
    pub(crate) fn processor(&mut self) -> Result<Duration> {
        let database = self.database_process().map(time_of).unwrap_or_default();
        Ok(self.processes()?.into_iter().map(time_of).sum::<Duration>() + database)
    }

    /// The memory of the host, and that of its database server, in bytes.
    pub(crate) fn memory(&mut self) -> Result<(u64, Option<u64>)> {
        let [host, _] = self.processes()?;
        Ok((memory_of(host), self.database_process().map(memory_of)))
    }
}

/// Opens the courses, and waits until their first orders are where they belong.
fn settle(api: &Api) -> Result<()> {
    let applicants = Applicants::open_courses(api)?;
    applicants
        .wait_until_seated(Duration::from_secs(60))
        .context("the first orders never had their seats")?;
    // What is sent later than a seat is given: messages, acknowledgements.
    std::thread::sleep(Duration::from_secs(3));
    Ok(())
}
