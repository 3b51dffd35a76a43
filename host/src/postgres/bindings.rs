//! What the interface text makes of `spin:postgres`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "sugang:host/postgres",
    imports: { default: async | trappable },
    with: {
        "spin:postgres/postgres.connection": crate::postgres::Session,
        "spin:postgres/postgres.connection-builder": crate::postgres::Builder,
    },
});
