//! A private PostgreSQL for the tests of one process: in a temporary folder, on a socket there, and gone with the process
//! however that ends.

use crate::StoreError;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Starts a server, says in which folder its socket is, and ends it when the input ends, which it does with whoever
/// holds the other side of it.
///
/// Nothing is kept, so nothing is written through to disk. Texts are sorted by a language's rules, unless a schema says
/// otherwise, as on most servers: what relies on the order of bytes is to be noticed.
const SCRIPT: &str = r#"set -e
PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"
folder=$(mktemp -d)
trap 'if [ -n "$server" ]; then kill -INT "$server"; wait "$server" || true; fi; rm -rf "$folder"' EXIT
initdb --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C \
    --locale-provider=icu --icu-locale=en -D "$folder/data" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
postgres -D "$folder/data" -c listen_addresses= -c unix_socket_directories="$folder" -c fsync=off \
    -c max_connections=200 >>"$folder/log" 2>&1 </dev/null &
server=$!
until pg_isready -q -h "$folder"; do
    kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.05
done
echo "$folder"
cat"#;

/// A server that runs until this is dropped, or its process ends.
pub(super) struct PostgresServer {
    folder: String,
    script: Child,
}

impl PostgresServer {
    /// The one that the tests of this process share.
    pub(super) fn shared() -> Result<&'static Self, StoreError> {
        static SHARED: OnceLock<Result<PostgresServer, StoreError>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref().map_err(StoreError::clone)
    }

    pub(super) fn start() -> Result<Self, StoreError> {
        let failed = |error: &dyn std::fmt::Display| {
            StoreError::Failure(format!(
                "no private PostgreSQL ({error}): is it installed (`apt-get install postgresql`)?"
            ))
        };
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        // It refuses to run as root.
        let mut command = Command::new(if is_root { "setpriv" } else { "sh" });
        if is_root {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        }
        command.args(["-c", SCRIPT]).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().map_err(|error| failed(&error))?;
        let mut folder = String::new();
        if let Some(output) = script.stdout.take() {
            BufReader::new(output).read_line(&mut folder).map_err(|error| failed(&error))?;
        }
        if folder.is_empty() {
            return Err(failed(&"it did not start"));
        }
        Ok(Self { folder: folder.trim_end().to_owned(), script })
    }

    /// The address of a database.
    pub(super) fn url(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.folder)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // There is nothing to be done about one that cannot be waited for.
        _ = self.script.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_gone_with_its_folder_when_it_is_dropped() {
        let server = PostgresServer::start().unwrap();
        let socket = format!("{}/.s.PGSQL.5432", server.folder);
        assert!(std::fs::exists(&socket).unwrap());
        let folder = server.folder.clone();
        drop(server);
        assert!(!std::fs::exists(folder).unwrap());
    }
}
