//! Reads all rows of one user, and the keys of an organization's memberships.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Directory;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::item;
use crate::adapters::dynamo::row::{Row, key_of};
use crate::core::id::{Key, Kind, OrganizationId};
use crate::core::mirror::item::Item;

/// The index of memberships by organization.
const MEMBERS: &str = "members";

/// The rows of one user.
#[derive(Debug, Default)]
pub struct UserRows {
    pub user: Option<Item>,
    /// Ordered by organization; contains tombstones, too.
    pub memberships: Vec<Item>,
}

/// Keys from the index of members, in its order.
#[derive(Debug, Default)]
pub struct MemberKeys {
    pub memberships: Vec<Key>,
    /// The value of `after` for the next keys; `None` if the index has no more.
    pub next: Option<String>,
}

impl Directory {
    /// All rows of a user, strongly consistent. Sends one request for each megabyte.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Unreadable`] if the row of the user cannot be read. The result lacks a membership
    /// whose row cannot be read.
    pub async fn user_rows(&self, user: &Key) -> Result<UserRows, StoreError> {
        let (mut rows, mut from): (UserRows, Option<Row>) = (UserRows::default(), None);
        loop {
            let request = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk");
            let request = request.expression_attribute_values(":pk", AttributeValue::S(user.pk.clone()));
            let request = request.consistent_read(true).set_exclusive_start_key(from);
            let page = request.send().await.map_err(StoreError::from_sdk)?;
            for row in page.items.unwrap_or_default() {
                let key = key_of(&row);
                match key.as_ref().and_then(Kind::from_key) {
                    Some(Kind::User) => rows.user = Some(item::item(row)?),
                    Some(Kind::Membership) => rows.memberships.extend(item::item(row).ok()),
                    _ => {}
                }
            }
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// The keys of an organization's memberships, in the order of their partition keys, after the key `after`. It reads
    /// `limit` memberships, and returns those with `role` (in full or without `org:`), or all of them without `role`. The index is eventually
    /// consistent: a caller must read the rows from the table before it uses them.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn member_keys(
        &self,
        organization: &OrganizationId,
        role: Option<&str>,
        after: Option<&str>,
        limit: i32,
    ) -> Result<MemberKeys, StoreError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(MEMBERS)
            .expression_attribute_values(":organization", text(organization.as_str()))
            .limit(limit);
        request = match after {
            None => request.key_condition_expression("organization_id = :organization"),
            Some(after) => request
                .key_condition_expression("organization_id = :organization AND user_pk > :after")
                .expression_attribute_values(":after", text(after)),
        };
        if let Some(role) = role {
            // As `is_role`, which decides about the rows of the table.
            request = request
                .filter_expression("#role IN (:role, :of_organization)")
                .expression_attribute_names("#role", "role")
                .expression_attribute_values(":role", text(role))
                .expression_attribute_values(":of_organization", text(&format!("org:{role}")));
        }
        let page = request.send().await.map_err(StoreError::from_sdk)?;
        let next = page.last_evaluated_key.as_ref().and_then(key_of).map(|last| last.pk);
        let memberships = page.items.unwrap_or_default().iter().filter_map(key_of).collect();
        Ok(MemberKeys { memberships, next })
    }
}
