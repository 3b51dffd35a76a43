//! Collections, page by page.
//!
//! Two ways to leaf through them: by number (`page`, as Spring Data REST has it), which counts and skips; and
//! by key (`after`), which does neither and stays as fast however large the table is.

use crate::{Problem, Query, Request, Response, link};
use kernel::Invalid;
use serde_json::{Map, Value, json};

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
    /// Which way.
    pub direction: Direction,
}

/// Which way to sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    /// As SQL spells it.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

impl Paging {
    /// Reads `page`, `size`, `sort` (`<field>` or `<field>,asc|desc`, the field one of `sortable`) and `after`;
    /// 422 naming what cannot be taken.
    pub fn parse(query: &Query, sortable: &[&'static str]) -> Result<Self, Problem> {
        let mut refused = Vec::new();
        let mut number = |name: &'static str, least: u64, most: u64| match query.get(name) {
            None => None,
            Some(raw) => {
                let read = raw.parse().ok().filter(|n| (least..=most).contains(n));
                if read.is_none() {
                    refused.push(Invalid::new(name, format!("must be an integer from {least} to {most}")));
                }
                read
            }
        };
        let size = number("size", 1, MAX_SIZE).unwrap_or(DEFAULT_SIZE);
        let page = number("page", 0, MAX_OFFSET / size).unwrap_or(0);
        let after = number("after", 0, kernel::MAX_ID);
        let sort = match query.get("sort").map(|raw| Sort::parse(raw, sortable)) {
            None => None,
            Some(Ok(sort)) => Some(sort),
            Some(Err(invalid)) => {
                refused.push(invalid);
                None
            }
        };
        if after.is_some() && (query.get("page").is_some() || query.get("sort").is_some()) {
            refused.push(Invalid::new("after", "goes by key, so it does not go with `page` or `sort`"));
        }
        if refused.is_empty() {
            Ok(Self { page, size, sort, after })
        } else {
            Err(Problem::invalid_fields(&refused))
        }
    }

    /// How many rows to skip; none when going by key.
    pub const fn offset(&self) -> u64 {
        if self.after.is_some() { 0 } else { self.page * self.size }
    }

    /// The HAL document of one page: `items` under `_embedded.<rel>`, `page`, and links to its neighbours.
    ///
    /// `total` counts the whole collection (by number only); `last_key` is the key of the last item, from
    /// which the next page goes on.
    pub fn document(
        &self,
        request: &Request,
        rel: &str,
        items: Vec<Value>,
        total: Option<u64>,
        last_key: Option<u64>,
    ) -> Value {
        let href = |changes: &[(&str, Option<String>)]| {
            let query = request.query.replaced(changes);
            let separator = if query.is_empty() { "" } else { "?" };
            link(format!("{}{}{separator}{query}", request.base, request.path))
        };
        let mut links = Map::new();
        links.insert("self".to_owned(), href(&[]));
        let full = items.len() as u64 == self.size;
        let mut page = json!({ "size": self.size });
        match total.filter(|_| self.after.is_none()) {
            Some(total) => {
                let pages = total.div_ceil(self.size);
                let at = |number: u64| {
                    href(&[("page", Some(number.to_string())), ("size", Some(self.size.to_string()))])
                };
                page = json!({ "size": self.size, "totalElements": total, "totalPages": pages, "number": self.page });
                links.insert("first".to_owned(), at(0));
                if self.page > 0 {
                    links.insert("prev".to_owned(), at(self.page - 1));
                }
                if self.page + 1 < pages {
                    links.insert("next".to_owned(), at(self.page + 1));
                }
                links.insert("last".to_owned(), at(pages.saturating_sub(1)));
            }
            None => {
                if let Some(key) = last_key.filter(|_| full) {
                    let size = Some(self.size.to_string());
                    links
                        .insert("next".to_owned(), href(&[("after", Some(key.to_string())), ("size", size)]));
                }
            }
        }
        json!({ "_embedded": { rel: items }, "_links": links, "page": page })
    }

    /// [`Self::document`] as an answer.
    pub fn respond(
        &self,
        request: &Request,
        rel: &str,
        items: Vec<Value>,
        total: Option<u64>,
        last_key: Option<u64>,
    ) -> Response {
        Response::ok(&self.document(request, rel, items, total, last_key))
    }
}

impl Sort {
    fn parse(raw: &str, sortable: &[&'static str]) -> Result<Self, Invalid> {
        let (field, direction) = raw.split_once(',').unwrap_or((raw, "asc"));
        let direction = match direction.to_ascii_lowercase().as_str() {
            "asc" => Some(Direction::Ascending),
            "desc" => Some(Direction::Descending),
            _ => None,
        };
        let field = sortable.iter().copied().find(|known| *known == field);
        match (field, direction) {
            (Some(field), Some(direction)) => Ok(Self { field, direction }),
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

    #[test]
    fn a_page_links_to_its_neighbours() {
        let request = request("/orders?size=2&page=1&customerId=7", &[("host", "h")], "");
        let paging = Paging::parse(&request.query, &[]).unwrap();
        assert_eq!(paging.offset(), 2);
        let document = paging.document(&request, "orders", vec![json!(1), json!(2)], Some(5), Some(9));
        assert_eq!(document["page"], json!({"size": 2, "totalElements": 5, "totalPages": 3, "number": 1}));
        assert_eq!(document["_links"]["next"]["href"], "http://h/orders?customerId=7&page=2&size=2");
        assert_eq!(document["_links"]["prev"]["href"], "http://h/orders?customerId=7&page=0&size=2");
        assert_eq!(document["_links"]["last"]["href"], "http://h/orders?customerId=7&page=2&size=2");
        assert_eq!(document["_embedded"]["orders"], json!([1, 2]));
    }

    #[test]
    fn going_by_key_neither_counts_nor_skips() {
        let request = request("/orders?size=2&after=5", &[("host", "h")], "");
        let paging = Paging::parse(&request.query, &[]).unwrap();
        let document = paging.document(&request, "orders", vec![json!(6), json!(7)], None, Some(7));
        assert_eq!(document["page"], json!({"size": 2}));
        assert_eq!(document["_links"]["next"]["href"], "http://h/orders?after=7&size=2");
        let last = paging.document(&request, "orders", vec![json!(8)], None, Some(8));
        assert!(last["_links"].get("next").is_none());
    }

    #[test]
    fn an_empty_collection_is_one_empty_page() {
        let request = request("/orders", &[], "");
        let paging = Paging::parse(&request.query, &[]).unwrap();
        let document = paging.document(&request, "orders", vec![], Some(0), None);
        assert_eq!(document["page"], json!({"size": 20, "totalElements": 0, "totalPages": 0, "number": 0}));
        assert_eq!(document["_embedded"]["orders"], json!([]));
    }

    #[test]
    fn what_cannot_be_paged_is_refused() {
        for query in
            ["size=0", "size=1001", "page=-1", "page=x", "sort=cardNo", "sort=orderId,up", "after=1&page=0"]
        {
            let request = request(&format!("/orders?{query}"), &[], "");
            assert!(Paging::parse(&request.query, &["orderId"]).is_err(), "{query} was taken");
        }
        let sorted = request("/orders?sort=orderId,DESC", &[], "");
        let sort = Paging::parse(&sorted.query, &["orderId"]).unwrap().sort.unwrap();
        assert_eq!((sort.field, sort.direction.sql()), ("orderId", "DESC"));
    }
}
