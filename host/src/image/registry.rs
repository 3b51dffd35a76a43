//! Images pushed to a registry, and pulled from it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use http::HeaderValue;
use oci_client::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};

use super::{
    Image,
    blobs::Blobs,
    credentials,
    layout::{
        APPLICATION, Blob, Descriptor, ImageManifest, MANIFEST, MAX_DOCUMENT, MAX_LAYER, PLAIN_WASM, WASM,
        digest, digits,
    },
    locked::LockedApplication,
};

/// What a registry may answer with for a manifest. What this host cannot run is asked for too, to be refused in words.
const ACCEPTED: [&str; 4] = [
    MANIFEST,
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What to do about a registry that refuses.
const NOT_LET_IN: &str = "the registry does not let us in: `auths` of ~/.docker/config.json, or of the folder in DOCKER_CONFIG, \
    says who we are";

/// How long a registry may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may be silent in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A place in a registry, and who we are there.
pub struct Registry {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
}

/// An image whose manifest and application are here; its code is pulled when it is asked for.
pub struct Pulled {
    /// The application in it.
    pub application: LockedApplication,
    /// The digest by which the image is known.
    pub digest: String,
    layers: Vec<Descriptor>,
    registry: Arc<Registry>,
    blobs: Blobs,
}

/// Whether a text that names no file is meant as an image: `registry/name:tag` or `…@sha256:…`. As in Spin, a plain name is
/// not, since Docker's own registry is meant by nobody who types `app`.
#[must_use]
pub fn looks_like_reference(text: &str) -> bool {
    let Ok(reference) = text.parse::<Reference>() else { return false };
    if reference.tag() != Some("latest") || text.ends_with(":latest") {
        return true;
    }
    !reference.registry().contains("docker") || text.contains("docker")
}

impl Registry {
    /// The place that `reference` names, with the credentials of the usual file. Where `insecure`, it is spoken to
    /// without TLS.
    pub fn open(reference: &str, insecure: bool) -> Result<Self> {
        let place = || format!("the image `{reference}`");
        let reference: Reference = reference.parse().with_context(place)?;
        let found = credentials::find(reference.resolve_registry()).with_context(place)?;
        let auth = match found {
            Some(found) => RegistryAuth::Basic(found.user, found.password),
            None => RegistryAuth::Anonymous,
        };
        // The one that the rest of the host uses. That somebody has chosen one before is no failure.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::try_from(ClientConfig {
            protocol: if insecure { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("sugang/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let client = client.context(
            "cannot speak to registries: are the certificates of authorities installed (ca-certificates)?",
        )?;
        Ok(Self { client, reference, auth })
    }

    /// Pushes an image: what the registry lacks of it, and last the manifest. Gives back what to pull it by, exactly.
    pub async fn push(&self, image: &Image) -> Result<String> {
        let reference = &self.reference;
        let place = || format!("cannot push to `{reference}`");
        ensure!(
            reference.digest().is_none() && reference.tag().is_some(),
            "`{reference}`: an image is pushed under a tag; its digest follows from its content"
        );
        self.sign_in(RegistryOperation::Push).await.with_context(place)?;
        for Blob { descriptor, bytes } in image.blobs() {
            let is_there = self.client.blob_exists(reference, &descriptor.digest).await;
            if is_there.map_err(in_words).with_context(place)? {
                continue;
            }
            tracing::info!("pushing {} ({} bytes)", descriptor.digest, descriptor.size);
            let pushed = self.client.push_blob(reference, bytes.clone(), &descriptor.digest).await;
            pushed.map_err(in_words).with_context(place)?;
        }
        let manifest = image.manifest().bytes.clone();
        let pushed =
            self.client.push_manifest_raw(reference, manifest, HeaderValue::from_static(MANIFEST)).await;
        pushed.map_err(in_words).with_context(place)?;
        Ok(format!("{}/{}@{}", reference.registry(), reference.repository(), image.digest()))
    }

    /// Pulls manifest and application. By digest, what was pulled before needs no registry.
    pub async fn pull(self, blobs: Blobs) -> Result<Pulled> {
        let place = format!("the image `{}`", self.reference);
        self.pull_application(blobs).await.context(place)
    }

    async fn pull_application(self, blobs: Blobs) -> Result<Pulled> {
        let bytes = self.manifest(&blobs).await?;
        let manifest = read_manifest(&bytes)?;
        let layer = application_layer(&manifest)?.clone();
        let digest = digest(&bytes);
        tracing::info!("running {} at {digest}", self.reference);
        let registry = Arc::new(self);
        let application = registry.blob(&layer, MAX_DOCUMENT, &blobs).await?;
        let application =
            serde_json::from_slice(&application).context("its locked application cannot be read")?;
        Ok(Pulled { application, digest, layers: manifest.layers, registry, blobs })
    }

    async fn manifest(&self, blobs: &Blobs) -> Result<Vec<u8>> {
        let wanted = self.reference.digest();
        if let Some(wanted) = wanted {
            digits(wanted)?;
            if let Some(bytes) = blobs.get(wanted) {
                return Ok(bytes);
            }
        }
        self.sign_in(RegistryOperation::Pull).await?;
        let answer = self.client.pull_manifest_raw(&self.reference, &self.auth, &ACCEPTED).await;
        let (bytes, _) = answer.map_err(in_words)?;
        if let Some(wanted) = wanted {
            let found = digest(&bytes);
            ensure!(found == wanted, "the registry answered with a manifest whose digest is `{found}`");
        }
        ensure!(bytes.len() as u64 <= MAX_DOCUMENT, "its manifest is longer than {MAX_DOCUMENT} bytes");
        blobs.put(&bytes);
        Ok(bytes.to_vec())
    }

    /// A blob of the image, from the disk or from the registry, and exactly what its descriptor names.
    async fn blob(&self, descriptor: &Descriptor, limit: u64, blobs: &Blobs) -> Result<Vec<u8>> {
        let place = || format!("the layer `{}`", descriptor.digest);
        digits(&descriptor.digest)?;
        ensure!(
            descriptor.size <= limit,
            "{} is {} bytes long; the most is {limit}",
            place(),
            descriptor.size
        );
        if let Some(bytes) = blobs.get(&descriptor.digest) {
            return Ok(bytes);
        }
        let bytes = self.fetch(descriptor).await;
        let checked = bytes.and_then(|bytes| descriptor.check(&bytes).map(|()| bytes));
        let bytes = checked.with_context(|| format!("{} was not taken", place()))?;
        blobs.put(&bytes);
        Ok(bytes)
    }

    async fn fetch(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.client.store_auth_if_needed(self.reference.resolve_registry(), &self.auth).await;
        let layer = OciDescriptor {
            digest: descriptor.digest.clone(),
            media_type: descriptor.media_type.clone(),
            size: i64::try_from(descriptor.size)?,
            ..OciDescriptor::default()
        };
        let answer = self.client.pull_blob_stream(&self.reference, &layer).await.map_err(in_words)?;
        let (mut stream, mut bytes) = (answer.stream, Vec::new());
        while let Some(part) = stream.next().await {
            bytes.extend_from_slice(&part.map_err(anyhow::Error::from)?);
            ensure!(bytes.len() as u64 <= descriptor.size, "it is longer than was promised");
        }
        Ok(bytes)
    }

    /// Asks for a token where the registry wants one. The client would do so by itself, and go on as nobody where it is
    /// refused.
    async fn sign_in(&self, operation: RegistryOperation) -> Result<()> {
        let answer = self.client.auth(&self.reference, &self.auth, operation).await;
        answer.map(drop).map_err(in_words)
    }
}

impl Pulled {
    /// The code of that digest.
    pub async fn code(&self, digest: &str) -> Result<Vec<u8>> {
        let layer = self.layers.iter().find(|layer| layer.digest == digest);
        let layer = layer
            .with_context(|| format!("the application names the layer `{digest}`, which the image lacks"))?;
        ensure!(
            [WASM, PLAIN_WASM].contains(&layer.media_type.as_str()),
            "the layer `{digest}` is of the type `{}`; a component's code is of the type `{WASM}`",
            layer.media_type
        );
        self.registry.blob(layer, MAX_LAYER, &self.blobs).await
    }
}

fn read_manifest(bytes: &[u8]) -> Result<ImageManifest> {
    let fields: serde_json::Value = serde_json::from_slice(bytes).context("its manifest is not JSON")?;
    ensure!(
        fields.get("manifests").is_none(),
        "it is an index of images, one per platform: a Spin application is one image for all; name it by its digest"
    );
    serde_json::from_value(fields).context("its manifest is not that of an OCI image")
}

fn application_layer(manifest: &ImageManifest) -> Result<&Descriptor> {
    ensure!(manifest.schema_version == 2, "its manifest is of the version {}", manifest.schema_version);
    let mut applications = manifest.layers.iter().filter(|layer| layer.media_type == APPLICATION);
    match (applications.next(), applications.next()) {
        (Some(layer), None) => Ok(layer),
        (Some(_), Some(_)) => bail!("it holds more than one Spin application"),
        (None, _) => bail!(
            "it holds no Spin application (a layer of the type `{APPLICATION}`): it is one of containers, or of another tool"
        ),
    }
}

/// Whether an answer means that we may not.
fn is_refused(status: u16) -> bool {
    matches!(status, 401 | 403)
}

/// What a registry's refusal means. Others say where they were in words of their own.
fn in_words(error: OciDistributionError) -> anyhow::Error {
    let hint = match &error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            NOT_LET_IN
        }
        OciDistributionError::ServerError { code, .. } if is_refused(*code) => NOT_LET_IN,
        OciDistributionError::RequestError(error)
            if error.status().is_some_and(|status| is_refused(status.as_u16())) =>
        {
            NOT_LET_IN
        }
        OciDistributionError::ImageManifestNotFoundError(_) => "the registry has no such image",
        OciDistributionError::RegistryError { envelope, .. }
            if envelope.errors.iter().any(|error| {
                use oci_client::errors::OciErrorCode::{ManifestUnknown, NameUnknown};
                matches!(error.code, ManifestUnknown | NameUnknown)
            }) =>
        {
            "the registry has no such image"
        }
        OciDistributionError::RequestError(_) => {
            "the registry cannot be reached (one without TLS needs --insecure)"
        }
        _ => return anyhow::Error::from(error),
    };
    anyhow::Error::from(error).context(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_told_from_the_name_of_a_file() {
        for (text, is_one) in [
            ("ghcr.io/sugang/sugang", true),
            ("127.0.0.1:5000/sugang", true),
            ("127.0.0.1:5000/sugang:v1", true),
            ("sugang:v1", true),
            ("docker.io/sugang/sugang", true),
            (
                "ghcr.io/sugang/sugang@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                true,
            ),
            ("spin.toml", false),
            ("folder/spin.toml", false),
            ("/folder/spin.toml", false),
            ("sugang", false),
            ("no such file", false),
        ] {
            assert_eq!(looks_like_reference(text), is_one, "{text}");
        }
    }

    fn refusal(manifest: &str) -> String {
        let read = read_manifest(manifest.as_bytes());
        format!("{:#}", read.and_then(|manifest| application_layer(&manifest).cloned()).unwrap_err())
    }

    #[test]
    fn what_is_no_spin_application_is_refused_in_words() {
        let config = r#""config":{"digest":"d","mediaType":"m","size":1}"#;
        let layer = |kind: &str| format!(r#"{{"digest":"d","mediaType":"{kind}","size":1}}"#);
        let image = |layers: &[&str]| {
            let layers: Vec<_> = layers.iter().map(|kind| layer(kind)).collect();
            format!(r#"{{"schemaVersion":2,{config},"layers":[{}]}}"#, layers.join(","))
        };
        for (manifest, expected) in [
            (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), "an index of images"),
            (image(&["application/vnd.oci.image.layer.v1.tar+gzip"]), "no Spin application"),
            (image(&[APPLICATION, APPLICATION]), "more than one"),
            (image(&[APPLICATION]).replace("\":2", "\":1"), "of the version 1"),
            ("[]".to_owned(), "not that of an OCI image"),
            ("<html>".to_owned(), "not JSON"),
        ] {
            assert!(refusal(&manifest).contains(expected), "{manifest}: {}", refusal(&manifest));
        }
    }
}
