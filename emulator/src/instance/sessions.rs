//! Operations on sessions. They send no webhooks.

use serde_json::Value;

use super::{
    Change,
    model::{Session, SessionStatus, User},
    render,
};
use crate::errors::ApiError;

impl Change<'_> {
    pub(crate) fn create_session(&mut self, user_id: String, organization: Option<&str>) -> Result<Value, ApiError> {
        let user = self.existing_user(&user_id)?;
        if user.banned {
            return Err(ApiError::banned());
        }
        if self.variants.sign_in_updates_user {
            // A new time, so that it is no change of nothing.
            let updated_at = self.later(user.updated_at);
            self.store_user(User { updated_at, ..user }, "user.updated");
        }
        let organization_id = match organization {
            Some(key) => {
                let organization = self.existing_organization(key)?;
                Some(self.existing_membership(&organization.id, &user_id)?.organization_id)
            }
            None => None,
        };
        let session = Session {
            id: self.instance.issue("sess"),
            client_id: self.instance.issue("client"),
            user_id,
            organization_id,
            status: SessionStatus::Active,
            created_at: self.now,
            updated_at: self.now,
        };
        Ok(self.store_session(session))
    }

    /// Ends the session. An ended session stays unchanged.
    pub(crate) fn revoke_session(&mut self, id: &str) -> Result<Value, ApiError> {
        let found = self.instance.session(id).cloned();
        let session = found.ok_or_else(|| ApiError::not_found("session", id))?;
        if session.status_at(self.now) != SessionStatus::Active {
            return Ok(render::session(self.instance, &session, self.now));
        }
        Ok(self.store_session(Session { status: SessionStatus::Revoked, ..session }))
    }

    /// Ends the active sessions of a banned or deleted user.
    pub(super) fn end_sessions_of(&mut self, user_id: &str, status: SessionStatus) {
        let theirs = self.instance.sessions.values().filter(|session| session.user_id == user_id);
        let active: Vec<Session> =
            theirs.filter(|session| session.status_at(self.now) == SessionStatus::Active).cloned().collect();
        for session in active {
            self.store_session(Session { status, ..session });
        }
    }

    fn store_session(&mut self, mut session: Session) -> Value {
        session.updated_at = self.later(session.updated_at);
        let shape = render::session(self.instance, &session, self.now);
        self.instance.sessions.insert(session.id.clone(), session);
        shape
    }
}
