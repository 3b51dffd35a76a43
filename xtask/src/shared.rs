//! What several hosts share besides the stores: the key-value store, on their Redis.
//!
//! Where nothing is configured, each host keeps its own in a file. A breaker that only one host knows to be open would
//! protect `pay` from that host alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::redis_url::RedisUrl;
use crate::state::write_for_owner;
use crate::workspace;

/// Writes the runtime configuration of the repository to `folder`, with the key-value store `default` on this Redis, and
/// says where. The address may carry a password, so that the file is for its owner's eyes alone.
pub fn runtime_config(folder: &Path, redis_url: &RedisUrl) -> Result<PathBuf> {
    let own = workspace::runtime_config();
    let own = std::fs::read_to_string(&own).with_context(|| format!("cannot read {}", own.display()))?;
    let path = folder.join("runtime-config.toml");
    write_for_owner(&path, &with_key_values(&own, redis_url))?;
    Ok(path)
}

fn with_key_values(own: &str, redis_url: &RedisUrl) -> String {
    // A URL has neither quotes nor backslashes: they are percent-encoded.
    format!(
        "{own}\n[key_value_store.default]\ntype = \"redis\"\nurl = \"{}\"\n",
        redis_url.with_credentials()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_a_file_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let url = RedisUrl::parse("redis://:p%22w@127.0.0.1:7000/3").unwrap();
        let path = runtime_config(folder.path(), &url).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("[sqlite_database.order]"), "{text}");
        assert!(text.ends_with("type = \"redis\"\nurl = \"redis://:p%22w@127.0.0.1:7000/3\"\n"), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
