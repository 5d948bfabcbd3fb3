//! The entity that an operator names on the command line: a user by either id, an organization by its id, or a
//! membership by both ids as in logs.

use std::fmt;
use std::str::FromStr;

use crate::core::id::{EntityId, InternalId, InvalidId, OrganizationId, UserId};

/// An entity that an operator names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Entity(EntityId),
    /// A user, by the application's own id.
    Internal(InternalId),
}

impl Subject {
    /// Whether its ids have the prefix of Clerk's ids of users and organizations. Other ids, such as those of sessions,
    /// do not occur here.
    pub fn is_of_a_known_kind(&self) -> bool {
        let is_user = |id: &UserId| id.as_str().starts_with("user_");
        let is_organization = |id: &OrganizationId| id.as_str().starts_with("org_");
        match self {
            Subject::Internal(_) => true,
            Subject::Entity(EntityId::User(user)) => is_user(user),
            Subject::Entity(EntityId::Organization(organization)) => is_organization(organization),
            Subject::Entity(EntityId::Membership { user, organization }) => {
                is_user(user) && is_organization(organization)
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Entity(entity) => entity.fmt(out),
            Subject::Internal(id) => id.fmt(out),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Subject, InvalidId> {
        if let Ok(id) = text.parse() {
            return Ok(Subject::Internal(id));
        }
        Ok(Subject::Entity(match text.split_once('/') {
            Some((organization, user)) => {
                EntityId::Membership { user: user.parse()?, organization: organization.parse()? }
            }
            None if text.starts_with("org_") => EntityId::Organization(text.parse()?),
            None => EntityId::User(text.parse()?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_named_by_any_of_its_ids() {
        let (user, organization) = ("user_1".parse().unwrap(), "org_1".parse().unwrap());
        for (text, expected) in [
            ("user_1", EntityId::User("user_1".parse().unwrap())),
            ("org_1", EntityId::Organization("org_1".parse().unwrap())),
            ("org_1/user_1", EntityId::Membership { user, organization }),
        ] {
            assert_eq!(text.parse::<Subject>().unwrap(), Subject::Entity(expected));
        }
        let id = "1c1157ac-33d3-5114-bbd8-09b23e2ca922";
        assert!(matches!(id.parse::<Subject>().unwrap(), Subject::Internal(found) if found.to_string() == id));
        for (text, expected) in [
            ("user_1", true),
            ("org_1", true),
            ("org_1/user_1", true),
            (id, true),
            ("sess_1", false),
            ("orgmem_1", false),
            ("user_1/org_1", false),
            ("2C1157AC-33D3-5114-BBD8-09B23E2CA922", false),
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().is_of_a_known_kind(), expected, "{text}");
        }
        for bad in ["", "a b", "org_1/", "/user_1", "org_1/user_1/x"] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }
}
