//! Reads the memberships of a user or of an organization, page by page.

use super::Directory;
use aws_sdk_dynamodb::types::AttributeValue;

use super::write::MAX_TOGETHER;
use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::item;
use crate::adapters::dynamo::row::Row;
use crate::adapters::dynamo::row::key_of;
use crate::core::id::{Key, Kind};
use crate::core::mirror::item::Item;

/// The index of memberships by organization.
const MEMBERS: &str = "members";

/// A page of memberships, as many as one transaction may write.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows; for a user with tombstones.
    pub items: Vec<Item>,
    /// The keys of rows without a valid rank or digest.
    pub unreadable: Vec<Key>,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Place>,
}

/// A position between two pages.
#[derive(Debug)]
pub struct Place(Row);

impl Directory {
    /// The next page of the memberships of a user or an organization.
    ///
    /// A user's memberships are read strongly consistent. An organization's are found in the index, which is eventually
    /// consistent, and then read from the table.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn members(&self, parent: &Key, from: Option<Place>) -> Result<Page, StoreError> {
        let request = self.client.query().table_name(&self.table).limit(MAX_TOGETHER);
        let request = request.set_exclusive_start_key(from.map(|place| place.0));
        let of_user = Kind::from_key(parent) == Some(Kind::User);
        let request = if of_user {
            request
                .key_condition_expression("pk = :pk AND begins_with(sk, :organizations)")
                .expression_attribute_values(":pk", AttributeValue::S(parent.pk.clone()))
                .expression_attribute_values(":organizations", AttributeValue::S("ORG#".to_owned()))
                .consistent_read(true)
        } else {
            let id = parent.pk.split_once('#').map(|(_, id)| id.to_owned()).unwrap_or_default();
            request
                .index_name(MEMBERS)
                .key_condition_expression("organization_id = :organization")
                .expression_attribute_values(":organization", AttributeValue::S(id))
        };
        let found = request.send().await.map_err(StoreError::from_sdk)?;
        let next = found.last_evaluated_key.filter(|key| !key.is_empty()).map(Place);
        let mut rows = found.items.unwrap_or_default();
        if !of_user {
            let keys: Vec<Key> = rows.iter().filter_map(key_of).collect();
            rows = batch::get_all(&self.client, &self.table, &keys, batch::whole).await?.0;
        }
        let mut page = Page { next, ..Page::default() };
        for row in rows {
            let Some(key) = key_of(&row) else { continue };
            match item::item(row) {
                Ok(item) => page.items.push(item),
                Err(_) => page.unreadable.push(key),
            }
        }
        Ok(page)
    }
}
