//! Query parameters.

use crate::Problem;
use kernel::Invalid;
use std::str::FromStr;

/// Query parameters, decoded, in their order. Unknown ones are ignored, as Spring Data REST does.
///
/// One that is asked for and given twice, or given without a value, is refused: whichever value were taken, it could
/// widen what the other one narrows.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as it stands in a URI, without the question mark.
    pub fn parse(raw: &str) -> Self {
        Self(form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    /// A parameter as it was given, which may be empty.
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, Invalid> {
        let mut values = self.0.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(Invalid::new(name, "is given more than once"));
        }
        Ok(value)
    }

    /// What `T` makes of a parameter; 422 naming the parameter if it is not one.
    pub fn parse_as<T: FromStr<Err = Invalid>>(&self, name: &'static str) -> Result<Option<T>, Problem> {
        let parsed = self.get(name).and_then(|value| value.map(str::parse).transpose());
        parsed.map_err(|refused| Invalid { field: name, ..refused }.into())
    }

    /// What `T` makes of a parameter that must be there.
    pub fn required<T: FromStr<Err = Invalid>>(&self, name: &'static str) -> Result<T, Problem> {
        self.parse_as(name)?.ok_or_else(|| Invalid::new(name, "is required").into())
    }

    /// The query as it stands in a URI, without the question mark.
    pub fn encoded(&self) -> String {
        self.replaced(&[])
    }

    /// The same query with one parameter in place of another, encoded.
    pub fn with(&self, name: &str, value: u64) -> String {
        self.replaced(&[(name, value)])
    }

    /// The same query with some parameters put in place of others, encoded, for links.
    pub(crate) fn replaced(&self, changes: &[(&str, u64)]) -> String {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !changes.iter().any(|(changed, _)| changed == name) {
                encoder.append_pair(name, value);
            }
        }
        for (name, value) in changes {
            encoder.append_pair(name, &value.to_string());
        }
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{OrderId, OrderStatus};

    #[test]
    fn a_parameter_is_what_its_type_makes_of_it() {
        let query = Query::parse("status=Order+Canceled&orderId=7&x=%FF");
        assert_eq!(query.parse_as::<OrderStatus>("status").unwrap(), Some(OrderStatus::OrderCanceled));
        assert_eq!(query.required::<OrderId>("orderId").unwrap().get(), 7);
        assert_eq!(query.parse_as::<OrderId>("customerId").unwrap(), None);
        assert!(query.required::<OrderId>("customerId").is_err());
        assert!(query.parse_as::<OrderId>("x").is_err());
    }

    #[test]
    fn no_parameter_is_widened_by_giving_it_again_or_empty() {
        for raw in [
            "status=",
            "status",
            "status=Ordered&status=",
            "status=Ordered&status=Ordered",
            "%73tatus=&status=Ordered",
        ] {
            let refused = Query::parse(raw).parse_as::<OrderStatus>("status").unwrap_err();
            assert!(format!("{refused:?}").contains("`status`"), "{raw}: {refused:?}");
        }
    }

    #[test]
    fn links_keep_what_is_not_replaced() {
        let query = Query::parse("a=%26&page=1&size=2");
        assert_eq!(query.replaced(&[("page", 2), ("size", 3)]), "a=%26&page=2&size=3");
        assert_eq!(query.replaced(&[]), "a=%26&page=1&size=2");
    }
}
