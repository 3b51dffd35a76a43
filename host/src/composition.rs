//! Dependencies composed into a component at load.
//!
//! A dependency is another component's binary that satisfies imports of the first. It runs in
//! the same instance, so what it may use has to be decided here: the host interfaces behind
//! what it does not inherit are imported under another name ([`DENIED_PREFIX`]), where the host
//! answers every call with a denial.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use wac_graph::{
    CompositionGraph, EncodeOptions, NodeId, PackageId,
    types::{ItemKind, Package, SubtypeChecker},
};
use wasmtime::component::{
    Component, Linker, Val,
    types::{ComponentFunc, ComponentItem, Type},
};

use crate::manifest::{Dependency, Inherited, listed};

/// Host interfaces are imported under this package by dependencies that may not use them.
const DENIED_PREFIX: &str = "sugang:denied/";

/// Which manifest key grants what an interface does. What is not listed (clocks, randomness,
/// output, the types of HTTP) is harmless, and open to every dependency.
const GRANTED_BY: [(&str, &str); 13] = [
    ("spin:variables/variables@", "variables"),
    ("wasi:config/store@", "variables"),
    ("spin:sqlite/sqlite@", "sqlite_databases"),
    ("spin:key-value/key-value@", "key_value_stores"),
    ("wasi:keyvalue/", "key_value_stores"),
    ("spin:redis/redis@", "allowed_outbound_hosts"),
    ("wasi:http/client@", "allowed_outbound_hosts"),
    ("wasi:sockets/ip-name-lookup@", "allowed_outbound_hosts"),
    ("wasi:sockets/tcp-create-socket@", "allowed_outbound_hosts"),
    ("wasi:sockets/udp-create-socket@", "allowed_outbound_hosts"),
    ("wasi:cli/environment@", "environment"),
    ("wasi:filesystem/preopens@", "files"),
    ("fermyon:spin/llm@", "ai_models"),
];

/// A dependency with its code.
pub struct LoadedDependency<'a> {
    /// The import, or the package of imports, it satisfies.
    pub import: &'a str,
    /// What the manifest says about it.
    pub dependency: &'a Dependency,
    /// Its binary.
    pub bytes: Vec<u8>,
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
    deny(graph, dependency_package, dependency, &loaded.dependency.inherited)?;
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

/// Imports under another name what the dependency may not use. Interfaces that share a denied
/// interface's resources are denied with it.
fn deny(
    graph: &mut CompositionGraph,
    package: PackageId,
    dependency: NodeId,
    inherited: &Inherited,
) -> Result<()> {
    for (name, kind) in world(graph, package, |world| &world.imports) {
        let granted_by = GRANTED_BY.iter().find(|(interface, _)| name.starts_with(interface));
        if granted_by.is_none_or(|(_, key)| inherited.includes(key)) {
            continue;
        }
        let denied = denied_name(&name);
        let existing = graph.node_ids().find(|node| graph[*node].import_name() == Some(denied.as_str()));
        let node = match existing {
            Some(node) => node,
            None => graph.import(&denied, kind)?,
        };
        graph.set_instantiation_argument(dependency, &name, node)?;
    }
    Ok(())
}

/// `spin:sqlite/sqlite@3.1.0` is denied as `sugang:denied/spin-sqlite-sqlite@3.1.0`.
fn denied_name(interface: &str) -> String {
    format!("{DENIED_PREFIX}{}", interface.replace([':', '/'], "-"))
}

/// Answers every call to a denied interface that `component` imports with a denial.
pub fn link_denials<T: Send + 'static>(linker: &mut Linker<T>, component: &Component) -> Result<()> {
    let engine = linker.engine().clone();
    let imports = component.component_type();
    for (name, item) in imports.imports(&engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        if !name.starts_with(DENIED_PREFIX) {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (export, item) in interface.exports(&engine) {
            match item.ty {
                ComponentItem::ComponentFunc(function) => deny_function(&mut instance, export, &function)?,
                ComponentItem::Resource(_) => {
                    let denied = wasmtime::component::ResourceType::host::<Denied>();
                    instance.resource(export, denied, |_, _| Ok(()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// A resource that is never made, since whatever would make it is denied.
struct Denied;

fn deny_function<T: Send + 'static>(
    instance: &mut wasmtime::component::LinkerInstance<'_, T>,
    name: &str,
    function: &ComponentFunc,
) -> Result<()> {
    let denied = name.to_owned();
    if function.async_() {
        instance.func_new_concurrent(name, move |_, ty, _, results| {
            let denial = answer(&denied, &ty, results);
            Box::pin(async move { denial })
        })?;
    } else {
        instance.func_new(name, move |_, ty, _, results| answer(&denied, &ty, results))?;
    }
    Ok(())
}

/// Fills in a denial. A function that can neither fail nor answer with nothing traps instead.
fn answer(name: &str, function: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    for (result, ty) in results.iter_mut().zip(function.results()) {
        let Some(denial) = denial(&ty) else {
            wasmtime::bail!("access denied: `{name}` is not inherited by this dependency");
        };
        *result = denial;
    }
    Ok(())
}

/// The value of a type that says that access is denied, if it has one.
fn denial(ty: &Type) -> Option<Val> {
    match ty {
        Type::Result(result) => Some(Val::Result(Err(match result.err() {
            Some(error) => Some(Box::new(denial(&error)?)),
            None => None,
        }))),
        Type::Variant(variant) => {
            let mut cases: Vec<_> = variant.cases().collect();
            cases.sort_by_key(|case| preference(case.name));
            cases.iter().find_map(|case| match &case.ty {
                None => Some(Val::Variant(case.name.to_owned(), None)),
                Some(ty) => Some(Val::Variant(case.name.to_owned(), Some(Box::new(denial(ty)?)))),
            })
        }
        Type::String => Some(Val::String("access denied: not inherited by this dependency".to_owned())),
        Type::Option(_) => Some(Val::Option(None)),
        Type::List(_) => Some(Val::List(Vec::new())),
        _ => None,
    }
}

/// Which error says best that access is denied.
fn preference(case: &str) -> usize {
    const BEST_FIRST: [&str; 7] =
        ["access-denied", "HTTP-request-denied", "other", "provider", "upstream", "io", "internal-error"];
    BEST_FIRST.iter().position(|best| *best == case).unwrap_or(BEST_FIRST.len())
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

    /// Exports the port, and imports variables, a store and a clock.
    const DEPENDENCY: &str = r#"(component
        (import "spin:variables/variables@3.0.0" (instance
            (type $shape (variant (case "invalid-name" string) (case "undefined" string) (case "provider" string) (case "other" string)))
            (export "error" (type $error (eq $shape)))
            (export "get" (func async (param "name" string) (result (result string (error $error)))))))
        (import "spin:key-value/key-value@3.0.0" (instance
            (export "store" (type $store (sub resource)))
            (type $shape (variant (case "store-table-full") (case "no-such-store") (case "access-denied") (case "other" string)))
            (export "error" (type $error (eq $shape)))
            (export "[static]store.open" (func async (param "label" string) (result (result (own $store) (error $error)))))))
        (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64)))))
        (core module $code (func (export "f") (result i32) i32.const 7))
        (core instance $instance (instantiate $code))
        (func $f (result u32) (canon lift (core func $instance "f")))
        (instance $port (export "f" (func $f)))
        (export "t:t/port@1.0.0" (instance $port)))"#;

    fn composed(inherited: Inherited) -> Component {
        let dependency = Dependency {
            source: crate::manifest::DependencySource::Path("d.wasm".into()),
            export: None,
            inherited,
        };
        let loaded = LoadedDependency {
            import: "t:t/port",
            dependency: &dependency,
            bytes: wat::parse_str(DEPENDENCY).unwrap(),
        };
        let bytes = compose(wat::parse_str(COMPONENT).unwrap(), vec![loaded]).unwrap();
        let engine = crate::engine::Engine::new(&Default::default(), None).unwrap();
        engine.compile(&crate::engine::Code::new(bytes)).unwrap()
    }

    fn imports(component: &Component) -> Vec<String> {
        let engine = component.engine().clone();
        component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn a_dependency_uses_what_it_inherits_and_nothing_else() {
        let (variables, denied_variables) =
            ("spin:variables/variables@3.0.0", "sugang:denied/spin-variables-variables@3.0.0");
        let (store, denied_store) =
            ("spin:key-value/key-value@3.0.0", "sugang:denied/spin-key-value-key-value@3.0.0");
        for (inherited, expected) in [
            (Inherited::All, [variables, store]),
            (Inherited::Only(vec!["variables".to_owned()]), [variables, denied_store]),
            (Inherited::Only(Vec::new()), [denied_variables, denied_store]),
        ] {
            let imports = imports(&composed(inherited));
            for expected in expected {
                assert!(imports.iter().any(|import| import == expected), "{expected} in {imports:?}");
            }
            assert_eq!(imports.len(), 3, "the port is satisfied, the clock is open to all: {imports:?}");
        }
    }

    #[test]
    fn what_is_denied_is_answered_with_the_fitting_error() {
        let component = composed(Inherited::Only(Vec::new()));
        let mut denials = Vec::new();
        let engine = component.engine().clone();
        for (_, item) in component.component_type().imports(&engine) {
            let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
            for (_, item) in interface.exports(&engine) {
                if let ComponentItem::ComponentFunc(function) = item.ty {
                    denials.extend(
                        function.results().filter_map(|ty| denial(&ty)).map(|denial| format!("{denial:?}")),
                    );
                }
            }
        }
        assert!(denials.iter().any(|denial| denial.contains("access-denied")), "{denials:?}");
        assert!(
            denials.iter().any(|denial| denial.contains("\"other\"") && denial.contains("not inherited")),
            "{denials:?}"
        );
    }

    #[test]
    fn a_component_with_denied_imports_can_be_linked() {
        let component = composed(Inherited::Only(Vec::new()));
        let mut linker = crate::instance::linker(component.engine()).unwrap();
        assert!(linker.instantiate_pre(&component).is_err(), "nobody provides what is denied");
        link_denials(&mut linker, &component).unwrap();
        linker.instantiate_pre(&component).unwrap();
    }
}
