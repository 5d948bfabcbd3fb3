//! Saves the emulated instance to a file and loads it at the next start.

use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::svix;

use super::{
    Instance,
    model::{Membership, Organization, Session, User},
};

/// Increased when the format changes, so that an old file is rejected instead of misread.
const VERSION: u32 = 1;

/// The reasons for which a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("the snapshot {} cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file or its folder cannot be written.
    #[error("the snapshot {} cannot be written", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The file is not a snapshot.
    #[error("the snapshot is not in the emulator's format")]
    Format(#[from] serde_json::Error),
    /// The file was written by another version of the emulator.
    #[error("the snapshot has version {0}, but this emulator reads version {VERSION}")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    issued: u64,
    users: Vec<User>,
    organizations: Vec<Organization>,
    memberships: Vec<Membership>,
    /// Files of earlier versions have no sessions.
    #[serde(default)]
    sessions: Vec<Session>,
    /// The same for Svix.
    #[serde(default)]
    svix: svix::Stored,
}

impl Instance {
    /// The instance in the file, or `None` if there is no file yet.
    pub(crate) fn load(path: &Path, seed: u64) -> Result<Option<(Self, svix::Stored)>, SnapshotError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SnapshotError::Read(path.to_owned(), error)),
        };
        let stored: Stored = serde_json::from_slice(&text)?;
        if stored.version != VERSION {
            return Err(SnapshotError::Version(stored.version));
        }
        let mut instance = Self { issued: stored.issued, ..Self::new(seed) };
        stored.users.into_iter().for_each(|user| instance.insert_user(user));
        stored.organizations.into_iter().for_each(|organization| instance.insert_organization(organization));
        stored.memberships.into_iter().for_each(|membership| instance.insert_membership(membership));
        instance.sessions = stored.sessions.into_iter().map(|session| (session.id.clone(), session)).collect();
        Ok(Some((instance, stored.svix)))
    }

    /// The contents of the file. In the order of creation, so that equal instances have equal files.
    pub(crate) fn to_snapshot(&self, svix: &svix::Stored) -> Result<Vec<u8>, SnapshotError> {
        use super::{Direction::Ascending, Window};
        let stored = Stored {
            version: VERSION,
            issued: self.issued,
            users: self.users(Ascending, &Window::default()).map(Cow::into_owned).collect(),
            organizations: self.organizations(Ascending).map(Cow::into_owned).collect(),
            memberships: self.memberships(Ascending).map(Cow::into_owned).collect(),
            sessions: self.sessions.values().cloned().collect(),
            svix: svix.clone(),
        };
        Ok(serde_json::to_vec_pretty(&stored)?)
    }
}

/// Replaces the file atomically: a reader sees the old or the new contents.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<(), SnapshotError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        fs::write(&beside, contents)?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| SnapshotError::Write(path.to_owned(), error))
}
