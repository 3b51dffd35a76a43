//! What a browser loads beside a page: compressed by the build, and kept for ever under a name that changes with it.

use hal::{Request, Response, StatusCode};

/// One of them.
pub(crate) struct Asset {
    path: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
    br: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The asset at the path of a request, in the coding that is taken.
pub(crate) fn answer(request: &Request) -> Option<Response> {
    let asset = ALL.iter().find(|asset| asset.path == request.path)?;
    let (coding, body) = match request.header("accept-encoding") {
        Some(codings) if takes(codings, "br") => (Some("br"), asset.br),
        Some(codings) if takes(codings, "gzip") => (Some("gzip"), asset.gzip),
        _ => (None, asset.plain),
    };
    let response = Response::of(StatusCode::OK, asset.kind, body)
        .header("cache-control", "public, max-age=31536000, immutable")
        .header("vary", "accept-encoding")
        .header("x-content-type-options", "nosniff");
    Some(match coding {
        Some(coding) => response.header("content-encoding", coding),
        None => response,
    })
}

/// Whether `Accept-Encoding` names a coding, and not to exclude it.
fn takes(codings: &str, coding: &str) -> bool {
    codings.split(',').any(|member| {
        let mut parts = member.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let excluded = parts.any(|part| {
            part.split_once('=').is_some_and(|(key, weight)| {
                key.eq_ignore_ascii_case("q") && weight.parse::<f32>().is_ok_and(|weight| weight == 0.0)
            })
        });
        named && !excluded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hal::Method;

    fn get(path: &str, codings: &str) -> Response {
        answer(&Request::new(Method::GET, path, &[("accept-encoding", codings)], "").unwrap()).unwrap()
    }

    #[test]
    fn an_asset_comes_in_the_coding_that_is_taken_and_is_kept_for_ever() {
        let plain = get(SITE_CSS, "");
        for (codings, coding) in [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip;q=0.5, br;q=0", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("gzip;q=0.0", None),
            ("identity", None),
        ] {
            let sent = get(SITE_CSS, codings);
            assert_eq!(sent.get("content-encoding"), coding, "{codings}");
            assert!(coding.is_none() || sent.bytes().len() * 3 < plain.bytes().len());
            assert!(sent.get("cache-control").unwrap().contains("immutable"));
        }
    }

    #[test]
    fn what_a_first_view_loads_fits_on_a_slow_telephone_line() {
        let all: usize = ALL.iter().map(|asset| asset.gzip.len()).sum();
        assert!(all < 25_000, "{all} bytes");
    }
}
