//! `setup`: what the other commands need and a fresh machine may lack.
//!
//! Nothing is installed that is already there, and nothing behind the user's back: where we may not
//! install (no root, no package manager we know), the exact command is printed instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::{balancer, redis_server, workspace};

/// The balancer's package, by every package manager's name for it.
const HAPROXY: &str = "haproxy";

/// Install what is missing: the WebAssembly target, redis-server, PostgreSQL.
///
/// Adds the target with rustup, and redis-server (or valkey-server) with the distribution's package
/// manager where that needs no password. Otherwise it says which command does it. The same for PostgreSQL, which only
/// `up --postgres` and tests need. `up`, `build` and `test` do this by themselves; this command is for doing it beforehand.
#[derive(Args)]
pub struct Setup {}

impl Setup {
    /// Installs them, and says what is there now.
    pub fn run(&self) -> Result<()> {
        ensure_target()?;
        println!("target  {} is there", workspace::COMPONENT_TARGET);
        let server = ensure_redis()?;
        println!("redis   {}", server.display());
        match ensure_postgres() {
            Ok(programs) => println!("postgres {}", programs.display()),
            Err(missing) => println!("postgres is not there; `up --postgres` and tests need it. {missing}"),
        }
        Ok(())
    }
}

/// Whether the compiler that cargo uses can build components.
#[must_use]
pub fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", workspace::COMPONENT_TARGET])
        .current_dir(workspace::root())
        .stderr(Stdio::null())
        .output();
    answer.is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

/// Adds the WebAssembly target where rustup can; otherwise says how to get it.
pub fn ensure_target() -> Result<()> {
    if has_target() {
        return Ok(());
    }
    let target = workspace::COMPONENT_TARGET;
    if workspace::find_program(&["rustup"]).is_none() {
        bail!("{}", how_to_get_target());
    }
    println!("adding the target {target}");
    workspace::run(Command::new("rustup").args(["target", "add", target]).current_dir(workspace::root()))?;
    if !has_target() {
        bail!("rustup added {target}, but the rustc in use does not have it. {}", how_to_get_target());
    }
    Ok(())
}

/// What to type for the WebAssembly target.
#[must_use]
pub fn how_to_get_target() -> String {
    let target = workspace::COMPONENT_TARGET;
    format!(
        "The Rust toolchain in use lacks the target {target}. With rustup (https://rustup.rs): `rustup target add {target}`, \
         in this folder. With a distribution's Rust: install its package of the standard library for {target} \
         (Fedora: `dnf install rust-std-static-{target}`, Arch: `pacman -S rust-wasm`), at least version 1.95."
    )
}

/// The Redis or Valkey server program, installed first where it is missing and we may.
pub fn ensure_redis() -> Result<PathBuf> {
    if let Some(server) = redis_server::program() {
        return Ok(server);
    }
    let Some(manager) = PackageManager::of_this_machine() else {
        bail!("{}", how_to_get_redis());
    };
    let Some(privilege) = Privilege::without_password(manager) else {
        bail!("{}", how_to_get_redis());
    };
    privilege.install(manager, manager.redis)?;
    redis_server::program().ok_or_else(|| {
        anyhow::anyhow!("{} is installed, but no redis-server or valkey-server is on the PATH", manager.redis)
    })
}

/// The folder of PostgreSQL's programs; installed first where they are missing and we may.
pub fn ensure_postgres() -> Result<PathBuf> {
    if let Some(programs) = servers::postgres::programs() {
        return Ok(programs);
    }
    let manager = PackageManager::of_this_machine();
    let Some((manager, privilege)) = manager.and_then(|it| Some((it, Privilege::without_password(it)?)))
    else {
        bail!("{}", how_to_get_postgres());
    };
    privilege.install(manager, manager.postgres)?;
    servers::postgres::programs().ok_or_else(|| {
        anyhow::anyhow!("{} is installed, but there is no initdb and postgres", manager.postgres)
    })
}

/// The library by which the chaos suite sets the clock of one program wrong, where it is installed.
#[must_use]
pub fn faketime() -> Option<PathBuf> {
    let libraries = ["/usr/lib", "/usr/lib64"].map(Path::new);
    let folders = libraries.iter().filter_map(|library| std::fs::read_dir(library).ok()).flatten().flatten();
    let folders = folders.map(|entry| entry.path()).chain(libraries.map(Path::to_owned));
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// The same, installed first where it is missing and we may. Only one kind of fault needs it, so that it is no error
/// to be without it.
#[must_use]
pub fn ensure_faketime() -> Option<PathBuf> {
    let manager = PackageManager::of_this_machine()?;
    if faketime().is_none() && manager.program == "apt-get" {
        let privilege = Privilege::without_password(manager)?;
        privilege.install(manager, "libfaketime").ok()?;
    }
    faketime()
}

/// Siege, the load tester that the seed used, installed first where it is missing and we may.
pub fn ensure_siege() -> Result<()> {
    const PACKAGE: &str = "siege";
    if workspace::find_program(&[PACKAGE]).is_some() {
        return Ok(());
    }
    let manager = PackageManager::of_this_machine();
    let Some((manager, privilege)) = manager.and_then(|it| Some((it, Privilege::without_password(it)?)))
    else {
        let how = manager.map_or_else(
            || "See https://www.joedog.org/siege-home".to_owned(),
            |manager| format!("To install it: `{}`", manager.what_to_type(PACKAGE)),
        );
        bail!("siege is not on the PATH. {how}.");
    };
    privilege.install(manager, PACKAGE)
}

/// haproxy, the balancer before several hosts, installed first where it is missing and we may.
pub fn ensure_haproxy() -> Result<PathBuf> {
    if let Some(program) = balancer::program() {
        return Ok(program);
    }
    let manager = PackageManager::of_this_machine();
    let Some((manager, privilege)) = manager.and_then(|it| Some((it, Privilege::without_password(it)?)))
    else {
        bail!("{}", how_to_get_haproxy());
    };
    privilege.install(manager, HAPROXY)?;
    balancer::program().ok_or_else(|| anyhow::anyhow!("{HAPROXY} is installed, but is not on the PATH"))
}

/// What to type for haproxy on this machine.
#[must_use]
pub fn how_to_get_haproxy() -> String {
    let how = PackageManager::of_this_machine().map_or("see https://www.haproxy.org".to_owned(), |manager| {
        format!("`{}`", manager.what_to_type(HAPROXY))
    });
    format!("haproxy, which several hosts are behind, is not there. To install it: {how}.")
}

/// What to type for redis-server on this machine.
#[must_use]
pub fn how_to_get_redis() -> String {
    let Some(manager) = PackageManager::of_this_machine() else {
        return "Neither redis-server nor valkey-server is on the PATH. Install one \
                (https://valkey.io/download or https://redis.io/downloads), or set REDIS_URL to a server that runs."
            .to_owned();
    };
    format!(
        "Neither redis-server nor valkey-server is on the PATH. To install it: `{}`. Or set REDIS_URL to a server that runs.",
        manager.what_to_type(manager.redis)
    )
}

/// What to type for PostgreSQL on this machine.
#[must_use]
pub fn how_to_get_postgres() -> String {
    let how = PackageManager::of_this_machine()
        .map_or("see https://www.postgresql.org/download".to_owned(), |manager| {
            format!("`{}`", manager.what_to_type(manager.postgres))
        });
    format!(
        "PostgreSQL's initdb and postgres are not there. To install them: {how}. Or set DATABASE_URL to a server that runs."
    )
}

/// A distribution's package manager, and what it calls a Redis and a PostgreSQL.
struct PackageManager {
    program: &'static str,
    /// A step that must come first, such as fetching the lists of packages.
    refresh: Option<&'static str>,
    install: &'static [&'static str],
    redis: &'static str,
    postgres: &'static str,
    needs_root: bool,
}

const PACKAGE_MANAGERS: &[PackageManager] = &[
    PackageManager {
        program: "apt-get",
        refresh: Some("update"),
        install: &["install", "--yes", "--no-install-recommends"],
        redis: "redis-server",
        postgres: "postgresql",
        needs_root: true,
    },
    PackageManager {
        program: "dnf",
        refresh: None,
        install: &["install", "--assumeyes"],
        redis: "valkey",
        postgres: "postgresql-server",
        needs_root: true,
    },
    PackageManager {
        program: "apk",
        refresh: None,
        install: &["add"],
        redis: "valkey",
        postgres: "postgresql",
        needs_root: true,
    },
    PackageManager {
        program: "pacman",
        refresh: None,
        install: &["-S", "--noconfirm"],
        redis: "valkey",
        postgres: "postgresql",
        needs_root: true,
    },
    PackageManager {
        program: "zypper",
        refresh: None,
        install: &["--non-interactive", "install"],
        redis: "valkey",
        postgres: "postgresql-server",
        needs_root: true,
    },
    PackageManager {
        program: "brew",
        refresh: None,
        install: &["install"],
        redis: "valkey",
        postgres: "postgresql",
        needs_root: false,
    },
];

impl PackageManager {
    fn of_this_machine() -> Option<&'static Self> {
        PACKAGE_MANAGERS.iter().find(|manager| workspace::find_program(&[manager.program]).is_some())
    }

    fn steps(&self, package: &'static str) -> Vec<Vec<&'static str>> {
        let install = self.install.iter().copied().chain([package]).collect();
        self.refresh.map(|step| vec![step]).into_iter().chain([install]).collect()
    }

    /// The same for somebody who has to type it.
    fn what_to_type(&self, package: &'static str) -> String {
        let sudo = if self.needs_root { "sudo " } else { "" };
        let steps = self.steps(package);
        let commands: Vec<_> =
            steps.iter().map(|arguments| format!("{sudo}{} {}", self.program, arguments.join(" "))).collect();
        commands.join(" && ")
    }
}

/// How we may run a package manager without asking anybody for a password.
enum Privilege {
    AsWeAre,
    Sudo,
}

impl Privilege {
    fn without_password(manager: &PackageManager) -> Option<Self> {
        if !manager.needs_root || rustix::process::geteuid().is_root() {
            return Some(Self::AsWeAre);
        }
        let sudo =
            Command::new("sudo").args(["-n", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        sudo.is_ok_and(|status| status.success()).then_some(Self::Sudo)
    }

    fn install(&self, manager: &PackageManager, package: &'static str) -> Result<()> {
        println!("installing {package} with {}", manager.program);
        for arguments in manager.steps(package) {
            workspace::run(&mut self.command(manager.program, &arguments))?;
        }
        Ok(())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = match self {
            Self::AsWeAre => Command::new(program),
            Self::Sudo => {
                let mut sudo = Command::new("sudo");
                sudo.arg("-n").arg(program);
                sudo
            }
        };
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_manager_ends_by_installing_its_package() {
        for manager in PACKAGE_MANAGERS {
            for package in [manager.redis, manager.postgres] {
                let last = manager.steps(package).pop().and_then(|step| step.last().copied());
                assert_eq!(last, Some(package), "{}", manager.program);
            }
        }
    }

    #[test]
    fn what_to_type_names_a_command_or_a_place() {
        assert!(how_to_get_redis().contains("nstall"), "{}", how_to_get_redis());
        assert!(how_to_get_postgres().contains("postgresql"), "{}", how_to_get_postgres());
        assert!(how_to_get_haproxy().contains("haproxy"), "{}", how_to_get_haproxy());
        assert!(how_to_get_target().contains("rustup target add wasm32-wasip2"));
    }
}
