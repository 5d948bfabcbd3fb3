//! A list of owned tables that is too long for a function's environment: a row of the Operations table contains the
//! list, and `OWNED_TABLES` names the row.
//!
//! The name of a row is a digest of its list. So a row never changes, a deployment always reads the list with which it
//! was deployed, and another list is another deployment, which restarts all functions.

use sha2::{Digest as _, Sha256};

use crate::core::deletion::owned::owned_tables;
use crate::core::id::Key;

/// The prefix of a value of `OWNED_TABLES` if the list is in the Operations table.
const PLACE: &str = "@operations/";
/// Hexadecimal digits of the digest.
const DIGITS: usize = 32;
/// The partition of the lists.
const PARTITION: &str = "SETTINGS";

/// The name of a stored list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListName(String);

impl ListName {
    /// The name of this list.
    pub fn new(list: &str) -> ListName {
        let hash = Sha256::digest(list.as_bytes());
        let mut first = [0_u8; 16];
        first.copy_from_slice(&hash[..16]);
        ListName(format!("{:032x}", u128::from_be_bytes(first)))
    }

    /// The name in a value of `OWNED_TABLES`; nothing if the value is the list itself.
    pub fn read(value: &str) -> Option<ListName> {
        let digits = value.strip_prefix(PLACE)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (digits.len() == DIGITS && digits.bytes().all(is_digit)).then(|| ListName(digits.to_owned()))
    }

    /// The value of `OWNED_TABLES` that names the list.
    pub fn setting(&self) -> String {
        format!("{PLACE}{}", self.0)
    }

    /// The key of the list in the Operations table.
    pub fn key(&self) -> Key {
        Key { pk: PARTITION.to_owned(), sk: format!("OWNED_TABLES#{}", self.0) }
    }

    /// Whether this is the list of that name, and a valid list of tables.
    pub fn is_of(&self, list: &str) -> bool {
        *self == ListName::new(list) && owned_tables(list).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_belongs_to_one_list_alone() {
        let (list, other) = (r#"[{"table":"tasks","key":"user_id"}]"#, r#"[{"table":"tasks","key":"owner"}]"#);
        let name = ListName::new(list);
        assert_eq!(ListName::read(&name.setting()), Some(name.clone()));
        assert!(name.is_of(list) && !name.is_of(other));
        assert!(!ListName::new("no list").is_of("no list"));
        let upper = name.setting().to_uppercase();
        let short = name.setting()[..40].to_owned();
        for text in
            ["[]", "", "@operations/", "@operations/OWNED_TABLES", &upper, &short, &format!("{}0", name.setting())]
        {
            assert_eq!(ListName::read(text), None, "{text}");
        }
    }
}
