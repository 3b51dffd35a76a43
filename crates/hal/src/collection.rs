//! Collections, page by page.
//!
//! Two ways to leaf through them: by number (`page`, as Spring Data REST has it), which counts and skips; and
//! by key (`after`), which does neither and stays as fast however large the table is.

use crate::{Links, Problem, Query, Request, Response};
use kernel::{Invalid, decimal};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The size of a page where none is asked for, as in Spring Data REST.
const DEFAULT_SIZE: u64 = 20;

/// The largest page.
const MAX_SIZE: u64 = 1000;

/// The deepest row that a page number may reach; further on, use `after`.
const MAX_OFFSET: u64 = 10_000_000;

/// Which part of a collection is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The page's number, from 0.
    pub page: u64,
    /// How many to a page: 1 to 1000.
    pub size: u64,
    /// By what to sort, if asked for.
    pub sort: Option<Sort>,
    /// The key after which to begin, instead of a page's number.
    pub after: Option<u64>,
}

/// A wish for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// One of the fields that the collection can be sorted by.
    pub field: &'static str,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl Paging {
    /// Reads `page`, `size`, `sort` (`<field>` or `<field>,asc|desc`, the field one of `sortable`) and `after`;
    /// 422 naming what cannot be taken.
    pub fn parse(query: &Query, sortable: &[&'static str]) -> Result<Self, Problem> {
        let mut refused = Vec::new();
        let mut number = |name: &'static str, least: u64, most: u64| {
            let read = query.get(name).and_then(|raw| {
                let Some(raw) = raw else { return Ok(None) };
                let read = decimal(raw).filter(|number| (least..=most).contains(number));
                let wrong = || Invalid::new(name, format!("must be an integer from {least} to {most}"));
                read.ok_or_else(wrong).map(Some)
            });
            read.unwrap_or_else(|invalid| {
                refused.push(invalid);
                None
            })
        };
        let size = number("size", 1, MAX_SIZE).unwrap_or(DEFAULT_SIZE);
        let page = number("page", 0, MAX_OFFSET / size);
        let after = number("after", 0, kernel::MAX_ID);
        let sort = query.get("sort").and_then(|raw| raw.map(|raw| Sort::parse(raw, sortable)).transpose());
        let sort = sort.unwrap_or_else(|invalid| {
            refused.push(invalid);
            None
        });
        if after.is_some() && (page.is_some() || sort.is_some()) {
            refused.push(Invalid::new("after", "goes by key, so it does not go with `page` or `sort`"));
        }
        if refused.is_empty() {
            Ok(Self { page: page.unwrap_or(0), size, sort, after })
        } else {
            Err(Problem::invalid_fields(&refused))
        }
    }

    /// The rows to read, in the order of the collection's key. Whoever lets it be sorted by another field says by which column
    /// that is.
    pub fn page(&self) -> kernel::Page {
        kernel::Page {
            limit: self.size,
            after: self.after,
            offset: if self.after.is_some() { 0 } else { self.page * self.size },
            sort: None,
            descending: self.sort.is_some_and(|sort| sort.descending),
        }
    }

    /// Whether the whole collection is to be counted: not when going by key.
    pub const fn counts(&self) -> bool {
        self.after.is_none()
    }

    /// The HAL document of one page: `items` under `_embedded.<rel>`, `page`, and links to its neighbours.
    ///
    /// `total` counts the whole collection (by number only); `last_key` is the key of the last item, from
    /// which the next page goes on.
    pub fn respond<T: Serialize>(
        &self,
        request: &Request,
        rel: &str,
        items: &[T],
        total: Option<u64>,
        last_key: Option<u64>,
    ) -> Response {
        let total = total.filter(|_| self.counts());
        let next_key = last_key.filter(|_| items.len() as u64 == self.size);
        let links = match total {
            Some(total) => self.links_by_number(request, total.div_ceil(self.size)),
            None => self.links_by_key(request, next_key),
        };
        let page = Page {
            size: self.size,
            total_elements: total,
            total_pages: total.map(|total| total.div_ceil(self.size)),
            number: total.map(|_| self.page),
        };
        Response::ok(&Collection { embedded: Embedded { rel, items }, links, page })
    }

    fn links_by_number(&self, request: &Request, pages: u64) -> Links<'static> {
        let at = |page| href(request, &[("page", page), ("size", self.size)]);
        let mut links = Links::new().with("self", href(request, &[])).with("first", at(0));
        if self.page > 0 {
            links = links.with("prev", at(self.page - 1));
        }
        if self.page + 1 < pages {
            links = links.with("next", at(self.page + 1));
        }
        links.with("last", at(pages.saturating_sub(1)))
    }

    fn links_by_key(&self, request: &Request, next: Option<u64>) -> Links<'static> {
        let links = Links::new().with("self", href(request, &[]));
        match next {
            Some(key) => links.with("next", href(request, &[("after", key), ("size", self.size)])),
            None => links,
        }
    }
}

/// The same collection with some parameters put in place of others.
fn href(request: &Request, changes: &[(&str, u64)]) -> String {
    let query = request.query.replaced(changes);
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}{}{separator}{query}", request.base, request.path)
}

#[derive(Serialize)]
struct Collection<'a, T> {
    #[serde(rename = "_embedded")]
    embedded: Embedded<'a, T>,
    #[serde(rename = "_links")]
    links: Links<'a>,
    page: Page,
}

struct Embedded<'a, T> {
    rel: &'a str,
    items: &'a [T],
}

impl<T: Serialize> Serialize for Embedded<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.rel, self.items)?;
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_elements: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_pages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
}

impl Sort {
    fn parse(raw: &str, sortable: &[&'static str]) -> Result<Self, Invalid> {
        let (field, direction) = raw.split_once(',').unwrap_or((raw, "asc"));
        let descending = match direction.to_ascii_lowercase().as_str() {
            "asc" => Some(false),
            "desc" => Some(true),
            _ => None,
        };
        let field = sortable.iter().copied().find(|known| *known == field);
        match (field, descending) {
            (Some(field), Some(descending)) => Ok(Self { field, descending }),
            _ => Err(Invalid::new(
                "sort",
                format!("must be one of {}, with `,asc` or `,desc` behind it", sortable.join(", ")),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::request;
    use serde_json::{Value, json};

    /// The page of a collection that holds `items` here and `total` in all.
    fn page(path_and_query: &str, items: &[u64], total: Option<u64>) -> Value {
        let request = request(path_and_query, &[("host", "h")]);
        let paging = Paging::parse(&request.query, &[]).unwrap();
        paging.respond(&request, "orders", items, total, items.last().copied()).json()
    }

    #[test]
    fn a_page_links_to_its_neighbours() {
        let document = page("/orders?size=2&page=1&customerId=7", &[1, 2], Some(5));
        assert_eq!(document["page"], json!({"size": 2, "totalElements": 5, "totalPages": 3, "number": 1}));
        assert_eq!(document["_links"]["next"]["href"], "http://h/orders?customerId=7&page=2&size=2");
        assert_eq!(document["_links"]["prev"]["href"], "http://h/orders?customerId=7&page=0&size=2");
        assert_eq!(document["_links"]["last"]["href"], "http://h/orders?customerId=7&page=2&size=2");
        assert_eq!(document["_links"]["self"]["href"], "http://h/orders?size=2&page=1&customerId=7");
        assert_eq!(document["_embedded"]["orders"], json!([1, 2]));
    }

    #[test]
    fn going_by_key_neither_counts_nor_skips() {
        let document = page("/orders?size=2&after=5", &[6, 7], None);
        assert_eq!(document["page"], json!({"size": 2}));
        assert_eq!(document["_links"]["next"]["href"], "http://h/orders?after=7&size=2");
        let last = page("/orders?size=2&after=5", &[8], None);
        assert!(last["_links"].get("next").is_none());
    }

    #[test]
    fn an_empty_collection_is_one_empty_page() {
        let document = page("/orders", &[], Some(0));
        assert_eq!(document["page"], json!({"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}));
        assert_eq!(document["_embedded"]["orders"], json!([]));
    }

    #[test]
    fn what_cannot_be_paged_is_refused() {
        let refused = |query: &str| Paging::parse(&Query::parse(query), &["orderId"]).is_err();
        for query in [
            "size=0",
            "size=1001",
            "size=",
            "size=2&size=2",
            "page=-1",
            "page=%2B1",
            "page=x",
            "page=",
            "sort=cardNo",
            "sort=orderId,up",
            "sort=",
            "sort=orderId&sort=orderId",
            "after=",
            "after=1&page=0",
            "after=1&sort=orderId",
        ] {
            assert!(refused(query), "{query} was taken");
        }
    }

    #[test]
    fn a_page_is_what_is_asked_for() {
        let parse = |query: &str| Paging::parse(&Query::parse(query), &["orderId"]).unwrap();
        let sorted = parse("sort=orderId,DESC&page=2&size=3");
        assert_eq!((sorted.sort.map(|sort| sort.field), sorted.counts()), (Some("orderId"), true));
        assert_eq!(
            sorted.page(),
            kernel::Page { limit: 3, offset: 6, descending: true, ..kernel::Page::default() }
        );
        let by_key = parse("after=9");
        assert_eq!(by_key.page(), kernel::Page { limit: 20, after: Some(9), ..kernel::Page::default() });
        assert!(!by_key.counts());
    }
}
