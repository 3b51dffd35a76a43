//! An image made of a manifest and the code it names.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{
    layout::{APPLICATION, Blob, CONFIG, Descriptor, ImageManifest, MANIFEST, WASM},
    locked::LockedApplication,
};
use crate::{composition, manifest::Manifest};

/// The start of every component's binary; a core module has another version.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The moment that an image is said to be made at, as seconds since 1970 (reproducible-builds.org); without it an image says
/// nothing of that.
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// An application as one image. The same manifest and code make the same one, to the byte.
pub struct Image {
    manifest: Blob,
    config: Blob,
    layers: Vec<Blob>,
}

impl Image {
    /// The image of the manifest at `path`: a `spin.toml`, or the directory it is in.
    pub fn make(path: &Path) -> Result<Self> {
        let path = if path.is_dir() { path.join("spin.toml") } else { path.to_owned() };
        let manifest = Manifest::load(&path)?;
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        Self::of(&manifest, &text, &|source| composition::read_wasm(&base.join(source)))
    }

    fn of(manifest: &Manifest, text: &str, read: &composition::Read<'_>) -> Result<Self> {
        let mut layers: Vec<Blob> = Vec::new();
        let mut made: HashMap<String, String> = HashMap::new();
        let locked = LockedApplication::lock(text, |id| {
            let place = || format!("[component.{id}]");
            let component = manifest.components.get(id).with_context(place)?;
            ensure!(
                component.files.is_empty(),
                "{} `files` cannot be put into an image by this host; `spin registry push` can",
                place()
            );
            // Two entries of one context have the same code: it is composed once.
            let same = format!("{:?}", (&component.source, &component.dependencies));
            if let Some(digest) = made.get(&same) {
                return Ok(digest.clone());
            }
            let code = composition::composed(component, manifest, read).with_context(place)?;
            ensure!(
                code.starts_with(COMPONENT),
                "{} `{}` is not a WebAssembly component",
                place(),
                component.source.display()
            );
            let layer = Blob::new(WASM, code);
            let digest = layer.descriptor.digest.clone();
            if !layers.iter().any(|known| known.descriptor.digest == digest) {
                layers.push(layer);
            }
            made.insert(same, digest.clone());
            Ok(digest)
        })?;
        let application = Blob::new(APPLICATION, serde_json::to_vec(&locked)?);
        let config = config(&application.descriptor.digest);
        layers.push(application);
        let manifest = ImageManifest {
            annotations: annotations(manifest)?,
            config: config.descriptor.clone(),
            layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
            media_type: None,
            schema_version: 2,
        };
        Ok(Self { manifest: Blob::new(MANIFEST, serde_json::to_vec(&manifest)?), config, layers })
    }

    /// The digest by which the image is known.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.manifest.descriptor.digest
    }

    /// The manifest's own bytes.
    #[must_use]
    pub fn manifest(&self) -> &Blob {
        &self.manifest
    }

    /// Everything that the manifest names: the layers, then the configuration.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain([&self.config])
    }

    /// Writes it into a new folder, as the OCI image layout has it: what other tools copy to registries.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let place = || format!("cannot write the image to `{}`", folder.display());
        fs::create_dir(folder).with_context(place)?;
        let blobs = folder.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).with_context(place)?;
        for blob in self.blobs().chain([&self.manifest]) {
            let name = super::layout::digits(&blob.descriptor.digest)?;
            fs::write(blobs.join(name), &blob.bytes).with_context(place)?;
        }
        let Descriptor { digest, media_type, size } = &self.manifest.descriptor;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{ "mediaType": media_type, "digest": digest, "size": size }],
        });
        fs::write(folder.join("index.json"), serde_json::to_vec(&index)?).with_context(place)?;
        // Last, since it is by this file that a folder is known to be a whole image.
        fs::write(folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).with_context(place)
    }
}

/// What container tools take for the image: of no platform of theirs, and unlike that of any other application.
fn config(application: &str) -> Blob {
    let label = json!({ "com.fermyon.spin.lockedAppDigest": application });
    let text = format!(
        r#"{{"architecture":"wasm","os":"Wasip1","config":{{"Labels":{label}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    Blob::new(CONFIG, text.into_bytes())
}

fn annotations(manifest: &Manifest) -> Result<BTreeMap<String, String>> {
    let told = [
        ("title", manifest.name.clone()),
        ("version", manifest.version.clone()),
        ("description", manifest.description.clone()),
        ("created", created(std::env::var(EPOCH_VARIABLE).ok().as_deref())?),
    ];
    let told = told.into_iter().filter(|(_, text)| !text.is_empty());
    Ok(told.map(|(name, text)| (format!("org.opencontainers.image.{name}"), text)).collect())
}

fn created(epoch: Option<&str>) -> Result<String> {
    let Some(epoch) = epoch.filter(|epoch| !epoch.is_empty()) else { return Ok(String::new()) };
    let time = epoch.parse().ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let time = time.with_context(|| format!("{EPOCH_VARIABLE}={epoch} is not a number of seconds"))?;
    Ok(time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "spin_manifest_version = 2
        [application]
        name = 'shop'
        [[trigger.http]]
        route = '/'
        component = 'shop'
        [[trigger.http]]
        route = '/other'
        component = 'other'
        [component.shop]
        source = 'shop.wasm'
        [component.other]
        source = 'shop.wasm'";

    fn image(code: &str) -> Image {
        let code = wat::parse_str(code).unwrap();
        Image::of(&Manifest::parse(MANIFEST).unwrap(), MANIFEST, &|_| Ok(code.clone())).unwrap()
    }

    #[test]
    fn the_same_sources_make_the_same_image_and_others_another() {
        assert_eq!(image("(component)").digest(), image("(component)").digest());
        assert_ne!(image("(component)").digest(), image("(component (component))").digest());
    }

    #[test]
    fn what_two_components_share_is_one_layer() {
        let types: Vec<_> =
            image("(component)").blobs().map(|blob| blob.descriptor.media_type.clone()).collect();
        assert_eq!(types, [WASM, APPLICATION, CONFIG]);
    }

    #[test]
    fn the_configuration_is_spins_to_the_byte() {
        let expected = r#"{"architecture":"wasm","os":"Wasip1","config":{"Labels":{"com.fermyon.spin.lockedAppDigest":"sha256:0262"}},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert_eq!(config("sha256:0262").bytes, expected.as_bytes());
    }

    #[test]
    fn code_that_is_no_component_is_refused_and_so_are_files() {
        let refusal = |text: &str, code: &str| {
            let (manifest, code) = (Manifest::parse(text).unwrap(), wat::parse_str(code).unwrap());
            Image::of(&manifest, text, &|_| Ok(code.clone())).err().unwrap().to_string()
        };
        let module = refusal(MANIFEST, "(module)");
        assert!(module.contains("[component.shop] `shop.wasm` is not a WebAssembly component"), "{module}");
        let files = format!("{MANIFEST}\nfiles = [{{ source = 'a', destination = '/' }}]");
        let files = refusal(&files, "(component)");
        assert!(files.contains("[component.other] `files`"), "{files}");
    }

    #[test]
    fn a_saved_image_is_an_image_layout_and_overwrites_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("image");
        let image = image("(component)");
        image.save(&folder).unwrap();
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap();
        let digits = digest.strip_prefix("sha256:").unwrap();
        let manifest = fs::read(folder.join("blobs/sha256").join(digits)).unwrap();
        assert_eq!(super::super::layout::digest(&manifest), image.digest());
        let named: ImageManifest = serde_json::from_slice(&manifest).unwrap();
        for blob in named.layers.iter().chain([&named.config]) {
            let digits = blob.digest.strip_prefix("sha256:").unwrap();
            blob.check(&fs::read(folder.join("blobs/sha256").join(digits)).unwrap()).unwrap();
        }
        assert!(image.save(&folder).is_err());
    }

    #[test]
    fn an_image_says_when_it_was_made_only_if_it_is_told() {
        assert_eq!(created(None).unwrap(), "");
        assert_eq!(created(Some("1700000000")).unwrap(), "2023-11-14T22:13:20Z");
        assert!(created(Some("yesterday")).is_err());
    }
}
