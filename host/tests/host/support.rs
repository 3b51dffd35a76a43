//! An application in a directory of its own, for tests.

use std::path::Path;

use sugang_host::{Application, Running};
use tempfile::TempDir;

/// A manifest, and the files it names.
pub(crate) struct Fixture {
    directory: TempDir,
}

impl Fixture {
    pub(crate) fn new(manifest: &str) -> Self {
        let fixture = Self { directory: tempfile::tempdir().unwrap() };
        fixture.with("spin.toml", manifest)
    }

    pub(crate) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path().join(name), content).unwrap();
        self
    }

    /// Adds a component whose HTTP handler does `body`.
    pub(crate) fn with_handler(self, name: &str, body: &str) -> Self {
        let text = include_str!("handler.wat").replace("BODY", body);
        self.with(name, wat::parse_str(text).unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn application(&self) -> Application {
        Application {
            listen: "127.0.0.1:0".parse().unwrap(),
            state_dir: Some(self.path().join("state")),
            cache_dir: Some(self.path().join("cache")),
            quiet: true,
            ..Application::new(self.path())
        }
    }

    pub(crate) async fn start(&self) -> Running {
        self.application().start().await.unwrap()
    }

    /// Why the application does not start.
    pub(crate) async fn refusal(&self) -> String {
        refusal(self.application()).await
    }
}

/// Why an application does not start.
pub(crate) async fn refusal(application: Application) -> String {
    match application.start().await {
        Ok(_) => panic!("it started"),
        Err(refusal) => format!("{refusal:#}"),
    }
}
