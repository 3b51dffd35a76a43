//! What a component asks about its variables: `spin:variables`.

use std::{collections::BTreeMap, fmt, sync::Arc};

use wasmtime::component::{Accessor, HasData, Linker};

use super::name_problem;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "sugang:host/variables",
        imports: { default: trappable, "spin:variables/variables.get": async | store | trappable },
    });
}

use bindings::spin::variables::variables::{self, Error};

/// The variables one component sees, with their values.
#[derive(Clone, Default)]
pub struct ComponentVariables {
    values: Arc<BTreeMap<String, String>>,
}

/// Names only: any value may be a secret.
impl fmt::Debug for ComponentVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

impl ComponentVariables {
    pub(super) fn new(values: BTreeMap<String, String>) -> Self {
        Self { values: Arc::new(values) }
    }

    fn get(&self, name: &str) -> Result<String, Error> {
        if let Some(problem) = name_problem(name) {
            return Err(Error::InvalidName(format!("{name:?}: {problem}")));
        }
        let value = self.values.get(name).cloned();
        value.ok_or_else(|| Error::Undefined(format!("no variable {name:?} for this component")))
    }
}

/// An instance's view of its variables while it calls the host.
pub struct VariablesView<'a>(pub &'a ComponentVariables);

struct HasVariables;

impl HasData for HasVariables {
    type Data<'a> = VariablesView<'a>;
}

/// Offers `spin:variables` to the components of `linker`.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> VariablesView<'_>,
) -> wasmtime::Result<()> {
    variables::add_to_linker::<T, HasVariables>(linker, view)
}

impl variables::Host for VariablesView<'_> {}

impl<T: Send> variables::HostWithStore<T> for HasVariables {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(accessor.with(|mut access| access.get().0.get(&name)))
    }
}
