//! `GET /users/{id}` and `GET /users?id=…`.

use serde_json::{Map, Value};

use super::{Account, AccountError};
use crate::core::account::visibility::{ADMIN, Relation, shown};
use crate::core::id::{AnyUserId, InternalId, Key};
use crate::core::millis::Millis;
use crate::core::session::claims::Session;

/// The maximum number of users in one request.
pub const MAX_USERS: usize = 100;

impl Account {
    /// The fields of these users that the caller may see, in the order of the ids. `None` for a user who does not
    /// exist, or whom the caller may not see. One request to DynamoDB reads up to 100 rows.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn users(
        &self,
        session: &Session,
        ids: &[AnyUserId],
        now: Millis,
    ) -> Result<Vec<Option<Map<String, Value>>>, AccountError> {
        let active = session.organization.as_ref().map(|active| active.id.clone());
        let ids: Vec<InternalId> = ids.iter().map(|id| id.internal(self.instance())).collect();
        let of_membership = |id: &InternalId| active.as_ref().map(|organization| id.membership_key(organization));
        let mut keys: Vec<Key> = ids.iter().flat_map(|id| [Some(id.user_key()), of_membership(id)]).flatten().collect();
        // With MIRROR=off the rows of other users are outdated, so only the caller is returned.
        if !self.ensurer.mirror {
            keys.clear();
        }
        // BatchGetItem rejects duplicate keys.
        keys.sort();
        keys.dedup();
        let caller = self.caller(session, active.as_ref(), now);
        let (caller, rows) = tokio::join!(caller, self.ensurer.stores.directory.read(&keys));
        let (caller, rows) = (caller?, rows?.items);
        let is_admin = caller.user.fields.get("role").and_then(Value::as_str) == Some(ADMIN);
        let own = self.instance().internal_id(&session.user);
        let users = ids.iter().map(|id| {
            let membership = of_membership(id).and_then(|key| rows.get(&key));
            let is_member = membership.is_some_and(|item| !item.is_deleted() && !item.is_placeholder());
            let are_members = caller.member.is_some() && is_member;
            let relation = Relation { is_self: *id == own, is_admin, are_members };
            let user = if relation.is_self { Some(&caller.user) } else { rows.get(&id.user_key()) };
            shown(user, relation, self.visibility)
        });
        Ok(users.collect())
    }
}
