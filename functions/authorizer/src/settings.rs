//! Settings of the authorizer function.

use rollcall::adapters::clerk::sessions::Sessions;
use rollcall::core::id::InstanceId;
use rollcall::core::tables::table_name;
use rollcall::settings::mirror::Mirror;
use rollcall::settings::variables::{CLERK_INSTANCE_ID, DIRECTORY_TABLE, InvalidSettings, Reader, Variable};

/// The variables that the function reads. The function sends no request to Clerk's Backend API, so it needs no secret.
pub const GROUPS: &[&[Variable]] = &[&[DIRECTORY_TABLE, CLERK_INSTANCE_ID], &Sessions::VARIABLES, &Mirror::VARIABLES];

#[derive(Debug)]
pub struct Settings {
    /// The Directory, the only table that the function reads.
    pub directory: String,
    pub instance: InstanceId,
    pub sessions: Sessions,
    pub mirror: Mirror,
}

impl Settings {
    /// Reads the settings through a look-up.
    ///
    /// # Errors
    ///
    /// [`InvalidSettings`] with every variable that is missing or malformed.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Settings, InvalidSettings> {
        let mut reader = Reader::new(lookup);
        let directory = reader.read(&DIRECTORY_TABLE, table_name);
        let instance = reader.read(&CLERK_INSTANCE_ID, |text| text.parse().ok());
        let sessions = Sessions::read(&mut reader);
        let mirror = Mirror::read(&mut reader);
        reader.finish(|| Some(Settings { directory: directory?, instance: instance?, sessions: sessions?, mirror }))
    }
}
