//! The default values of new records.

use super::variables::{MEMBERSHIP_PROFILE_DEFAULTS, PROFILE_DEFAULTS, Reader, Variable, profile_defaults};
use crate::core::profile::Defaults;

impl Defaults {
    /// The variables that [`Defaults::read`] reads.
    pub const VARIABLES: [Variable; 2] = [PROFILE_DEFAULTS, MEMBERSHIP_PROFILE_DEFAULTS];

    /// Reads the default values. A malformed variable counts as empty here; the reader notes the problem.
    pub fn read(reader: &mut Reader<'_>) -> Defaults {
        Defaults {
            user: reader.read(&PROFILE_DEFAULTS, profile_defaults).unwrap_or_default(),
            membership: reader.read(&MEMBERSHIP_PROFILE_DEFAULTS, profile_defaults).unwrap_or_default(),
        }
    }
}
