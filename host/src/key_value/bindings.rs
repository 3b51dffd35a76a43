//! What the interface texts make of `spin:key-value` and `wasi:keyvalue`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "sugang:host/key-value",
    imports: { default: async | trappable },
    with: {
        "spin:key-value/key-value.store": crate::key_value::Store,
        "wasi:keyvalue/store.bucket": crate::key_value::Store,
    },
});
