//! Who we are to a registry: what `docker login` wrote down, or what a Kubernetes Secret of the type
//! `kubernetes.io/dockerconfigjson` holds.
//!
//! The file is `config.json` in `$DOCKER_CONFIG`, else in `~/.docker`. Only what stands in it is taken (`auths`): a
//! credential helper is a program of somebody else's that hands out secrets, and is not run. Where a file leaves a
//! registry to one, that is said in words instead of asking as nobody.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use serde::Deserialize;

/// A name and a password. It has no `Debug`, so that it cannot be printed by mistake.
#[derive(PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password, or a token in its place.
    pub password: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
}

/// What the usual file says about a registry; `None` where it says nothing.
pub fn find(registry: &str) -> Result<Option<Credentials>> {
    match default_file() {
        Some(path) => find_in(&path, registry),
        None => Ok(None),
    }
}

fn default_file() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("DOCKER_CONFIG").or_else(|| variable("HOME").map(|home| home.join(".docker")))?;
    Some(folder.join("config.json"))
}

fn find_in(path: &Path, registry: &str) -> Result<Option<Credentials>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    };
    look_up(&text, registry).with_context(|| format!("in `{}`", path.display()))
}

fn look_up(text: &str, registry: &str) -> Result<Option<Credentials>> {
    // The text is full of secrets: of what is wrong in it, only the place is told.
    let config: Config = serde_json::from_str(text)
        .map_err(|error| anyhow!("line {}: not a configuration of container registries", error.line()))?;
    let is_it = |key: &str| host(key) == host(registry);
    let entry = config.auths.iter().find(|(key, _)| is_it(key)).map(|(_, entry)| entry);
    if let Some(found) = entry.map(credentials).transpose()?.flatten() {
        return Ok(Some(found));
    }
    let helper = config.cred_helpers.iter().find(|(key, _)| is_it(key)).map(|(_, helper)| helper);
    // A store of all credentials is asked only for those that the file has an empty entry for.
    let helper = helper.or_else(|| entry.and(config.creds_store.as_ref()));
    match helper {
        Some(helper) => bail!(
            "the credentials for `{registry}` are with the credential helper `{helper}`, and this host runs no helpers: \
             put `auth` under `auths`, as a Kubernetes Secret of the type kubernetes.io/dockerconfigjson has it, into a \
             config.json in a folder of its own, and name the folder in DOCKER_CONFIG"
        ),
        None => Ok(None),
    }
}

fn credentials(entry: &Entry) -> Result<Option<Credentials>> {
    if entry.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
        bail!("an `identitytoken` is not supported; supported: `auth`, or `username` and `password`");
    }
    if let (Some(user), Some(password)) = (&entry.username, &entry.password)
        && !user.is_empty()
    {
        return Ok(Some(Credentials { user: user.clone(), password: password.clone() }));
    }
    let Some(auth) = entry.auth.as_deref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
    let decoded = base64::engine::general_purpose::STANDARD.decode(auth).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.trim_end_matches('\0').split_once(':'));
    let (user, password) = pair.context("an `auth` is not `user:password` in Base64")?;
    Ok(Some(Credentials { user: user.to_owned(), password: password.to_owned() }))
}

/// The registry that a key names, which may be a URL; all names of Docker's own are one.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = key.split_once('/').map_or(key, |(host, _)| host);
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, registry: &str) -> Option<(String, String)> {
        look_up(text, registry).unwrap().map(|found| (found.user, found.password))
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", look_up(text, "ghcr.io").err().unwrap())
    }

    #[test]
    fn a_registry_is_found_however_its_key_is_written() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        // `dTpwOjEy` is `u:p:12`.
        for (text, registry, expected) in [
            (r#"{"auths":{"ghcr.io":{"auth":"dTpwOjEy"}}}"#, "ghcr.io", pair("u", "p:12")),
            (r#"{"auths":{"https://ghcr.io/v2/":{"auth":"dTpwOjEy"}}}"#, "ghcr.io", pair("u", "p:12")),
            (r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#, "docker.io", pair("u", "p")),
            (r#"{"auths":{"[::1]:5000":{"username":"a","password":"b"}}}"#, "[::1]:5000", pair("a", "b")),
            (r#"{"auths":{"ghcr.io":{"auth":"dTpw"}}}"#, "ghcr.io.example", None),
            (r#"{"auths":{"ghcr.io:444":{"auth":"dTpw"}}}"#, "ghcr.io", None),
            (r#"{"credsStore":"desktop","HttpHeaders":{}}"#, "ghcr.io", None),
            ("{}", "ghcr.io", None),
        ] {
            assert_eq!(told(text, registry), expected, "{text}");
        }
    }

    #[test]
    fn a_helper_is_not_run_but_named() {
        for text in
            [r#"{"credHelpers":{"ghcr.io":"vault"}}"#, r#"{"auths":{"ghcr.io":{}},"credsStore":"vault"}"#]
        {
            let refusal = refusal(text);
            assert!(refusal.contains("credential helper `vault`"), "{refusal}");
            assert!(refusal.contains("DOCKER_CONFIG"), "{refusal}");
        }
    }

    #[test]
    fn no_secret_is_part_of_a_refusal() {
        for text in [
            r#"{"auths":{"ghcr.io":{"auth":"hunter2"}}}"#,
            r#"{"auths":{"ghcr.io":{"auth":hunter2}}}"#,
            r#"{"auths":{"ghcr.io":{"identitytoken":"hunter2"}}}"#,
            r#"{"auths":{"ghcr.io":["hunter2"]}}"#,
        ] {
            assert!(!refusal(text).contains("hunter2"), "{}", refusal(text));
        }
    }

    #[test]
    fn a_file_that_is_not_there_says_nothing() {
        assert!(find_in(Path::new("/no/such/config.json"), "ghcr.io").unwrap().is_none());
    }
}
