//! `setup`: what the other commands need and a fresh machine may lack.
//!
//! Nothing is installed that is already there, and nothing behind the user's back: where we may not
//! install (no root, no package manager we know), the exact command is printed instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::{balancer, browser, redis_server, registry_server, workspace};

/// Install what is missing: the WebAssembly target, redis-server, PostgreSQL, and what only tests need.
///
/// Adds the target with rustup, and the rest with the distribution's package manager where that needs no password;
/// otherwise it says which command does it. `up`, `build` and `test` do this by themselves for what they need; this command is
/// for doing it beforehand.
#[derive(Args)]
pub struct Setup {}

impl Setup {
    /// Installs them, and says what is there now.
    pub fn run(&self) -> Result<()> {
        ensure_target()?;
        println!("target  {} is there", workspace::COMPONENT_TARGET);
        println!("redis   {}", REDIS.ensure()?.display());
        for needed in [POSTGRES, HAPROXY, SIEGE, REGISTRY, CHROMIUM, CHROMEDRIVER, KOREAN_FONT] {
            match needed.ensure() {
                Ok(found) => println!("{}: {}", needed.what, found.display()),
                Err(missing) => println!("Some commands and tests need it: {missing:#}"),
            }
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

/// A program of the distribution that a command needs.
pub struct Needed {
    /// What it is, for people.
    what: &'static str,
    /// The program or the folder of programs, where it is installed.
    find: fn() -> Option<PathBuf>,
    /// Not every distribution has it.
    package: fn(&PackageManager) -> Option<&'static str>,
    /// Where else to get it.
    see: &'static str,
}

/// The Redis or Valkey server.
pub const REDIS: Needed = Needed {
    what: "redis-server or valkey-server",
    find: redis_server::program,
    package: |manager| Some(manager.redis),
    see: "https://valkey.io/download or https://redis.io/downloads; or set REDIS_URL to a server that runs",
};

/// The folder of PostgreSQL's programs.
pub const POSTGRES: Needed = Needed {
    what: "PostgreSQL (its programs initdb and postgres)",
    find: servers::postgres::programs,
    package: |manager| Some(manager.postgres),
    see: "https://www.postgresql.org/download; or set DATABASE_URL to a server that runs",
};

/// The balancer before several hosts.
pub const HAPROXY: Needed = Needed {
    what: "haproxy, which several hosts are behind",
    find: balancer::program,
    package: |_| Some("haproxy"),
    see: "https://www.haproxy.org",
};

/// The load tester that the seed used.
pub const SIEGE: Needed = Needed {
    what: "siege",
    find: || workspace::find_program(&["siege"]),
    package: |_| Some("siege"),
    see: "https://www.joedog.org/siege-home",
};

/// The container registry of the tests.
pub const REGISTRY: Needed = Needed {
    what: "docker-registry or registry",
    find: registry_server::program,
    package: |manager| manager.registry,
    see: "https://distribution.github.io/distribution",
};

/// The library by which the chaos suite sets the clock of one program wrong.
pub const FAKETIME: Needed = Needed {
    what: "libfaketime",
    find: faketime,
    package: |manager| (manager.program == "apt-get").then_some("libfaketime"),
    see: "https://github.com/wolfcw/libfaketime",
};

/// The browser that the tests look at pages with.
pub const CHROMIUM: Needed = Needed {
    what: "chromium",
    find: browser::program,
    package: |_| Some("chromium"),
    see: "https://www.chromium.org",
};

/// What drives it.
pub const CHROMEDRIVER: Needed = Needed {
    what: "chromedriver",
    find: browser::driver,
    package: |manager| (manager.program == "apt-get").then_some("chromium-driver"),
    see: "https://developer.chrome.com/docs/chromedriver",
};

/// Without it pictures of pages have boxes in the place of Korean letters.
pub const KOREAN_FONT: Needed = Needed {
    what: "Noto Sans CJK, a font with Korean letters",
    find: korean_font,
    package: |manager| (manager.program == "apt-get").then_some("fonts-noto-cjk"),
    see: "https://github.com/notofonts/noto-cjk",
};

impl Needed {
    /// Where it is, if it is installed.
    #[must_use]
    pub fn found(&self) -> Option<PathBuf> {
        (self.find)()
    }

    /// Where it is; installed first where it is missing and we may.
    pub fn ensure(&self) -> Result<PathBuf> {
        if let Some(found) = self.found() {
            return Ok(found);
        }
        let Some((manager, package)) = self.package() else { bail!("{}", self.how_to_get()) };
        let Some(privilege) = Privilege::without_password(manager) else { bail!("{}", self.how_to_get()) };
        privilege.install(manager, package)?;
        self.found().ok_or_else(|| anyhow::anyhow!("{package} is installed, but {} is not there", self.what))
    }

    /// What to type for it on this machine.
    #[must_use]
    pub fn how_to_get(&self) -> String {
        let how = match self.package() {
            Some((manager, package)) => format!("`{}`", manager.what_to_type(package)),
            None => format!("see {}", self.see),
        };
        format!("There is no {}. To install it: {how}.", self.what)
    }

    fn package(&self) -> Option<(&'static PackageManager, &'static str)> {
        let manager = PackageManager::of_this_machine()?;
        Some((manager, (self.package)(manager)?))
    }
}

fn korean_font() -> Option<PathBuf> {
    let font = Path::new("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc");
    font.exists().then(|| font.to_owned())
}

fn faketime() -> Option<PathBuf> {
    let libraries = ["/usr/lib", "/usr/lib64"].map(Path::new);
    let folders = libraries.iter().filter_map(|library| std::fs::read_dir(library).ok()).flatten().flatten();
    let folders = folders.map(|entry| entry.path()).chain(libraries.map(Path::to_owned));
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// A distribution's package manager, and what it calls a Redis and a PostgreSQL.
struct PackageManager {
    program: &'static str,
    /// A step that must come first, such as fetching the lists of packages.
    refresh: Option<&'static str>,
    install: &'static [&'static str],
    redis: &'static str,
    postgres: &'static str,
    /// Not every distribution has one.
    registry: Option<&'static str>,
    needs_root: bool,
}

/// What most of them have in common.
const USUAL: PackageManager = PackageManager {
    program: "",
    refresh: None,
    install: &["install"],
    redis: "valkey",
    postgres: "postgresql",
    registry: None,
    needs_root: true,
};

const PACKAGE_MANAGERS: &[PackageManager] = &[
    PackageManager {
        program: "apt-get",
        refresh: Some("update"),
        install: &["install", "--yes", "--no-install-recommends"],
        redis: "redis-server",
        registry: Some("docker-registry"),
        ..USUAL
    },
    PackageManager {
        program: "dnf",
        install: &["install", "--assumeyes"],
        postgres: "postgresql-server",
        ..USUAL
    },
    PackageManager { program: "apk", install: &["add"], registry: Some("docker-registry"), ..USUAL },
    PackageManager { program: "pacman", install: &["-S", "--noconfirm"], ..USUAL },
    PackageManager {
        program: "zypper",
        install: &["--non-interactive", "install"],
        postgres: "postgresql-server",
        ..USUAL
    },
    PackageManager { program: "brew", needs_root: false, ..USUAL },
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

    const ALL: [Needed; 6] = [REDIS, POSTGRES, HAPROXY, SIEGE, REGISTRY, FAKETIME];

    #[test]
    fn every_package_manager_ends_by_installing_its_package() {
        for manager in PACKAGE_MANAGERS {
            for package in ALL.iter().filter_map(|needed| (needed.package)(manager)) {
                let last = manager.steps(package).pop().and_then(|step| step.last().copied());
                assert_eq!(last, Some(package), "{}", manager.program);
            }
        }
    }

    #[test]
    fn what_to_type_names_a_command_or_a_place() {
        for needed in ALL {
            let how = needed.how_to_get();
            assert!(how.contains(needed.what) && (how.contains("install") || how.contains("http")), "{how}");
        }
        assert!(how_to_get_target().contains("rustup target add wasm32-wasip2"));
    }
}
