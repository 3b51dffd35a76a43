//! What the interface text makes of `spin:redis`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "sugang:host/redis",
    imports: { default: async | trappable },
    with: { "spin:redis/redis.connection": crate::redis_client::Session },
});
