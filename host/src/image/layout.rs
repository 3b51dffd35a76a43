//! What an image consists of: a manifest that names blobs by their digests, as the OCI image specification has it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The manifest of one image.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The configuration of an image.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Spin's locked application: the layer by which an image is known to be one of Spin's.
pub const APPLICATION: &str = "application/vnd.fermyon.spin.application.v1+config";

/// The code of a component.
pub const WASM: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// The same, as other tools push it.
pub const PLAIN_WASM: &str = "application/wasm";

/// The longest manifest, configuration or locked application that is read, in bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// The longest layer that is read, in bytes.
pub const MAX_LAYER: u64 = 256 << 20;

/// A manifest. The fields are in the order in which Spin writes them: sorted by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImageManifest {
    /// What people are told about the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its content.
    pub layers: Vec<Descriptor>,
    /// Its own type, where it says so.
    #[serde(default, rename = "mediaType", skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Always 2.
    #[serde(rename = "schemaVersion")]
    pub schema_version: u32,
}

/// A blob, as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// What it is.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A blob with its content.
#[derive(Clone)]
pub struct Blob {
    /// As a manifest names it.
    pub descriptor: Descriptor,
    /// What it is made of.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// The blob with this content.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let descriptor = Descriptor {
            digest: digest(&bytes),
            media_type: media_type.to_owned(),
            size: bytes.len() as u64,
        };
        Self { descriptor, bytes }
    }
}

impl Descriptor {
    /// Refuses what is not exactly what the descriptor names.
    pub fn check(&self, bytes: &[u8]) -> Result<()> {
        let (length, found) = (bytes.len() as u64, digest(bytes));
        ensure!(length == self.size, "it is {length} bytes long, but {} were promised", self.size);
        ensure!(found == self.digest, "its digest is `{found}`, but `{}` was promised", self.digest);
        Ok(())
    }
}

/// The digest by which `bytes` are named.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", sha2::Sha256::digest(bytes))
}

/// The 64 hexadecimal digits of a digest. Nothing else is taken: the digits become the name of a file.
pub fn digits(digest: &str) -> Result<&str> {
    let digits = digest.strip_prefix("sha256:").with_context(|| {
        format!("the digest `{digest}` is not supported; supported: `sha256:` and 64 digits")
    })?;
    let valid = digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    ensure!(valid, "the digest `{digest}` is not `sha256:` and 64 hexadecimal digits");
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_what_its_descriptor_names_and_nothing_else() {
        let blob = Blob::new(WASM, b"code".to_vec());
        blob.descriptor.check(b"code").unwrap();
        let refusal = |bytes: &[u8]| blob.descriptor.check(bytes).unwrap_err().to_string();
        assert!(refusal(b"codE").contains("its digest is"), "{}", refusal(b"codE"));
        assert!(refusal(b"code ").contains("5 bytes long, but 4"), "{}", refusal(b"code "));
    }

    #[test]
    fn a_digest_names_a_file_in_one_folder() {
        assert_eq!(digits(&digest(b"")).unwrap().len(), 64);
        for wrong in ["", "sha256:", "sha256:../../x", "sha512:00", &digest(b"").to_uppercase()] {
            assert!(digits(wrong).is_err(), "{wrong}");
        }
    }
}
