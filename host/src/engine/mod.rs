//! The engine: how component code is compiled, how much of it may run, and for how long.

mod cache;
mod limits;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use wasmtime::{
    Config, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig, ProfilingStrategy,
    component::Component,
};

pub(crate) use cache::{make_private, write_whole};
pub use limits::{BusyTime, MemoryLimit};

/// How often running code is interrupted to see whether it should go on.
pub const TICK: Duration = Duration::from_millis(10);

/// Set to anything, it has `perf` find the names of components' functions, in `/tmp/perf-<process id>.map`.
const PERF_MAP_VARIABLE: &str = "SUGANG_PERF_MAP";

/// The limits within which components run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most memory one instance may have, in bytes: all its linear memories and tables together.
    pub max_memory: usize,
    /// The most instances that may exist at once.
    pub max_instances: u32,
    /// How long an instance may compute without once waiting for anything.
    pub max_busy_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_memory: 128 << 20, max_instances: 1024, max_busy_time: Duration::from_secs(2) }
    }
}

/// Compiles components and lets them run within the limits.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    cache: Option<PathBuf>,
}

impl Engine {
    /// An engine that keeps compiled code under `cache`, if given.
    pub fn new(limits: &Limits, cache: Option<PathBuf>) -> Result<Self> {
        let wasmtime = wasmtime::Engine::new(&config(limits))
            .map_err(anyhow::Error::from)
            .context("cannot set up the WebAssembly engine")?;
        let cache = cache.filter(|cache| match cache::make_private(cache) {
            Ok(()) => true,
            Err(problem) => {
                tracing::warn!("compiling everything anew: `{}` {problem:#}", cache.display());
                false
            }
        });
        start_ticking(wasmtime.weak()).context("cannot start the engine's clock")?;
        Ok(Self { wasmtime, cache })
    }

    /// The wasmtime engine.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// Compiles a component's code, or takes it from the cache.
    pub fn compile(&self, code: &Code) -> Result<Component> {
        cache::load_or_compile(&self.wasmtime, self.cache.as_deref(), code)
    }
}

/// Whether an instance could not be made only because there are as many as there may be.
pub fn is_full(error: &wasmtime::Error) -> bool {
    error.is::<wasmtime::PoolConcurrencyLimitError>()
}

/// What identifies a component's code: the SHA-256 of its bytes, in hexadecimal digits.
pub type CodeId = String;

/// A component's code, ready to be compiled.
pub struct Code {
    /// The hash of the bytes.
    pub id: CodeId,
    /// The component's binary.
    pub bytes: Vec<u8>,
}

impl Code {
    /// The code in `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        use sha2::Digest as _;
        Self { id: format!("{:x}", sha2::Sha256::digest(&bytes)), bytes }
    }
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    if std::env::var_os(PERF_MAP_VARIABLE).is_some() {
        config.profiler(ProfilingStrategy::PerfMap);
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    config
}

/// One instance is several core instances (the code, its shims, composed dependencies), and
/// needs a stack for every call that waits inside the guest. Slots cost address space only;
/// what stays resident of an unused slot is kept small, since the host idles with many of them.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let instances = limits.max_instances;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(8))
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances.saturating_mul(4))
        .max_tables_per_module(4)
        .max_memory_size(limits.max_memory)
        .max_unused_warm_slots(32)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .decommit_batch_size(16);
    pool
}

/// Advances the engine's epoch for as long as anything uses the engine: what still runs when its application is gone has
/// to be interrupted too, or it would never end. A thread of its own, because the very code that has to be interrupted
/// may be holding up the runtime's workers.
fn start_ticking(engine: EngineWeak) -> std::io::Result<()> {
    std::thread::Builder::new().name("engine-clock".to_owned()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(())
}
