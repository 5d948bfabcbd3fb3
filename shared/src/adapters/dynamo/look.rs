//! Reads whole rows for an operator, page by page. No row is left out because it cannot be read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::batch::{self, attributes};
use super::error::StoreError;
use super::row::{Row, key_of, plain};
use super::stores::Stores;
use crate::core::id::{InternalId, Key, Kind};
use crate::core::look::{Filter, Text, Which};

/// Rows as they are stored.
#[derive(Debug, Default)]
pub struct RowPage {
    pub rows: Vec<Map<String, Value>>,
    /// How many rows DynamoDB has read for this page.
    pub read: u64,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Key>,
}

/// The row of an entity, and its record in Profiles.
#[derive(Debug, Default)]
pub struct WithRecord {
    pub rows: Vec<Map<String, Value>>,
    pub record: Option<Map<String, Value>>,
}

/// A live state and a deleted state, as parts of a rank.
const STATES: [(&str, &str); 2] = [(":live", ".0."), (":deleted", ".1.")];
/// A row without a readable rank and digest.
const UNREADABLE: &str = "NOT attribute_type(#digest, :string) OR NOT attribute_type(#rank, :string) \
                          OR NOT (contains(#rank, :live) OR contains(#rank, :deleted))";

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// The filter as an expression of DynamoDB, with its names and values. It may let through more rows than are wanted: the
/// texts are compared after the read, because DynamoDB distinguishes upper and lower case.
#[derive(Debug)]
struct Expression {
    text: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn new(filter: &Filter) -> Expression {
        let mut values = HashMap::new();
        let mut names = HashMap::new();
        let (of_kind, sk) = match (filter.kind, &filter.organization) {
            (Kind::User, _) => ("sk = :sk", "USER".to_owned()),
            (Kind::Organization, _) => ("sk = :sk", "ORG".to_owned()),
            (Kind::Membership, Some(organization)) => ("sk = :sk", format!("ORG#{organization}")),
            (Kind::Membership, None) => ("begins_with(sk, :sk)", "ORG#".to_owned()),
        };
        values.insert(":sk".to_owned(), text(sk));
        let mut name = |name: &str| drop(names.insert(format!("#{name}"), name.to_owned()));
        let mut meant = Vec::new();
        match filter.which {
            Which::Live => meant.push("contains(#rank, :live)"),
            Which::Deleted => meant.push("contains(#rank, :deleted)"),
            Which::Both => {}
        }
        if filter.banned {
            meant.push("#banned = :banned");
            name("banned");
            values.insert(":banned".to_owned(), AttributeValue::Bool(true));
        }
        if let Some(role) = &filter.role {
            meant.push("#role = :role");
            name("role");
            values.insert(":role".to_owned(), text(role));
        }
        let mut all = vec![of_kind.to_owned()];
        if !meant.is_empty() {
            all.push(format!("(({}) OR {UNREADABLE})", meant.join(" AND ")));
            ["rank", "digest"].iter().for_each(|part| name(part));
            values.extend(STATES.map(|(placeholder, part)| (placeholder.to_owned(), text(part))));
            values.insert(":string".to_owned(), text("S"));
        }
        if let Some(Text::Email(_)) = &filter.text {
            all.push("attribute_exists(#email)".to_owned());
            name("email");
        }
        Expression { text: all.join(" AND "), names, values }
    }
}

impl Stores {
    /// The wanted rows among the next `limit` rows of the Directory behind `from`, eventually consistent.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn scan_rows(&self, filter: &Filter, from: Option<&Key>, limit: i32) -> Result<RowPage, StoreError> {
        let Expression { text, names, values } = Expression::new(filter);
        let request = self.directory.client.scan().table_name(&self.directory.table).limit(limit);
        let request = request.filter_expression(text).set_expression_attribute_values(Some(values));
        let request = request.set_expression_attribute_names(Some(names).filter(|names| !names.is_empty()));
        let page = request.set_exclusive_start_key(from.map(attributes)).send().await.map_err(StoreError::from_sdk)?;
        let next = page.last_evaluated_key.as_ref().and_then(key_of);
        let read = u64::try_from(page.scanned_count).unwrap_or_default();
        Ok(RowPage { rows: page.items.unwrap_or_default().into_iter().map(plain).collect(), read, next })
    }

    /// The next memberships of a user behind `from`, tombstones included, strongly consistent.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn membership_rows(
        &self,
        user: InternalId,
        from: Option<&Key>,
        limit: i32,
    ) -> Result<RowPage, StoreError> {
        let request = self.directory.client.query().table_name(&self.directory.table).limit(limit);
        let request = request
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(format!("USER#{user}")))
            .expression_attribute_values(":sk", text("ORG#"))
            .consistent_read(true);
        let page = request.set_exclusive_start_key(from.map(attributes)).send().await.map_err(StoreError::from_sdk)?;
        let next = page.last_evaluated_key.as_ref().and_then(key_of);
        let rows: Vec<_> = page.items.unwrap_or_default().into_iter().map(plain).collect();
        Ok(RowPage { read: u64::try_from(rows.len()).unwrap_or_default(), rows, next })
    }

    /// These rows of the Directory, in the order of the keys, strongly consistent. A missing row is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn whole_rows(&self, keys: &[Key]) -> Result<Vec<Map<String, Value>>, StoreError> {
        let Stores { directory, .. } = self;
        let (rows, _) = batch::get_all(&directory.client, &directory.table, keys, batch::whole).await?;
        let mut by_key: HashMap<Key, Row> =
            rows.into_iter().filter_map(|row| key_of(&row).map(|key| (key, row))).collect();
        Ok(keys.iter().filter_map(|key| by_key.remove(key)).map(plain).collect())
    }

    /// These rows of the Directory and a record in Profiles, strongly consistent: one request.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn rows_with_record(&self, keys: &[&Key], record: Option<&Key>) -> Result<WithRecord, StoreError> {
        let mut wanted = HashMap::from([(self.directory.table.clone(), batch::whole(keys)?)]);
        if let Some(record) = record {
            wanted.insert(self.profiles.table.clone(), batch::whole(&[record])?);
        }
        let (rows, _) = batch::get(&self.directory.client, wanted, batch::MAX_REQUESTS).await?;
        let mut found = WithRecord::default();
        for (table, row) in rows {
            if table == self.directory.table {
                found.rows.push(plain(row));
            } else {
                found.record = Some(plain(row));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_of_an_expression_is_used_and_defined() {
        let mut filters = Vec::new();
        for kind in Kind::ALL {
            for which in [Which::Live, Which::Deleted, Which::Both] {
                let role = Some("admin".to_owned());
                let organization = Some("org_1".parse().unwrap());
                let text = Some(Text::Email("ada@example.com".to_owned()));
                let bare = Filter { which, ..Filter::new(kind) };
                filters.extend([
                    Filter { banned: true, ..bare.clone() },
                    Filter { role, ..bare.clone() },
                    Filter { organization, ..bare.clone() },
                    Filter { text, ..bare.clone() },
                    bare,
                ]);
            }
        }
        for filter in filters {
            let expression = Expression::new(&filter);
            let is_word = |char: char| char.is_ascii_lowercase() || char == '_';
            for (mark, mut defined) in [
                ('#', expression.names.keys().cloned().collect::<Vec<_>>()),
                (':', expression.values.keys().cloned().collect()),
            ] {
                let mut used: Vec<String> = expression
                    .text
                    .split(mark)
                    .skip(1)
                    .map(|rest| format!("{mark}{}", rest.chars().take_while(|char| is_word(*char)).collect::<String>()))
                    .collect();
                used.sort();
                used.dedup();
                defined.sort();
                assert_eq!(used, defined, "{filter:?}: {}", expression.text);
            }
        }
    }
}
