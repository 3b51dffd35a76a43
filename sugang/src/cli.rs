//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use operations::Timestamp;
use sugang_host::cli::Up;
use sugang_host::reuse::Span;

use crate::place::{RedisPlace, StoresPlace};

/// Runs a Spin application (manifest version 2), and looks after what Sugang keeps.
#[derive(Parser)]
#[command(name = "sugang", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `sugang` can do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Starts an application, and serves until it is interrupted
    Up(Box<Up>),
    /// Holds stores, card company and event log against each other, while the system runs
    Check(Check),
    /// Shows what could not be handled (dead letters), has it handled again, or drops it
    Events(Events),
    /// Verifies an audit trail that was exported
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
    /// Sends events again from the stores, for when Redis has lost some or all of them
    Replay(Replay),
    /// Makes a view again from the events, and swaps it with the live one while the system runs
    Rebuild {
        #[command(subcommand)]
        what: Rebuild,
    },
    /// Copies all stores of a running system as they are at one moment
    Backup(Backup),
    /// Puts a backup in the place of the stores of a system that does not run
    Restore(Restore),
    /// Prints a new set of keys for tokens, guests' orders and calls between contexts, as an environment file has them
    Keys,
    /// Says about once a second that time has passed, on the event log's Redis: what `cargo xtask up` does by itself
    Tick(RedisPlace),
    /// Moves stores of a system that does not run from SQLite to PostgreSQL
    MoveStore(MoveStore),
    /// Makes one image of an application, as Spin lays it out: for a registry, or as a folder
    Image {
        #[command(subcommand)]
        what: Image,
    },
    /// Puts a component into others, in the place of what a platform lacks
    Plug(Plug),
}

/// Puts one component into others: what it exports satisfies their imports of the same names. A component that imports none of
/// it is copied.
#[derive(Args)]
pub(crate) struct Plug {
    /// The component to put in
    #[arg(long, value_name = "WASM")]
    pub(crate) plug: PathBuf,

    /// Where to write what comes of it, under the same file names
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// The components
    #[arg(value_name = "WASM", required = true)]
    pub(crate) components: Vec<PathBuf>,
}

/// What can be done with an image. The same sources give the same digest; SOURCE_DATE_EPOCH, if it is set, is part of them.
#[derive(Subcommand)]
pub(crate) enum Image {
    /// Pushes it to a registry, and prints what to pull it by. Who we are there says ~/.docker/config.json
    Push {
        /// Where to: REGISTRY/NAME:TAG
        reference: String,

        /// The manifest, or the directory it is in
        #[arg(short = 'f', long, value_name = "PATH", default_value = "spin.toml")]
        from: PathBuf,

        /// Speak to the registry without TLS
        #[arg(short = 'k', long)]
        insecure: bool,
    },
    /// Writes it into a new folder, as the OCI image layout has it, and prints its digest
    Save {
        /// The folder to make; it must not exist yet
        #[arg(value_name = "DIR")]
        folder: PathBuf,

        /// The manifest, or the directory it is in
        #[arg(short = 'f', long, value_name = "PATH", default_value = "spin.toml")]
        from: PathBuf,
    },
}

/// Says in words where they disagree: money, seats, the waiting list, messages, the view, what is under way.
///
/// Changes nothing. Ends with 0 where all is well, 1 where something is wrong, 2 where it could not be looked.
#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) stores: StoresPlace,

    #[command(flatten)]
    pub(crate) redis: RedisPlace,

    /// What changed more recently than this may still be under way: a time (60s, 500ms). With 0 everything must
    /// have come to rest
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) grace: Span,

    /// Print all of it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The dead letters: events that a consumer group failed to handle five times, or could not read at all.
#[derive(Args)]
pub(crate) struct Events {
    #[command(subcommand)]
    pub(crate) action: Action,

    /// Only those of this group: order, pay, reservation, notification, information or member
    #[arg(long, value_name = "GROUP", global = true)]
    pub(crate) group: Option<String>,

    #[command(flatten)]
    pub(crate) redis: RedisPlace,

    /// Where `cargo xtask up` keeps its state, to find its Redis
    #[arg(long, value_name = "DIR", default_value = ".sugang", global = true)]
    pub(crate) state_dir: PathBuf,
}

/// What can be done with dead letters.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Lists them: who could not handle what, since when, and why
    List,
    /// Shows one, with its event and what can be done
    Show {
        /// As `list` shows it
        id: String,
    },
    /// Has its group handle it again
    Replay(Which),
    /// Throws it away: what should have followed from it never will
    Drop {
        #[command(flatten)]
        which: Which,

        /// Needed with --all
        #[arg(long)]
        yes: bool,
    },
}

/// One, or all.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// As `list` shows it
    pub(crate) id: Option<String>,

    /// All of them, or all of the --group
    #[arg(long)]
    pub(crate) all: bool,
}

/// Has events sent again; the relay does so with the next tick. Consumers that have seen an event change nothing when they
/// see it again, and those that have not catch up.
#[derive(Args)]
pub(crate) struct Replay {
    /// Whose events: order, pay, reservation [default: all]
    #[arg(value_name = "CONTEXT")]
    pub(crate) contexts: Vec<String>,

    /// Only those decided at this time or later, as RFC 3339: 2026-11-22T09:00:00+09:00
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,

    #[command(flatten)]
    pub(crate) stores: StoresPlace,
}

/// What can be done with an exported audit trail.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Goes along the hashes, and says where the trail ends or where it is broken. Needs no system: what is kept elsewhere can be
    /// verified there
    Verify {
        /// What `GET /audit` answered as CSV, from the first entry on; several files follow one another
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// What to make again.
#[derive(Subcommand)]
pub(crate) enum Rebuild {
    /// What `/infomations` shows. Readers see the old view until the new one is complete; whatever interrupts it
    /// leaves the old one as it was
    Information(StoresPlace),
    /// The list of orders, from the events of `order`
    Order(StoresPlace),
    /// The list of payments, from the events of `pay`
    Pay(StoresPlace),
    /// Courses, seats and reservations, from the events of `reservation`
    Reservation(StoresPlace),
    /// The list of members, from the events of `member`
    Member(StoresPlace),
}

/// Nobody waits for longer than it takes to look at each store. The copy is what a crash at that moment would have
/// left: all that was answered before is in it. The event log is not; it is made again from the stores.
#[derive(Args)]
pub(crate) struct Backup {
    /// The folder to make; it must not exist yet
    #[arg(value_name = "DIR")]
    pub(crate) target: PathBuf,

    /// Copy the stores that are on SQLite, and leave those on PostgreSQL to pg_dump
    #[arg(long)]
    pub(crate) sqlite_only: bool,

    #[command(flatten)]
    pub(crate) stores: StoresPlace,
}

/// Verifies the whole backup before it touches anything. Every event is sent again at the next start, so that the event
/// log is made again; the Redis must hold no events of Sugang.
#[derive(Args)]
pub(crate) struct Restore {
    /// The folder that `sugang backup` made
    #[arg(value_name = "DIR")]
    pub(crate) source: PathBuf,

    /// Move what is there to a folder of its own in the state directory, instead of refusing
    #[arg(long)]
    pub(crate) force: bool,

    /// Leave the sandboxes' books (gateway, inbox) as they are: what the world outside did is not undone by
    /// putting a store back
    #[arg(long)]
    pub(crate) keep_outside: bool,

    /// Put back the stores that are on SQLite, and leave those on PostgreSQL to pg_restore
    #[arg(long)]
    pub(crate) sqlite_only: bool,

    /// Do not look whether the event log is empty, for where its Redis cannot be reached
    #[arg(long)]
    pub(crate) without_redis: bool,

    #[command(flatten)]
    pub(crate) stores: StoresPlace,

    #[command(flatten)]
    pub(crate) redis: RedisPlace,
}

/// Every row is copied, read back and held against what it was, in one transaction of each database. The files stay as
/// they are. From then on the application has to be given the same addresses.
#[derive(Args)]
pub(crate) struct MoveStore {
    /// Which store: order, pay, gateway, reservation, notification, inbox or information; may be given several times.
    /// Where it is to be is its variable, as the application will have it: order_database_url, …
    #[arg(long = "label", value_name = "LABEL", required = true)]
    pub(crate) labels: Vec<String>,

    #[command(flatten)]
    pub(crate) stores: StoresPlace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn which_one_has_to_be_said_and_all_of_them_twice() {
        let parse =
            |arguments: &[&str]| Cli::try_parse_from([&["sugang", "events"], arguments].concat()).is_ok();
        assert!(parse(&["list"]) && parse(&["list", "--group", "pay"]) && parse(&["replay", "1-0"]));
        assert!(!parse(&["replay"]) && !parse(&["drop"]) && !parse(&["replay", "1-0", "--all"]));
        assert!(parse(&["drop", "--all", "--yes", "--redis", "redis://127.0.0.1:1"]));
    }
}
