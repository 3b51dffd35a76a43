//! Who may wake a context's worker over HTTP, where no Redis trigger does: whoever has the key.
//!
//! The path is no line of [`table`](crate::table), and is not in the published API: it is routed only where it is needed
//! (`deploy/functions/spin.toml`), nobody's role lets them, and it shows and changes nothing that the worker would not do by
//! itself a moment later.

use crate::Secrets;
use hal::{Error, Kind, Method, Problem, Request, Response};
use kernel::waking::{KEY_HEADER, KEY_PARAMETER, PATH, TICK};

/// Has `work` do what a worker of `context` does for a message, if that is what a request asks for; none where it is about
/// something else.
///
/// A `POST` is what a message on a Redis channel is, its body being the message. A `GET` is the tick: a scheduler of HTTP
/// requests can often say no more than a path and a query, so it may show the key there.
pub async fn wake_up(
    request: &Request,
    context: &str,
    work: impl AsyncFnOnce(&[u8]) -> anyhow::Result<()>,
) -> Result<Option<Response>, Error> {
    if request.path.strip_prefix(PATH) != Some(context) {
        return Ok(None);
    }
    let keys = settings::optional("wake_keys").await.map_err(Error::failure)?;
    let message = message(request, &Secrets::parse("wake_keys", &keys).map_err(Error::failure)?)?;
    // Apart, so that the requests that ask for something else do not carry all of a worker's state around.
    Box::pin(work(message)).await.map_err(Error::failure)?;
    Ok(Some(Response::no_content()))
}

/// What the worker is told.
fn message<'a>(request: &'a Request, keys: &Secrets) -> Result<&'a [u8], Problem> {
    if keys.first().is_none() {
        return Err(Problem::new(Kind::NOT_SET_UP)
            .detail("The variable `wake_keys` is empty, so nobody can be let in to wake this context.")
            .next("As the operator, set `wake_keys` to 22 or more visible ASCII characters."));
    }
    let message = match request.method {
        Method::POST => request.body(),
        Method::GET => TICK,
        _ => return Err(Problem::method_not_allowed(&request.method, "GET, POST")),
    };
    let shown = match request.credential(KEY_HEADER) {
        Some(key) => key,
        None => request.query.get(KEY_PARAMETER)?,
    };
    if shown.is_some_and(|key| keys.include(key)) {
        return Ok(message);
    }
    let wanted =
        format!("The header `{KEY_HEADER}`, or the parameter `{KEY_PARAMETER}`, must be one of `wake_keys`.");
    let next = "Nothing needs to be woken by hand: the application does it by itself.";
    Err(Problem::new(Kind::NOT_ALLOWED).detail(wanted).next(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a-key-to-wake-workers-with";

    fn told(method: Method, query: &str, headers: &[(&str, &str)], keys: &str) -> Result<Vec<u8>, u16> {
        let request = Request::new(method, &format!("/internal/wake/pay{query}"), headers, "event").unwrap();
        let keys = Secrets::parse("wake_keys", keys).unwrap();
        message(&request, &keys).map(<[u8]>::to_vec).map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn whoever_shows_a_key_gives_a_message_or_the_tick() {
        let keys = format!("another-key-to-wake-workers-with,{KEY}");
        assert_eq!(told(Method::POST, "", &[(KEY_HEADER, KEY)], &keys), Ok(b"event".to_vec()));
        assert_eq!(told(Method::GET, &format!("?key={KEY}"), &[], &keys), Ok(b"tick".to_vec()));
        assert_eq!(told(Method::DELETE, "", &[(KEY_HEADER, KEY)], &keys), Err(405));
    }

    #[test]
    fn whoever_shows_none_or_a_wrong_one_or_two_is_refused() {
        for headers in [vec![], vec![(KEY_HEADER, "x")], vec![(KEY_HEADER, KEY), (KEY_HEADER, KEY)]] {
            assert_eq!(told(Method::POST, "", &headers, KEY), Err(403), "{headers:?}");
        }
        assert_eq!(told(Method::GET, "?key=", &[], KEY), Err(403));
        // A header that is wrong is not made right by the query.
        assert_eq!(told(Method::GET, &format!("?key={KEY}"), &[(KEY_HEADER, "x")], KEY), Err(403));
    }

    #[test]
    fn where_there_is_no_key_nobody_is_let_in_and_it_is_said() {
        let request = Request::new(Method::POST, "/internal/wake/pay", &[(KEY_HEADER, "")], "").unwrap();
        let refused = message(&request, &Secrets::default()).unwrap_err();
        assert_eq!(refused.status(), Kind::NOT_SET_UP.status);
        let shown = Response::from(refused).json();
        assert!(shown["detail"].as_str().unwrap().contains("`wake_keys`"), "{shown}");
    }
}
