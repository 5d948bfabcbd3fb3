//! Settings of the copy: which live objects the Directory keeps.

use super::variables::{MIRROR, ROLES, Reader, Variable, switch};
use crate::core::mirror::roles::Roles;

/// Which live objects are copied.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Whether live users and memberships are stored.
    pub is_on: bool,
    /// The allowed roles.
    pub roles: Roles,
}

impl Mirror {
    /// The variables of this group.
    pub const VARIABLES: [Variable; 2] = [MIRROR, ROLES];

    /// Reads the group. A malformed variable counts as its default here; the reader notes the problem.
    pub fn read(reader: &mut Reader<'_>) -> Mirror {
        let is_on = reader.read(&MIRROR, switch).unwrap_or(true);
        let roles = reader.read(&ROLES, Roles::parse).unwrap_or_default();
        Mirror { is_on, roles }
    }
}
