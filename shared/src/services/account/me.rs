//! `GET /me`: the caller and the caller's organizations.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Account, AccountError};
use crate::core::account::caller::{Caller, Member};
use crate::core::ensure::admission::admit;
use crate::core::ensure::decide::claims_lag;
use crate::core::id::{EntityId, Key, OrganizationId};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::session::claims::Session;

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Me {
    /// The copy of the user.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::core::mirror::projection::User))]
    pub user: Map<String, Value>,
    /// The live organizations of which the caller is a live member, ordered by id. With `MIRROR=off` only the active one.
    pub organizations: Vec<OrganizationOfCaller>,
    /// The organization in which the session is active, if the caller is a member of it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub active_organization_id: Option<OrganizationId>,
    /// Whether the session's claims lack the application's id or differ in the role.
    pub needs_sync: bool,
    /// Who acts in the user's name, if somebody else does: impersonation.
    pub actor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrganizationOfCaller {
    #[cfg_attr(feature = "openapi", schema(value_type = crate::core::mirror::projection::Organization))]
    pub organization: Map<String, Value>,
    #[cfg_attr(feature = "openapi", schema(value_type = crate::core::mirror::projection::Membership))]
    pub membership: Map<String, Value>,
}

impl Account {
    /// The caller and the caller's organizations. Sends one `Query` for the rows of the caller, and one `BatchGetItem`
    /// for each 100 organizations.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn me(&self, session: &Session, now: Millis) -> Result<Me, AccountError> {
        if !self.ensurer.mirror {
            let active = session.organization.as_ref().map(|active| &active.id);
            let Caller { user, member } = self.caller(session, active, now).await?;
            return Ok(self.answer(session, &user, member.into_iter().collect()));
        }
        let key = EntityId::User(session.user.clone()).key(self.instance());
        let rows = self.ensurer.stores.directory.user_rows(&key).await?;
        let user = admit(rows.user.as_ref())?;
        let is_live = |item: &Item| !item.is_deleted() && !item.is_placeholder();
        let memberships = rows.memberships.into_iter().filter(is_live);
        let memberships: Vec<(Key, Item)> = memberships.map(|item| (organization_key(&item), item)).collect();
        let keys: Vec<Key> = memberships.iter().map(|(key, _)| key.clone()).collect();
        let mut organizations = self.ensurer.stores.directory.read(&keys).await?.items;
        let members = memberships.into_iter().filter_map(|(key, membership)| {
            let organization = organizations.remove(&key).filter(|organization| !organization.is_deleted())?;
            Some(Member { organization, membership })
        });
        Ok(self.answer(session, user, members.collect()))
    }

    fn answer(&self, session: &Session, user: &Item, members: Vec<Member>) -> Me {
        let is_active = |id: &OrganizationId| {
            let mut of_caller = members.iter().filter_map(|member| member.organization.fields.get("organization_id"));
            of_caller.any(|known| known.as_str() == Some(id.as_str()))
        };
        let active = session.organization.as_ref().map(|active| &active.id);
        Me {
            user: user.shown(),
            active_organization_id: active.filter(|id| is_active(id)).cloned(),
            needs_sync: claims_lag(session, user, &self.ensurer.applier.roles),
            actor: session.actor.clone(),
            organizations: members
                .into_iter()
                .map(|Member { organization, membership }| OrganizationOfCaller {
                    organization: organization.shown(),
                    membership: membership.shown(),
                })
                .collect(),
        }
    }
}

/// The organization of a membership, by the membership's sort key.
fn organization_key(membership: &Item) -> Key {
    Key { pk: membership.key.sk.clone(), sk: "ORG".to_owned() }
}
