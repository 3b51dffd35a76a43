//! What components consist of: their grants, and their code, composed, compiled and linked.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use wasmtime::component::Component;

use super::source::Source;
use crate::{
    component::{Directory, Grants, LoadedComponent, Stores},
    composition,
    engine::{Code, CodeId, Engine, Limits},
    instance::linker,
    logs::Output,
    manifest::{ComponentManifest, FileMount, Manifest},
    outbound::{allowed_hosts::AllowedHosts, http::OutboundHttp},
    telemetry,
    variables::Variables,
};

/// Reads what the manifest's components consist of.
pub(super) struct Loader<'a> {
    pub(super) environment: &'a [(String, String)],
    pub(super) quiet: bool,
    pub(super) manifest: &'a Manifest,
    pub(super) source: &'a Source,
    pub(super) variables: &'a Variables,
    pub(super) stores: Stores,
    pub(super) http: Arc<OutboundHttp>,
}

impl Loader<'_> {
    fn triggered(&self) -> impl Iterator<Item = (&str, &ComponentManifest)> {
        let triggered = self.manifest.triggered_components();
        triggered
            .filter_map(|id| self.manifest.components.get_key_value(id))
            .map(|(id, component)| (id.as_str(), component))
    }

    /// What each component is granted.
    pub(super) fn grants(&self) -> Result<IndexMap<String, Grants>> {
        let place = |id: &str| format!("[component.{id}]");
        self.triggered()
            .map(|(id, component)| {
                Ok((id.to_owned(), self.grants_of(id, component).with_context(|| place(id))?))
            })
            .collect()
    }

    fn grants_of(&self, id: &str, component: &ComponentManifest) -> Result<Grants> {
        let components: Vec<String> = self.manifest.components.keys().cloned().collect();
        let allowed_hosts =
            AllowedHosts::parse(&component.allowed_outbound_hosts, self.variables, &components)?;
        self.require(id, component)?;
        let own = component.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        let asked = telemetry::asked_of_components().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Grants {
            // Of those of one name the last counts.
            environment: asked.chain(own).chain(self.environment.iter().cloned()).collect(),
            directories: component.files.iter().map(|mount| self.directory(mount)).collect::<Result<_>>()?,
            allowed_hosts: Arc::new(allowed_hosts),
            variables: self.variables.of_component(&component.variables)?,
            http: self.http.clone(),
            stores: self.stores.clone(),
            postgres: Arc::default(),
            key_value_labels: Arc::new(component.key_value_stores.iter().cloned().collect()),
            database_labels: Arc::new(component.sqlite_databases.iter().cloned().collect()),
            output: Output::new(id, self.quiet),
        })
    }

    /// Makes sure that a component can have every store it asks for.
    fn require(&self, id: &str, component: &ComponentManifest) -> Result<()> {
        self.stores.databases.require(id, component.sqlite_databases.iter().map(String::as_str))?;
        let labels = component.key_value_stores.iter().map(String::as_str);
        tokio::runtime::Handle::current().block_on(self.stores.key_value.require(id, labels))
    }

    fn directory(&self, mount: &FileMount) -> Result<Directory> {
        let host = self.source.base().join(&mount.source);
        ensure!(host.is_dir(), "files: `{}` is not a directory", host.display());
        ensure!(
            mount.destination.starts_with('/'),
            "files: the destination `{}` is not absolute",
            mount.destination
        );
        Ok(Directory { host, guest: mount.destination.clone() })
    }

    /// Each component's code, with its dependencies in it.
    pub(super) fn codes(&self) -> Result<IndexMap<String, Code>> {
        let place = |id: &str| format!("[component.{id}]");
        self.triggered()
            .map(|(id, component)| Ok((id.to_owned(), self.code_of(component).with_context(|| place(id))?)))
            .collect()
    }

    fn code_of(&self, component: &ComponentManifest) -> Result<Code> {
        Ok(Code::new(composition::composed(component, self.manifest, &|path| self.source.read(path))?))
    }
}

/// Compiles and links the components. Those with the same code share it.
pub(super) fn link(
    engine: &Engine,
    codes: IndexMap<String, Code>,
    grants: IndexMap<String, Grants>,
    limits: &Limits,
) -> Result<IndexMap<String, Arc<LoadedComponent>>> {
    let linker = linker(engine.wasmtime())?;
    let mut compiled: HashMap<CodeId, Component> = HashMap::new();
    let mut components = IndexMap::new();
    for ((id, code), grants) in codes.into_iter().zip(grants.into_values()) {
        let component = match compiled.get(&code.id) {
            Some(component) => component.clone(),
            None => engine
                .compile(&code)
                .with_context(|| format!("component `{id}`: its code cannot be compiled"))?,
        };
        compiled.insert(code.id, component.clone());
        let pre = linker
            .instantiate_pre(&component)
            .map_err(anyhow::Error::from)
            .context("the embedded host does not offer what it imports")
            .with_context(|| format!("component `{id}`"))?;
        components.insert(
            id.clone(),
            Arc::new(LoadedComponent { id: id.into(), pre, grants, limits: limits.clone() }),
        );
    }
    Ok(components)
}
