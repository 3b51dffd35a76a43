//! What must not be in a component that is released.

use xtask::workspace;

/// What a fault point says when it is reached (`crates/faults`).
const FAULT_POINT: &[u8] = b"fault point reached";

#[test]
fn a_released_component_has_no_fault_to_be_switched_on() {
    let components = workspace::components().expect("the components");
    assert!(components.len() >= 8, "{components:?}");
    for name in components {
        let wasm = std::fs::read(workspace::component_wasm(&name)).expect("a component that is built");
        let found = wasm.windows(FAULT_POINT.len()).any(|part| part == FAULT_POINT);
        assert!(!found, "{name} is built with fault points: `cargo xtask build` builds it without");
    }
}
