//! Requests from, and answers to, `wasi:http`, with as few calls to the host as it takes.

use crate::header::Headers;
use crate::response::Body;
use crate::{Error, Kind, MAX_BODY, Method, Problem, Request, Response, StatusCode, answer};
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};

/// How much of a body is read at once where its length is not known.
const CHUNK: usize = 4 * 1024;

/// Reads a request, has it answered, and sends whatever comes of it. [`export!`](crate::export) calls it.
pub async fn serve(
    incoming: types::Request,
    handler: impl AsyncFnOnce(&Request) -> Result<Response, Error>,
) -> Result<types::Response, types::ErrorCode> {
    let method =
        Method::try_from(incoming.get_method()).map_err(|_| types::ErrorCode::HttpRequestMethodInvalid)?;
    let path_and_query = incoming.get_path_with_query().unwrap_or_default();
    let headers = Headers(incoming.get_headers().copy_all());
    let takes_body = matches!(method, Method::POST | Method::PUT | Method::PATCH);
    let response = match Request::without_body(method, &path_and_query, headers) {
        Ok(mut request) => {
            match if takes_body { body(incoming, &request.headers).await } else { Ok(Vec::new()) } {
                Ok(body) => {
                    request.body = body;
                    answer(&request, handler).await
                }
                Err(problem) => problem.instance(&request.path).into(),
            }
        }
        Err(problem) => problem.into(),
    };
    send(response)
}

/// A request's body: 413 for one that is too large, 400 for one that does not arrive whole.
async fn body(incoming: types::Request, headers: &Headers) -> Result<Vec<u8>, Problem> {
    let declared = headers.only("content-length").and_then(|length| length.parse::<usize>().ok());
    match declared {
        Some(0) => return Ok(Vec::new()),
        Some(length) if length > MAX_BODY => return Err(too_large()),
        _ => {}
    }
    let (_taken, taken) = wit_future::new(|| Ok(()));
    let (mut stream, end) = types::Request::consume_body(incoming, taken);
    let mut body = Vec::with_capacity(declared.unwrap_or(CHUNK));
    // What follows a body of known length is nothing, and need not be waited for.
    while Some(body.len()) != declared {
        if body.len() == body.capacity() {
            body.reserve(CHUNK);
        }
        let (result, read) = stream.read(body).await;
        body = read;
        if body.len() > MAX_BODY {
            return Err(too_large());
        }
        if !matches!(result, StreamResult::Complete(_)) {
            end.await.map_err(|error| unreadable(&error.to_string()))?;
            break;
        }
    }
    Ok(body)
}

/// Hands an answer to the host. Its body follows when this has returned.
fn send(response: Response) -> Result<types::Response, types::ErrorCode> {
    let internal = |error: types::HeaderError| types::ErrorCode::InternalError(Some(error.to_string()));
    let headers = types::Fields::from_list(&response.headers).map_err(internal)?;
    let sent = match response.body {
        Body::Empty => {
            let (_end, end) = wit_future::new(|| Ok(None));
            types::Response::new(headers, None, end).0
        }
        Body::Whole(body) => {
            let (mut writer, contents) = wit_stream::new();
            let (end_writer, end) = wit_future::new(|| Ok(None));
            spawn(async move {
                // A client that has gone away needs no more of it.
                _ = writer.write_all(body).await;
                drop(writer);
                _ = end_writer.write(Ok(None)).await;
            });
            types::Response::new(headers, Some(contents), end).0
        }
        Body::Stream(mut body) => {
            let (writer, contents, end) = BodyWriter::new();
            spawn(async move {
                // Either the client has gone away, or the host is told of the failure by the writer itself.
                _ = writer.send_http_body(&mut body).await;
            });
            types::Response::new(headers, Some(contents), end).0
        }
    };
    if response.status != StatusCode::OK {
        _ = sent.set_status_code(response.status.as_u16());
    }
    Ok(sent)
}

fn unreadable(reason: &str) -> Problem {
    Problem::new(Kind::UNREADABLE_BODY)
        .detail(format!("Reading it ended with: {reason}."))
        .next("Send the request again; nothing was stored.")
}

fn too_large() -> Problem {
    Problem::new(Kind::BODY_TOO_LARGE)
        .detail(format!("At most {MAX_BODY} bytes are read."))
        .next("Send only the fields that the API names; nothing was stored.")
}
