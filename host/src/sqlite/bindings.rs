//! What the interface text makes of `spin:sqlite`.
#![expect(missing_docs, reason = "generated from the interface text")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "sugang:host/sqlite",
    imports: { default: async | trappable },
    with: { "spin:sqlite/sqlite.connection": crate::sqlite::Session },
});
