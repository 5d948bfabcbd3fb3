//! Reads query parameters and request bodies as Clerk does.

use std::{collections::BTreeSet, convert::Infallible};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::request::Parts,
};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    errors::ApiError,
    instance::{Direction, Field, MetadataEdit, model::Metadata},
};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: i64 = 500;
const MAX_LISTED: usize = 100;

/// The query string, in order and with repetitions.
pub(crate) struct Params(Vec<(String, String)>);

/// The requested rows of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Page {
    /// The requested rows and the row after them.
    pub(crate) fn select<T>(self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        all.skip(self.offset).take(self.limit + 1)
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default()))
    }
}

impl Params {
    /// Every value of a parameter, written `name=` or `name[]=`.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |key: &str| key == name || key.strip_suffix("[]") == Some(name);
        self.0.iter().filter(move |(key, _)| same(key)).map(|(_, value)| value.as_str())
    }

    /// The first value: Clerk ignores further values of a single parameter. An empty value counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::malformed_parameter(name, "an integer"));
        self.text(name).map(parse).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::malformed_parameter(name, "true or false"));
        self.text(name).map(parse).transpose()
    }

    /// The values of a filter; none means no filter. A `+` that was not URL-encoded arrives as a space.
    pub(crate) fn list<'a>(&'a self, name: &'a str) -> Result<Vec<&'a str>, ApiError> {
        let values: Vec<&str> = self.all(name).map(str::trim).filter(|value| !value.is_empty()).collect();
        if values.len() > MAX_LISTED {
            return Err(ApiError::refused_value(name, "accepts up to 100 values"));
        }
        Ok(values)
    }

    /// A limit outside 1 to 500 silently becomes the default of 10 (clerk/clerk-sdk-python#166).
    pub(crate) fn page(&self) -> Result<Page, ApiError> {
        let limit = match self.integer("limit")? {
            Some(limit) if (1..=MAX_LIMIT).contains(&limit) => usize::try_from(limit).unwrap_or(DEFAULT_LIMIT),
            _ => DEFAULT_LIMIT,
        };
        let offset = usize::try_from(self.integer("offset")?.unwrap_or(0))
            .map_err(|_| ApiError::malformed_parameter("offset", "zero or greater"))?;
        Ok(Page { limit, offset })
    }

    /// `order_by`: `-` descends, `+` or nothing ascends, and without the parameter the newest come first.
    pub(crate) fn order<'a>(&'a self, allowed: &[&str]) -> Result<(&'a str, Direction), ApiError> {
        let Some(text) = self.text("order_by").map(str::trim_start) else {
            return Ok(("created_at", Direction::Descending));
        };
        let (key, direction) = match text.strip_prefix('-') {
            Some(key) => (key, Direction::Descending),
            None => (text.trim_start_matches('+'), Direction::Ascending),
        };
        if !allowed.contains(&key) {
            return Err(ApiError::refused_value("order_by", &format!("must be one of {}", allowed.join(", "))));
        }
        Ok((key, direction))
    }
}

/// A filter whose values may carry one sign: `+` (included, as without a sign) or `-` (excluded). A value that begins with
/// a sign itself, as ids of other systems may, needs a `+` before it: `+-Nx1` includes `-Nx1`.
pub(crate) struct Selection<'a> {
    included: Vec<&'a str>,
    excluded: Vec<&'a str>,
}

impl<'a> Selection<'a> {
    pub(crate) fn new(values: Vec<&'a str>) -> Self {
        let (mut included, mut excluded) = (Vec::new(), Vec::new());
        for value in values {
            match value.strip_prefix('-') {
                Some(bare) => excluded.push(bare),
                None => included.push(value.strip_prefix('+').unwrap_or(value)),
            }
        }
        Self { included, excluded }
    }

    /// Whether the filter excludes nothing.
    pub(crate) fn is_open(&self) -> bool {
        self.included.is_empty() && self.excluded.is_empty()
    }

    /// The included values, each once; empty means any value.
    pub(crate) fn included(&self) -> BTreeSet<&'a str> {
        self.included.iter().copied().collect()
    }

    /// Whether an entity with these values passes.
    pub(crate) fn admits(&self, has: impl Fn(&str) -> bool) -> bool {
        (self.included.is_empty() || self.included.iter().any(|value| has(value)))
            && !self.excluded.iter().any(|value| has(value))
    }
}

/// A JSON object as request body; an empty body is an empty object.
pub(crate) struct Form(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| ApiError::invalid_body("it is too large"))?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(ApiError::invalid_body("it is not a JSON object")),
        }
    }
}

impl Form {
    /// Rejects parameters that the operation does not have.
    pub(crate) fn allow(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(unknown) => Err(ApiError::unknown_parameter(unknown)),
            None => Ok(()),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// An optional text; null and "" clear it.
    pub(crate) fn clearable(&self, name: &str) -> Result<Field, ApiError> {
        match self.0.get(name) {
            None => Ok(Field::Keep),
            Some(Value::Null) => Ok(Field::Clear),
            Some(Value::String(text)) if text.is_empty() => Ok(Field::Clear),
            Some(Value::String(text)) => Ok(Field::Set(text.clone())),
            Some(_) => Err(ApiError::malformed_parameter(name, "a string")),
        }
    }

    /// A text; null and "" are absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.clearable(name)? {
            Field::Keep | Field::Clear => Ok(None),
            Field::Set(text) => Ok(Some(text)),
        }
    }

    pub(crate) fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::missing_parameter(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.typed(name, "an integer", Value::as_i64)
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Metadata>, ApiError> {
        self.typed(name, "an object", |value| value.as_object().cloned())
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let strings = |value: &Value| {
            value.as_array()?.iter().map(|entry| entry.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.typed(name, "an array of strings", strings)?.unwrap_or_default())
    }

    /// An RFC 3339 time, as Unix ms.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.typed(name, "a time like 2012-10-20T07:15:20.902Z", |value| unix_ms(value.as_str()?))
    }

    /// The body of the metadata endpoints.
    pub(crate) fn metadata(&self, known: &[&str], replace: bool) -> Result<MetadataEdit, ApiError> {
        self.allow(known)?;
        Ok(MetadataEdit {
            replace,
            public: self.object("public_metadata")?,
            private: self.object("private_metadata")?,
            unsafe_: self.object("unsafe_metadata")?,
        })
    }

    fn typed<T>(&self, name: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, ApiError> {
        let given = self.0.get(name).filter(|value| !value.is_null());
        given.map(|value| read(value).ok_or_else(|| ApiError::malformed_parameter(name, expected))).transpose()
    }
}

/// `2012-10-20T07:15:20.902Z` (or with an offset like `+02:00`) as Unix ms: the one time format of Clerk's request
/// bodies.
fn unix_ms(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_request_bodies_become_unix_milliseconds() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2012-10-20T07:15:20.902Z", Some(1_350_717_320_902)),
            ("2012-10-20T09:15:20.902+02:00", Some(1_350_717_320_902)),
            ("2024-02-29T23:59:59.9Z", Some(1_709_251_199_900)),
            ("2012-10-20", None),
            ("2012-13-20T07:15:20Z", None),
            ("2023-02-29T07:15:20Z", None),
            ("2012-10-20T07:15:20", None),
            ("yesterday", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unix_ms(text), expected, "{text}");
        }
    }

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_limit_outside_one_to_five_hundred_becomes_ten_without_a_word() {
        for (given, limit) in [("1", 1), ("500", 500), ("501", 10), ("0", 10), ("-1", 10)] {
            assert_eq!(params(&[("limit", given)]).page().unwrap(), Page { limit, offset: 0 }, "limit={given}");
        }
        assert!(params(&[("limit", "many")]).page().is_err());
        assert!(params(&[("offset", "-1")]).page().is_err());
    }

    #[test]
    fn an_order_ascends_unless_it_carries_a_minus() {
        let order = |text| params(&[("order_by", text)]).order(&["created_at"]).map(|(_, direction)| direction).ok();
        assert_eq!(order("-created_at"), Some(Direction::Descending));
        assert_eq!(order("+created_at"), Some(Direction::Ascending));
        assert_eq!(order(" created_at"), Some(Direction::Ascending), "an unencoded plus");
        assert_eq!(order("created_at"), Some(Direction::Ascending));
        assert_eq!(order("shoe_size"), None);
    }

    #[test]
    fn a_list_takes_both_spellings_and_a_hundred_values() {
        let both = params(&[("user_id", "a"), ("user_id[]", "b"), ("user", "c")]);
        assert_eq!(both.list("user_id").unwrap(), ["a", "b"]);
        let many = vec![("user_id", "a"); 101];
        assert!(params(&many).list("user_id").is_err());
        assert!(params(&many[1..]).list("user_id").is_ok());
    }
}
