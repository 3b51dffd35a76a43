//! Dependencies composed into a component at load.
//!
//! A dependency is another component's binary that satisfies imports of the first. It runs in
//! the same instance, with the same grants. The manifest has to say so (`inherit_configuration = true`): keeping a
//! grant from a dependency, as Spin can, is refused by name.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use wac_graph::{
    CompositionGraph, EncodeOptions, NodeId, PackageId,
    types::{ItemKind, Package, SubtypeChecker},
};

use crate::manifest::{ComponentManifest, Dependency, DependencySource, Manifest, listed};

/// Reads the code that a manifest names.
pub type Read<'a> = dyn Fn(&Path) -> Result<Vec<u8>> + 'a;

/// A dependency with its code.
pub struct LoadedDependency<'a> {
    /// The import, or the package of imports, it satisfies.
    pub import: &'a str,
    /// What the manifest says about it.
    pub dependency: &'a Dependency,
    /// Its binary.
    pub bytes: Vec<u8>,
}

/// The code of a component of `manifest`, with its dependencies in it.
pub fn composed(component: &ComponentManifest, manifest: &Manifest, read: &Read<'_>) -> Result<Vec<u8>> {
    let bytes = read(&component.source)?;
    let mut dependencies = Vec::new();
    for (import, dependency) in &component.dependencies {
        let source = match &dependency.source {
            DependencySource::Path(path) => path,
            DependencySource::Component(id) => {
                &manifest.components.get(id).with_context(|| format!("no component `{id}`"))?.source
            }
        };
        let bytes = read(source).with_context(|| format!("dependencies: `{import}`"))?;
        dependencies.push(LoadedDependency { import, dependency, bytes });
    }
    compose(bytes, dependencies)
}

/// The binary of `component` with its dependencies composed into it.
pub fn compose(component: Vec<u8>, dependencies: Vec<LoadedDependency<'_>>) -> Result<Vec<u8>> {
    if dependencies.is_empty() {
        return Ok(component);
    }
    let mut graph = CompositionGraph::new();
    let (package, instance) = instantiate(&mut graph, "component", component)?;
    let mut satisfied: IndexMap<String, &str> = IndexMap::new();
    for (index, loaded) in dependencies.into_iter().enumerate() {
        let import = loaded.import;
        let imports = matching_imports(&graph, package, import);
        ensure!(
            !imports.is_empty(),
            "dependencies: `{import}` matches no import of the component, which imports {}",
            listed(world(&graph, package, |world| &world.imports).keys())
        );
        for name in &imports {
            if let Some(other) = satisfied.insert(name.clone(), import) {
                bail!("dependencies: `{other}` and `{import}` both satisfy the import `{name}`");
            }
        }
        satisfy(&mut graph, (package, instance), &imports, index, loaded)
            .with_context(|| format!("dependencies: `{import}`"))?;
    }
    encode(graph, package, instance)
}

/// The binary of `component`, with `plug` in it for those of its imports that `plug` exports; as it is where there are none.
pub fn plugged(component: Vec<u8>, plug: Vec<u8>) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let (package, instance) = instantiate(&mut graph, "component", component.clone())?;
    let of_plug = Package::from_bytes("plug", None, plug.clone(), graph.types_mut())?;
    let exports = graph.types()[of_plug.ty()].exports.clone();
    let imports = world(&graph, package, |world| &world.imports).into_keys();
    let imports: Vec<_> = imports.filter(|import| exports.contains_key(import)).collect();
    if imports.is_empty() {
        return Ok(component);
    }
    let dependency = Dependency { source: DependencySource::Path(PathBuf::new()), export: None };
    let loaded = LoadedDependency { import: "", dependency: &dependency, bytes: plug };
    satisfy(&mut graph, (package, instance), &imports, 0, loaded)?;
    encode(graph, package, instance)
}

/// The binary of what was put together, which exports what `instance` does.
fn encode(mut graph: CompositionGraph, package: PackageId, instance: NodeId) -> Result<Vec<u8>> {
    let exports: Vec<String> = world(&graph, package, |world| &world.exports).keys().cloned().collect();
    for name in exports {
        let export = graph.alias_instance_export(instance, &name)?;
        graph.export(export, &name)?;
    }
    graph.encode(EncodeOptions::default()).context("cannot compose the component with its dependencies")
}

fn instantiate(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<(PackageId, NodeId)> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut()).context("not a component")?;
    let package = graph.register_package(package)?;
    Ok((package, graph.instantiate(package)))
}

fn world(
    graph: &CompositionGraph,
    package: PackageId,
    side: fn(&wac_graph::types::World) -> &IndexMap<String, ItemKind>,
) -> IndexMap<String, ItemKind> {
    side(&graph.types()[graph[package].ty()]).clone()
}

/// The imports that `import` stands for: one interface, or every interface of a package.
fn matching_imports(graph: &CompositionGraph, package: PackageId, import: &str) -> Vec<String> {
    let imports = world(graph, package, |world| &world.imports);
    imports.into_keys().filter(|name| name == import || is_of_package(name, import)).collect()
}

/// Whether the interface `a:b/c@1.2.3` is one of the package `a:b` or `a:b@1.2.3`, or is
/// the interface `a:b/c`, whatever its version.
fn is_of_package(interface: &str, package: &str) -> bool {
    let (interface, version) = interface.split_once('@').unwrap_or((interface, ""));
    let (package, wanted) = package.split_once('@').unwrap_or((package, ""));
    let same = interface == package || interface.split_once('/').is_some_and(|(of, _)| of == package);
    same && package.contains(':') && (wanted.is_empty() || wanted == version)
}

/// Instantiates a dependency, and passes its exports to the component as the named imports.
fn satisfy(
    graph: &mut CompositionGraph,
    (package, instance): (PackageId, NodeId),
    imports: &[String],
    index: usize,
    loaded: LoadedDependency<'_>,
) -> Result<()> {
    let (dependency_package, dependency) = instantiate(graph, &format!("dependency-{index}"), loaded.bytes)?;
    for import in imports {
        let export = loaded.dependency.export.as_deref().unwrap_or(import);
        check_types(graph, (package, import), (dependency_package, export))?;
        let export = graph.alias_instance_export(dependency, export)?;
        graph.set_instantiation_argument(instance, import, export)?;
    }
    Ok(())
}

fn check_types(
    graph: &CompositionGraph,
    (package, import): (PackageId, &str),
    (dependency, export): (PackageId, &str),
) -> Result<()> {
    let exports = world(graph, dependency, |world| &world.exports);
    let exported = exports
        .get(export)
        .with_context(|| format!("it does not export `{export}`; it exports {}", listed(exports.keys())))?;
    let imports = world(graph, package, |world| &world.imports);
    let imported = imports.get(import).with_context(|| format!("no import `{import}`"))?;
    let mut cache = Default::default();
    SubtypeChecker::new(&mut cache)
        .is_subtype(*exported, graph.types(), *imported, graph.types())
        .with_context(|| format!("its export `{export}` has not the type of the import `{import}`"))
}

/// Reads a `.wasm` file; says which file it is that cannot be read.
pub fn read_wasm(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read the .wasm file `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_names_an_interface_or_a_package() {
        for (interface, name, expected) in [
            ("sugang:payment/gateway@1.0.0", "sugang:payment/gateway@1.0.0", true),
            ("sugang:payment/gateway@1.0.0", "sugang:payment/gateway", true),
            ("sugang:payment/gateway@1.0.0", "sugang:payment", true),
            ("sugang:payment/gateway@1.0.0", "sugang:payment@1.0.0", true),
            ("sugang:payment/gateway@1.0.0", "sugang:payment@2.0.0", false),
            ("sugang:payment/gateway@1.0.0", "sugang:pay", false),
            ("sugang:payment/gateway@1.0.0", "other:payment", false),
            ("plain-name", "plain", false),
        ] {
            assert_eq!(is_of_package(interface, name), expected, "{interface} by {name}");
        }
    }

    /// Imports a port, and exports nothing.
    const COMPONENT: &str =
        r#"(component (import "t:t/port@1.0.0" (instance (export "f" (func (result u32))))))"#;

    /// Exports the port, and imports a clock.
    const DEPENDENCY: &str = r#"(component
        (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64)))))
        (core module $code (func (export "f") (result i32) i32.const 7))
        (core instance $instance (instantiate $code))
        (func $f (result u32) (canon lift (core func $instance "f")))
        (instance $port (export "f" (func $f)))
        (export "t:t/port@1.0.0" (instance $port)))"#;

    fn imports(bytes: Vec<u8>) -> Vec<String> {
        let engine = crate::engine::Engine::new(&Default::default(), None).unwrap();
        let component = engine.compile(&crate::engine::Code::new(bytes)).unwrap();
        component.component_type().imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn a_dependency_satisfies_an_import_and_brings_its_own() {
        let source = crate::manifest::DependencySource::Path("d.wasm".into());
        let dependency = Dependency { source, export: None };
        let bytes = wat::parse_str(DEPENDENCY).unwrap();
        let loaded = LoadedDependency { import: "t:t/port", dependency: &dependency, bytes };
        let bytes = compose(wat::parse_str(COMPONENT).unwrap(), vec![loaded]).unwrap();
        assert_eq!(imports(bytes), ["wasi:clocks/monotonic-clock@0.3.0"]);
    }

    #[test]
    fn a_plug_satisfies_what_it_exports_and_leaves_a_component_alone_that_imports_nothing_of_it() {
        let plug = wat::parse_str(DEPENDENCY).unwrap();
        let bytes = plugged(wat::parse_str(COMPONENT).unwrap(), plug.clone()).unwrap();
        assert_eq!(imports(bytes), ["wasi:clocks/monotonic-clock@0.3.0"]);
        let other = wat::parse_str(COMPONENT.replace("t:t/port", "t:t/other")).unwrap();
        assert_eq!(plugged(other.clone(), plug).unwrap(), other);
    }
}
