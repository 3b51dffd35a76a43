//! Where the system is that an operator means: its stores, and its Redis.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use operations::{LABELS, Move, Place, Redis, Stores};
use sugang_host::cli::read_variable;
use sugang_host::runtime_config::RuntimeConfig;
use sugang_host::sqlite::Databases;
use sugang_host::variables::Sources;

/// Where the stores are. The defaults are those of `cargo xtask up`.
#[derive(Args)]
pub(crate) struct StoresPlace {
    /// Which file is behind which store
    #[arg(long, value_name = "FILE", default_value = "runtime-config.toml")]
    pub(crate) runtime_config_file: PathBuf,

    /// Where the stores are kept: what `up` was given as --state-dir, or its working directory if nothing
    #[arg(long, value_name = "DIR", default_value = ".sugang")]
    pub(crate) state_dir: PathBuf,

    /// What `up` was given for a variable, of which only the addresses of stores on PostgreSQL count:
    /// order_database_url=postgres://… An address with a password is better given by the environment's
    /// SPIN_VARIABLE_ORDER_DATABASE_URL, since others on this machine see a command line
    #[arg(long = "variable", value_name = "NAME=VALUE|NAME=@FILE")]
    pub(crate) variables: Vec<String>,
}

/// What tells where each store is.
struct Configuration {
    files: Databases,
    variables: Sources,
}

impl Configuration {
    fn file(&self, label: &str) -> Result<PathBuf> {
        let file = self.files.path(label).map(Path::to_owned);
        file.with_context(|| format!("there is no [sqlite_database.{label}]"))
    }

    /// The address of the database that the store is in; none where it is on SQLite.
    fn url(&self, label: &str) -> Option<String> {
        self.variables.value(&url_variable(label)).filter(|url| !url.is_empty())
    }
}

fn url_variable(label: &str) -> String {
    format!("{label}_database_url")
}

impl StoresPlace {
    /// The stores, all of them there.
    pub(crate) fn stores(&self) -> Result<Stores> {
        operations::ensure_restored(&self.state_dir)?;
        self.stores_to_be()
    }

    /// Where they belong: where the application has them.
    pub(crate) fn stores_to_be(&self) -> Result<Stores> {
        let configuration = self.configuration()?;
        let place = |label| match configuration.url(label) {
            Some(url) => Ok(Place::Postgres(url)),
            None => configuration.file(label).map(Place::File),
        };
        Stores::new(place).with_context(|| self.in_the_file())
    }

    /// The stores under these labels, each with the file that it is in and the address that it is to be at.
    pub(crate) fn moves(&self, labels: &[String]) -> Result<Vec<Move>> {
        operations::ensure_restored(&self.state_dir)?;
        let configuration = self.configuration()?;
        let one = |name: &String| {
            let label = LABELS.into_iter().find(|label| label == name);
            let label = label.with_context(|| {
                format!("there is no store called `{name}`; there are {}", LABELS.join(", "))
            })?;
            let url = configuration.url(label).with_context(|| {
                format!(
                    "it is not said where the store `{label}` is to be: give its address as the application will have it, \
                     --variable {0}=postgres://user:password@host:port/database (or SPIN_VARIABLE_{1})",
                    url_variable(label),
                    url_variable(label).to_uppercase()
                )
            })?;
            Ok(Move { label, file: configuration.file(label).with_context(|| self.in_the_file())?, url })
        };
        labels.iter().map(one).collect()
    }

    fn configuration(&self) -> Result<Configuration> {
        let config = RuntimeConfig::load(&self.runtime_config_file)?;
        let given = self.variables.iter().map(|variable| read_variable(variable)).collect::<Result<_>>()?;
        let state = &self.state_dir;
        let files = Databases::from_runtime_config(&config.sqlite_databases, state, state);
        let files = files.with_context(|| self.in_the_file())?;
        Ok(Configuration { files, variables: Sources { given, providers: config.providers } })
    }

    fn in_the_file(&self) -> String {
        format!("in the runtime configuration `{}`", self.runtime_config_file.display())
    }
}

/// Where the event log is.
#[derive(Args)]
pub(crate) struct RedisPlace {
    /// The event log's Redis: redis://[[user]:password@]host[:port][/database], or rediss://… for TLS. A password is
    /// better given in $REDIS_URL, since others on this machine see a command line
    /// [default: $REDIS_URL, or the one that `cargo xtask up` noted in the state directory]
    #[arg(
        long,
        value_name = "URL",
        env = "REDIS_URL",
        hide_env = true,
        hide_env_values = true,
        global = true
    )]
    redis: Option<String>,
}

impl RedisPlace {
    /// The event log's Redis, if it is known where that is. An address that is empty is none.
    pub(crate) fn find(&self, state_dir: &Path) -> Option<Redis> {
        if let Some(url) = self.redis.clone().filter(|url| !url.is_empty()) {
            return Some(Redis { url, private: false });
        }
        let port = noted(&state_dir.join("redis").join("port")).and_then(|port| port.parse::<u16>().ok());
        let own = port.map(|port| format!("redis://127.0.0.1:{port}"));
        let url = noted(&state_dir.join("redis-url")).or_else(|| own.clone())?;
        Some(Redis { private: own.as_ref() == Some(&url), url })
    }

    /// The event log's Redis, which is needed.
    pub(crate) fn required(&self, state_dir: &Path) -> Result<Redis> {
        self.find(state_dir).with_context(|| {
            format!(
                "it is not known where the event log's Redis is: give its address with --redis (there is none in $REDIS_URL, \
                 and `cargo xtask up` noted none in {})",
                state_dir.display()
            )
        })
    }
}

fn noted(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with<T>(config: &str, variables: &[&str], act: impl FnOnce(StoresPlace) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let runtime_config_file = folder.path().join("runtime-config.toml");
        fs::write(&runtime_config_file, config).unwrap();
        let variables = variables.iter().map(|variable| (*variable).to_owned()).collect();
        act(StoresPlace { runtime_config_file, state_dir: PathBuf::from("/state"), variables })
    }

    fn place(config: &str) -> Result<Stores> {
        with(config, &[], |place| place.stores_to_be())
    }

    #[test]
    fn a_store_is_on_postgresql_where_the_application_has_its_address() {
        let provided = format!(
            "{CONFIG}\n[[variables_provider]]\ntype = \"static\"\nvalues = {{ pay_database_url = \"postgres://h/p\" }}"
        );
        let variables = ["order_database_url=postgres://h/o", "pay_database_url=", "card_key=x"];
        let on_sqlite = |config: &str, variables: &[&str]| {
            let stores = with(config, variables, |place| place.stores_to_be()).unwrap();
            LABELS.map(|label| stores.path(label).is_some())
        };
        let expected = |elsewhere: &[&str]| LABELS.map(|label| !elsewhere.contains(&label));
        assert_eq!(on_sqlite(CONFIG, &variables), expected(&["order"]));
        assert_eq!(on_sqlite(&provided, &variables[..1]), expected(&["order", "pay"]));
        assert_eq!(on_sqlite(&provided, &variables), expected(&["order"]));
        // Then nobody asks for its file.
        let without = CONFIG.replace("sqlite_database.order]", "sqlite_database.other]");
        assert_eq!(on_sqlite(&without, &variables), expected(&["order"]));
    }

    #[test]
    fn a_store_is_moved_from_its_file_to_its_address_which_has_to_be_said() {
        let moves = |variables: &[&str], labels: &[&str]| {
            let labels: Vec<_> = labels.iter().map(|label| (*label).to_owned()).collect();
            with(CONFIG, variables, |place| place.moves(&labels))
        };
        let refusal = |labels: &[&str]| format!("{:#}", moves(&[], labels).err().unwrap());
        assert!(refusal(&["orders"]).contains("no store called `orders`"));
        assert!(refusal(&["order"]).contains("SPIN_VARIABLE_ORDER_DATABASE_URL"));
        let moves = moves(&["order_database_url=postgres://h/o"], &["order"]).unwrap();
        assert_eq!(moves[0].file, Path::new("/state/.spin/order.db"));
        assert_eq!((moves[0].label, &*moves[0].url), ("order", "postgres://h/o"));
    }

    const CONFIG: &str = include_str!("../../runtime-config.toml");

    #[test]
    fn the_files_are_where_the_host_puts_them() {
        let stores = place(CONFIG).unwrap();
        assert_eq!(stores.path("order"), Some(Path::new("/state/.spin/order.db")));
        assert_eq!(stores.path("default"), None);
        let stores = place(&CONFIG.replace(".spin/pay.db", "/elsewhere/pay.db")).unwrap();
        assert_eq!(stores.path("pay"), Some(Path::new("/elsewhere/pay.db")));
    }

    #[test]
    fn a_store_that_is_not_configured_is_refused_by_its_label() {
        let refusal = |config: &str| format!("{:#}", place(config).unwrap_err());
        assert!(refusal("").contains("[sqlite_database.information]"));
        let elsewhere = CONFIG.replacen("type = \"spin\"", "type = \"libsql\"", 1);
        assert!(refusal(&elsewhere).contains("[sqlite_database.order]"));
        assert!(refusal(&CONFIG.replace("pay.db", "order.db")).contains("one file"));
        let secret = refusal("[key_value_store.default]\ntype = \"redis\"\nurl = \"redis://:hunter2@h\n");
        assert!(secret.contains("line 3, column") && !secret.contains("hunter2"), "{secret}");
    }

    #[test]
    fn a_redis_is_the_private_one_only_where_nobody_named_another() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let find = |given: Option<&str>| {
            let found = RedisPlace { redis: given.map(str::to_owned) }.find(state);
            found.map(|redis| (redis.url, redis.private))
        };
        assert_eq!(find(None), None);
        assert_eq!(find(Some("")), None);
        fs::create_dir(state.join("redis")).unwrap();
        fs::write(state.join("redis").join("port"), "6400").unwrap();
        let own = "redis://127.0.0.1:6400";
        assert_eq!(find(None), Some((own.to_owned(), true)));
        fs::write(state.join("redis-url"), format!("{own}\n")).unwrap();
        assert_eq!(find(Some("")), Some((own.to_owned(), true)));
        assert_eq!(find(Some(own)), Some((own.to_owned(), false)));
        fs::write(state.join("redis-url"), "redis://elsewhere\n").unwrap();
        assert_eq!(find(None), Some(("redis://elsewhere".to_owned(), false)));
    }
}
