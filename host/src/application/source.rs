//! Where an application comes from: a manifest and the files beside it, or an image in a registry.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Handle;

use super::Application;
use crate::{
    composition::read_wasm,
    image::{Pulled, Registry, blobs::Blobs, looks_like_reference},
    manifest::Manifest,
};

/// Where the code is that a manifest names.
pub(super) enum Source {
    /// In files, relative to this folder.
    Folder(PathBuf),
    /// In the layers of an image.
    Image(Box<Pulled>),
}

/// The folder of a manifest; the working directory where there is no such file.
pub(super) fn folder(manifest: &Path) -> PathBuf {
    match (manifest.is_dir(), manifest.exists()) {
        (true, _) => manifest.to_owned(),
        (_, true) => manifest.parent().unwrap_or(Path::new("")).to_owned(),
        _ => PathBuf::new(),
    }
}

impl Source {
    /// What the application says it is, and its manifest. `cache` keeps what is pulled.
    pub(super) fn open(application: &Application, cache: &Path) -> Result<(Self, Manifest)> {
        let path = &application.manifest;
        if !path.exists()
            && let Some(reference) = path.to_str().filter(|text| looks_like_reference(text))
        {
            return Self::pull(reference, application.insecure, cache);
        }
        ensure!(
            path.exists(),
            "`{}` is neither a file nor a directory, nor does it look like an image in a registry (REGISTRY/NAME:TAG)",
            path.display()
        );
        let file = if path.is_dir() { path.join("spin.toml") } else { path.clone() };
        Ok((Self::Folder(folder(path)), Manifest::load(&file)?))
    }

    fn pull(reference: &str, insecure: bool, cache: &Path) -> Result<(Self, Manifest)> {
        let registry = Registry::open(reference, insecure)?;
        let pulled = Handle::current().block_on(registry.pull(Blobs::open(cache)))?;
        let manifest = Manifest::from_locked(&pulled.application)
            .with_context(|| format!("in the image `{reference}`"))?;
        Ok((Self::Image(Box::new(pulled)), manifest))
    }

    /// The folder that the manifest is in; where there is none, the working directory.
    pub(super) fn base(&self) -> &Path {
        match self {
            Self::Folder(base) => base,
            Self::Image(_) => Path::new(""),
        }
    }

    /// The code that the manifest calls `name`.
    pub(super) fn read(&self, name: &Path) -> Result<Vec<u8>> {
        match self {
            Self::Folder(base) => read_wasm(&base.join(name)),
            Self::Image(image) => {
                let digest = name.to_str().context("a digest is not text")?;
                Handle::current().block_on(image.code(digest))
            }
        }
    }
}
