//! Blobs kept on disk by their digests, so that only the first start has to pull them.
//!
//! What is read is held against its digest each time: a file that is not what its name says is pulled again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::layout::{digest, digits};

/// A folder of blobs. Where it cannot be used, everything is pulled at each start, and nothing else is lost.
pub struct Blobs(Option<PathBuf>);

impl Blobs {
    /// The blobs in a folder of their own under the cache's.
    pub fn open(cache: &Path) -> Self {
        let folder = cache.join("blobs").join("sha256");
        match crate::engine::make_private(cache).and_then(|()| Ok(fs::create_dir_all(&folder)?)) {
            Ok(()) => Self(Some(folder)),
            Err(problem) => {
                tracing::warn!("pulling everything anew: `{}`: {problem:#}", cache.display());
                Self(None)
            }
        }
    }

    /// The blob of that digest, if it is there and whole.
    pub fn get(&self, wanted: &str) -> Option<Vec<u8>> {
        let path = self.0.as_ref()?.join(digits(wanted).ok()?);
        let bytes = fs::read(&path).ok()?;
        if digest(&bytes) == wanted {
            return Some(bytes);
        }
        tracing::warn!("pulling again, since `{}` is not what its name says", path.display());
        None
    }

    /// Keeps a blob, whole or not at all.
    pub fn put(&self, bytes: &[u8]) {
        let Some(folder) = &self.0 else { return };
        if let Err(problem) = put(folder, bytes) {
            tracing::warn!("cannot keep what was pulled in `{}`: {problem:#}", folder.display());
        }
    }
}

fn put(folder: &Path, bytes: &[u8]) -> Result<()> {
    let path = folder.join(digits(&digest(bytes))?);
    crate::engine::write_whole(&path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_kept_and_one_that_was_changed_is_not_given_out() {
        let cache = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&cache.path().join("cache"));
        let name = digest(b"code");
        assert_eq!(blobs.get(&name), None);
        blobs.put(b"code");
        assert_eq!(blobs.get(&name).as_deref(), Some(&b"code"[..]));
        let path = cache.path().join("cache/blobs/sha256").join(digits(&name).unwrap());
        fs::write(path, b"codE").unwrap();
        assert_eq!(blobs.get(&name), None);
        blobs.put(b"code");
        assert_eq!(blobs.get(&name).as_deref(), Some(&b"code"[..]));
    }

    #[test]
    fn a_folder_that_cannot_be_used_keeps_nothing_and_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let blobs = Blobs::open(file.path());
        blobs.put(b"code");
        assert_eq!(blobs.get(&digest(b"code")), None);
    }
}
