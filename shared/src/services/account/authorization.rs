//! `GET /me/authorization`.

use super::{Account, AccountError};
use crate::core::account::authorization::{Authorization, Facts, Question, decide, needs_membership};
use crate::core::millis::Millis;
use crate::core::session::claims::Session;

impl Account {
    /// Whether the caller has a role or a permission. Sends one request to DynamoDB.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn authorization(
        &self,
        session: &Session,
        question: &Question,
        now: Millis,
    ) -> Result<Authorization, AccountError> {
        let organization = needs_membership(question, session, &self.pointers);
        let caller = self.caller(session, organization.as_ref(), now).await?;
        let membership = caller.member.as_ref().map(|member| &member.membership.fields);
        let facts = Facts { user: &caller.user.fields, membership };
        let because = decide(question, facts, session, &self.ensurer.applier.roles, &self.pointers);
        Ok(Authorization::new(because, session, now))
    }
}
