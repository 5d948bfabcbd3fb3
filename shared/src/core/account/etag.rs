//! Entity tags, and the preconditions `If-Match` and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The number of bytes of the hash in a tag: 96 bits.
const HASH_BYTES: usize = 12;

/// A strong entity tag: the hash of a representation, in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a JSON representation. The order of members has no effect on the tag.
    ///
    /// # Panics
    ///
    /// Never: a representation is JSON with string keys.
    pub fn new(representation: &impl Serialize) -> ETag {
        let canonical = match serde_json_canonicalizer::to_vec(representation) {
            Ok(canonical) => canonical,
            Err(error) => unreachable!("a representation has a canonical form: {error}"),
        };
        let hash = Sha256::digest(canonical);
        ETag(format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..HASH_BYTES])))
    }

    /// The tag as the value of a header, with quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The tags in a precondition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any representation.
    Any,
    /// The opaque parts of the tags, quotes included and `W/` removed.
    Listed(Vec<String>),
}

/// The preconditions of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub if_match: Option<Tags>,
    pub if_none_match: Option<Tags>,
}

/// The error for a header that is not a list of entity tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTags;

impl Tags {
    /// Parses the value of `If-Match` or `If-None-Match`. The caller joins several lines of the header with commas.
    ///
    /// # Errors
    ///
    /// [`MalformedTags`].
    pub fn parse(header: &str) -> Result<Tags, MalformedTags> {
        if header.trim() == "*" {
            return Ok(Tags::Any);
        }
        let (mut tags, mut rest) = (Vec::new(), header);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return if tags.is_empty() { Err(MalformedTags) } else { Ok(Tags::Listed(tags)) };
            }
            let opaque = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"').ok_or(MalformedTags)?;
            let (tag, after) = opaque.split_once('"').ok_or(MalformedTags)?;
            if !tag.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte)) {
                return Err(MalformedTags);
            }
            tags.push(format!("\"{tag}\""));
            rest = after.trim_start_matches([' ', '\t']);
            if !(rest.is_empty() || rest.starts_with(',')) {
                return Err(MalformedTags);
            }
        }
    }

    /// Whether the tags contain the tag of the current representation. False if there is no representation.
    ///
    /// A proxy that compresses a response makes its strong tag weak. The tag is a hash of the content, so a weak tag
    /// with the same hash stands for the same content. Therefore `If-Match` accepts weak tags, too.
    pub fn contain(&self, current: Option<&ETag>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::Listed(tags), Some(current)) => tags.iter().any(|tag| tag == current.as_str()),
        }
    }
}

impl Preconditions {
    /// Whether the preconditions allow a write. `current` is the current representation, if there is one.
    pub fn allow_write(&self, current: Option<&ETag>) -> bool {
        self.if_match.as_ref().is_none_or(|tags| tags.contain(current))
            && !self.if_none_match.as_ref().is_some_and(|tags| tags.contain(current))
    }

    /// Whether the client has the current representation, so that the answer is 304.
    pub fn is_not_modified(&self, current: &ETag) -> bool {
        self.if_none_match.as_ref().is_some_and(|tags| tags.contain(Some(current)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_have_equal_tags_and_others_have_not() {
        let tag = ETag::new(&json!({ "a": 1, "b": [true, null] }));
        assert_eq!(tag, ETag::new(&json!({ "b": [true, null], "a": 1.0 })));
        assert_ne!(tag, ETag::new(&json!({ "a": 1, "b": [null, true] })));
        assert_eq!((tag.as_str().len(), tag.to_string().matches('"').count()), (18, 2));
    }

    #[test]
    fn lists_of_tags_are_read_as_the_rfc_writes_them() {
        let listed = |tags: &[&str]| Ok(Tags::Listed(tags.iter().map(|tag| format!("\"{tag}\"")).collect()));
        for (header, tags) in [
            ("*", Ok(Tags::Any)),
            (" * ", Ok(Tags::Any)),
            ("\"a\"", listed(&["a"])),
            ("W/\"a\"", listed(&["a"])),
            ("\"a\",\"b\" , W/\"c,d\"", listed(&["a", "b", "c,d"])),
            (", \"\" ,", listed(&[""])),
            ("\"*\"", listed(&["*"])),
            ("", Err(MalformedTags)),
            (",", Err(MalformedTags)),
            ("a", Err(MalformedTags)),
            ("\"a", Err(MalformedTags)),
            ("\"a\" \"b\"", Err(MalformedTags)),
            ("\"a\"b", Err(MalformedTags)),
            ("w/\"a\"", Err(MalformedTags)),
            ("*, \"a\"", Err(MalformedTags)),
            ("\"a b\"", Err(MalformedTags)),
            ("\"ä\"", Err(MalformedTags)),
        ] {
            assert_eq!(Tags::parse(header), tags, "{header}");
        }
    }

    #[test]
    fn a_write_goes_on_from_the_representation_that_its_writer_has_seen() {
        let (tag, other) = (ETag::new(&1), ETag::new(&2));
        let listed = |tag: &ETag| Some(Tags::Listed(vec![tag.to_string()]));
        let with = |if_match, if_none_match| Preconditions { if_match, if_none_match };
        for (preconditions, current, goes_on) in [
            (with(None, None), None, true),
            (with(None, None), Some(&tag), true),
            (with(listed(&tag), None), Some(&tag), true),
            (with(listed(&tag), None), Some(&other), false),
            (with(listed(&tag), None), None, false),
            (with(Some(Tags::Any), None), Some(&other), true),
            (with(Some(Tags::Any), None), None, false),
            (with(None, Some(Tags::Any)), None, true),
            (with(None, Some(Tags::Any)), Some(&tag), false),
            (with(None, listed(&tag)), Some(&tag), false),
            (with(None, listed(&tag)), Some(&other), true),
            (with(listed(&tag), listed(&tag)), Some(&tag), false),
        ] {
            assert_eq!(preconditions.allow_write(current), goes_on, "{preconditions:?} {current:?}");
        }
        assert!(with(None, listed(&tag)).is_not_modified(&tag) && !with(None, listed(&tag)).is_not_modified(&other));
        assert!(with(None, Some(Tags::Any)).is_not_modified(&tag) && !with(listed(&tag), None).is_not_modified(&tag));
    }
}
