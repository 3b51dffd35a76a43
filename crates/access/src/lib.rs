//! Who asks, and what they may.
//!
//! Every context lets a request through [`guard`] before it looks at its store:
//!
//! | step | what comes of it | module |
//! |---|---|---|
//! | who asks | a [`Caller`], from the request's credentials | `caller` |
//! | may such a one do this | yes, or a 401 or 403 | [`table`] |
//! | whose things | a [`Reach`]: lists are filtered by it, single things are held against it | `reach` |
//!
//! What is out of reach is answered as what is not there.
//!
//! | module | what is in it |
//! |---|---|
//! | [`token`] | access tokens: signing and verifying |
//! | `order_key` | the key of a guest's order |
//! | `secrets` | keys that change with an overlap |
//! | `sessions` | sessions that have ended before their tokens |
//! | `wake` | who may wake a worker over HTTP |
//!
//! What it deliberately does not know: stores, and what any of the things are. Why it is made so: `docs/adr/017`.

mod caller;
mod order_key;
mod reach;
mod secrets;
mod sessions;
pub mod table;
pub mod token;
mod wake;

pub use caller::{Caller, Identity, sign_in_required};
pub use kernel::Role;
pub use order_key::OrderKeys;
pub use reach::Reach;
pub use secrets::Secrets;
pub use sessions::{end_session, forget_session};
pub use wake::wake_up;

use caller::Gate;
use hal::{Error, Method, Request, Response};
use std::cell::RefCell;
use std::rc::Rc;

/// The cookie with the access token.
pub const ACCESS_COOKIE: &str = "sugang-access";

/// What the cookie with the key of a guest's order begins with; the order's number follows.
pub const ORDER_COOKIE: &str = "sugang-order-";

/// What the header with the key of a guest's order is called.
pub const ORDER_KEY: &str = "order-key";

/// What the header is called in which a context says to another for whom it asks.
pub const ON_BEHALF_OF: &str = "sugang-on-behalf-of";

thread_local! {
    static GATE: RefCell<Option<Rc<Gate>>> = const { RefCell::new(None) };
}

/// Has `handler` answer a request, if the one who asks may: with what is in their reach.
pub async fn guard(
    request: &Request,
    handler: impl AsyncFnOnce(Reach) -> Result<Response, Error>,
) -> Result<Response, Error> {
    let gate = gate().await?;
    if gate.open {
        let caller = gate.identify_if_possible(request);
        return by(Reach::open(caller), handler).await;
    }
    admit(&gate, request, handler).await
}

/// The same for what is never open: the members' own data.
pub async fn guard_always(
    request: &Request,
    handler: impl AsyncFnOnce(Reach) -> Result<Response, Error>,
) -> Result<Response, Error> {
    admit(&*gate().await?, request, handler).await
}

/// What the keys of guests' orders are made with; a problem where nothing is set to make them with.
pub async fn order_keys() -> Result<OrderKeys, Error> {
    Ok(OrderKeys::new(&gate().await?.guest_keys)?)
}

/// What a context sends to another in `authorization`; none where no keys are set, which only an open system takes.
pub async fn service_credential() -> anyhow::Result<Option<String>> {
    let keys = Secrets::parse("service_keys", &settings::optional("service_keys").await?)?;
    Ok(keys.first().map(|key| format!("Service {key}")))
}

async fn admit(
    gate: &Gate,
    request: &Request,
    handler: impl AsyncFnOnce(Reach) -> Result<Response, Error>,
) -> Result<Response, Error> {
    let segments = request.route();
    let Some(path) = table::path(&segments) else { return request.nothing_here() };
    let Some(rule) = path.rule(&request.method) else { return request.other_method(&path.methods()) };
    let caller = gate.identify(request)?;
    if let Some(session) = caller.session()
        && sessions::has_ended(session).await
    {
        return Err(caller::invalid("The session has ended.").into());
    }
    match Reach::of(rule, caller) {
        Ok(reach) => by(reach, handler).await,
        Err(problem) => Err(problem.into()),
    }
}

/// Has `handler` answer. All that is decided meanwhile is by the one who asks.
async fn by(
    reach: Reach,
    handler: impl AsyncFnOnce(Reach) -> Result<Response, Error>,
) -> Result<Response, Error> {
    let actor = reach.actor().cloned();
    kernel::actor::acting(actor, handler(reach)).await
}

/// What credentials are held against, put together once per instance.
async fn gate() -> Result<Rc<Gate>, Error> {
    if let Some(gate) = GATE.with_borrow(Clone::clone) {
        return Ok(gate);
    }
    let gate = Rc::new(read_gate().await.map_err(Error::failure)?);
    GATE.set(Some(Rc::clone(&gate)));
    Ok(gate)
}

async fn read_gate() -> anyhow::Result<Gate> {
    let open = match &*settings::text("access").await? {
        "open" => true,
        "members" => false,
        _ => anyhow::bail!("the variable `access` must be `members` or `open`"),
    };
    Ok(Gate {
        open,
        tokens: token::Keys::parse(&settings::text("token_keys").await?)?,
        guest_keys: Secrets::parse("guest_keys", &settings::text("guest_keys").await?)?,
        // Only who is called by another context has these.
        service_keys: Secrets::parse("service_keys", &settings::optional("service_keys").await?)?,
    })
}

/// Whether a request only reads.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
