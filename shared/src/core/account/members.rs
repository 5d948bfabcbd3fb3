//! Pages of an organization's members.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::authorization::is_role;
use crate::core::id::OrganizationId;
use crate::core::mirror::item::Item;

/// The maximum number of members in a page: one `BatchGetItem` can read their memberships and users, and the caller's
/// rows.
pub const MAX_LIMIT: usize = 48;
/// The number of members in a page if the request has no `limit`.
pub const DEFAULT_LIMIT: usize = 20;

/// The number of bytes of a cursor that identify its query.
const QUERY_BYTES: usize = 4;
const VERSION: u8 = 1;

/// The query for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub organization: OrganizationId,
    /// Only members with this role, such as `org:admin` or in short `admin`.
    pub role: Option<String>,
    /// From 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// The partition key after which the page begins.
    pub after: Option<String>,
}

/// A page of members.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = MemberPage))]
pub struct Page {
    pub members: Vec<Member>,
    /// The value of `cursor` for the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// One member: the copy of the user, and the role in the organization.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    #[cfg_attr(feature = "openapi", schema(value_type = crate::core::mirror::projection::User))]
    pub user: Map<String, Value>,
    pub role: Option<String>,
    /// When the membership began, Unix ms.
    pub since: Option<u64>,
}

impl Query {
    fn fingerprint(organization: &OrganizationId, role: Option<&str>) -> [u8; QUERY_BYTES] {
        let hash = Sha256::digest(format!("{organization}\n{}", role.unwrap_or_default()));
        std::array::from_fn(|at| hash[at])
    }

    /// The cursor after a member. It contains the internal id, which grants no access, so it needs no signature.
    pub fn cursor(&self, last: &str) -> Option<String> {
        let id = uuid::Uuid::parse_str(last).ok()?;
        let mut bytes = vec![VERSION];
        bytes.extend(Query::fingerprint(&self.organization, self.role.as_deref()));
        bytes.extend(id.as_bytes());
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The partition key in a cursor. `None` if the cursor belongs to another query or is malformed.
    pub fn position(organization: &OrganizationId, role: Option<&str>, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (query, id) = bytes.strip_prefix(&[VERSION])?.split_at_checked(QUERY_BYTES)?;
        if query != Query::fingerprint(organization, role) {
            return None;
        }
        uuid::Uuid::from_slice(id).ok().map(|id| format!("USER#{id}"))
    }
}

/// The fields of a member that other members see. `None` unless the user and the membership are live, and Clerk has
/// confirmed the membership.
pub fn member(membership: &Item, user: Option<&Item>, role: Option<&str>) -> Option<Member> {
    let user = user.filter(|user| !user.is_deleted())?;
    if membership.is_deleted() || membership.is_placeholder() {
        return None;
    }
    let has = membership.fields.get("role").and_then(Value::as_str);
    if role.is_some_and(|role| !has.is_some_and(|has| is_role(has, role))) {
        return None;
    }
    Some(Member {
        user: super::visibility::of_member(user),
        role: has.map(str::to_owned),
        since: membership.created_at.map(crate::core::millis::Millis::get),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_query() {
        let organization: OrganizationId = "org_1".parse().unwrap();
        let query = |role: Option<&str>| Query {
            organization: organization.clone(),
            role: role.map(str::to_owned),
            limit: 20,
            after: None,
        };
        let last = "1c1157ac-33d3-5114-bbd8-09b23e2ca922";
        let cursor = query(None).cursor(last).unwrap();
        let position = |id: &str, role, cursor: &str| Query::position(&id.parse().unwrap(), role, cursor);
        let pk = format!("USER#{last}");
        assert_eq!(position("org_1", None, &cursor), Some(pk.clone()));
        assert_eq!(position("org_2", None, &cursor), None);
        assert_eq!(position("org_1", Some("org:admin"), &cursor), None);
        let of_admins = query(Some("org:admin")).cursor(last).unwrap();
        assert_eq!(position("org_1", Some("org:admin"), &of_admins), Some(pk));
        for other in ["", "AA", "*", &cursor[1..], &format!("{cursor}A"), &cursor.to_uppercase()] {
            assert_eq!(position("org_1", None, other), None, "{other}");
        }
        assert_eq!(query(None).cursor("user_1"), None);
    }
}
