//! `/audit`: who did what when, by page as JSON, or as CSV to keep elsewhere.
//!
//! The CSV can be verified without this system: `docs/security.md` says how each hash is made, and `sugang audit verify` does
//! it. Every value in it is made here and holds neither a comma nor a quote.

use crate::ports::Ports;
use crate::service::Service;
use crate::store::{self, AuditFilter, Entry};
use ::store::{Page, Storage};
use hal::{Error, Paging, Problem, Query, Request, Response, StatusCode};
use journal::Tell;
use kernel::{Invalid, Timestamp};

const HEADER: &str = "position,time,actor,role,action,object,event,hash";

/// What the trail may be asked for as; JSON is what whoever does not say gets.
const OFFERS: [&[&str]; 2] =
    [&["application/hal+json", "application/json"], &["text/csv;charset=utf-8;header=present"]];

/// How many entries are read at once, and how many one CSV has at most; it says where the next begins.
const CHUNK: u64 = 1000;
const MOST_CHUNKS: u64 = 50;

/// The longest that an actor or an action may be.
const LONGEST: usize = 80;

pub(super) async fn list<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let filter = filter(&request.query)?;
    let paging = Paging::parse(&request.query, &["position"])?;
    let storage = service.storage();
    let response = if request.negotiate(&OFFERS) == 0 {
        by_page(storage, request, &filter, &paging).await?
    } else {
        csv(storage, request, &filter, paging.after.unwrap_or(0)).await?
    };
    Ok(response.header("vary", "accept"))
}

async fn by_page(
    storage: &impl Storage,
    request: &Request,
    filter: &AuditFilter,
    paging: &Paging,
) -> Result<Response, Error> {
    let entries = store::audit(storage, filter, &paging.page()).await?;
    let total = if paging.counts() { Some(store::audit_total(storage, filter).await?) } else { None };
    let last = entries.last().map(|entry| entry.position);
    Ok(paging.respond(request, "entries", &entries, total, last))
}

/// What comes after a place, as much as one answer takes.
async fn csv(
    storage: &impl Storage,
    request: &Request,
    filter: &AuditFilter,
    mut after: u64,
) -> Result<Response, Error> {
    let mut lines = format!("{HEADER}\r\n");
    for chunk in 1..=MOST_CHUNKS {
        let page = Page { limit: CHUNK, after: Some(after), ..Page::default() };
        let entries = store::audit(storage, filter, &page).await?;
        for entry in &entries {
            lines.push_str(&line(entry));
            after = entry.position;
        }
        if (entries.len() as u64) < CHUNK {
            return Ok(answered(lines));
        }
        if chunk == MOST_CHUNKS {
            break;
        }
    }
    let next = request.query.with("after", after);
    let link = format!("<{}{}?{next}>; rel=\"next\"", request.base, request.path);
    Ok(answered(lines).header("link", &link))
}

fn answered(csv: String) -> Response {
    let response = Response::of(StatusCode::OK, "text/csv; charset=utf-8", csv);
    response.header("content-disposition", "attachment; filename=\"audit.csv\"")
}

fn line(entry: &Entry) -> String {
    let Entry { position, time, actor, role, action, object, event, hash } = entry;
    let or_nothing = |value: &Option<String>| value.clone().unwrap_or_default();
    let [actor, role, event] = [actor, role, event].map(or_nothing);
    format!("{position},{time},{actor},{role},{action},{object},{event},{hash}\r\n")
}

fn filter(query: &Query) -> Result<AuditFilter, Problem> {
    Ok(AuditFilter {
        actor: text(query, "actor")?,
        action: text(query, "action")?,
        from: instant(query, "from")?,
        until: instant(query, "until")?,
    })
}

fn text(query: &Query, name: &'static str) -> Result<Option<String>, Problem> {
    let Some(text) = query.get(name)? else { return Ok(None) };
    let fits = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || Invalid::new(name, format!("must be 1 to {LONGEST} characters without spaces"));
    if fits { Ok(Some(text.to_owned())) } else { Err(wrong().into()) }
}

fn instant(query: &Query, name: &'static str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = query.get(name)? else { return Ok(None) };
    let wrong = |_| Invalid::new(name, "must be a time such as `2026-11-22T09:00:00Z`");
    Ok(Some(text.parse().map_err(wrong)?))
}
