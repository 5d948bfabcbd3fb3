//! Callers under `MIRROR=off`, whose users are not copied: a recent or a new response of Clerk replaces their rows.

use tokio::time::Instant;

use super::{CLERK_PATIENCE, Call, Ensurer, Outcomes, Reply, Unasked};
use crate::adapters::dynamo::caller::Stored;
use crate::adapters::dynamo::error::StoreError;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::ensure::decide::Extent;
use crate::core::id::PerKind;
use crate::core::millis::Millis;
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::mirror::projection::Context;
use crate::core::session::claims::Session;

/// Why a caller whose user is not copied is denied access.
#[derive(Debug)]
pub struct Denied {
    pub refusal: Refusal,
    /// Why the request to Clerk failed; `None` if no request was sent.
    pub unasked: Option<Unasked>,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied { refusal, unasked: None }
    }
}

impl Ensurer {
    /// The rows of a caller whose user is not copied: the tombstone of the user, if there is one, or Clerk's recent
    /// response.
    pub(super) fn with_recent(
        &self,
        copies: PerKind<Option<Item>>,
        session: &Session,
        now: Millis,
    ) -> PerKind<Option<Item>> {
        let recent = self.recent.rows_for(session, now);
        PerKind {
            user: copies.user.filter(Item::is_deleted).or(recent.user),
            organization: copies.organization.or(recent.organization),
            membership: recent.membership,
        }
    }

    /// Completes `copies`, which were read from the Directory, with Clerk's response about a caller whose user is not
    /// copied. It writes only the note that Clerk was asked about the caller.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. The inner error says why the caller is denied access: a caller is also denied access if Clerk
    /// does not answer.
    pub async fn copies_from_clerk(
        &self,
        copies: PerKind<Option<Item>>,
        session: &Session,
        now: Millis,
    ) -> Result<Result<PerKind<Option<Item>>, Denied>, StoreError> {
        let copies = self.with_recent(copies, session, now);
        match admit(copies.user.as_ref()) {
            Ok(_) => return Ok(Ok(copies)),
            Err(Refusal::NotSynced) => {}
            Err(refusal) => return Ok(Err(refusal.into())),
        }
        let provenance = Provenance { applied_at: now, applied_by: Writer::Ensure, delivery_id: None };
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let caller = session.entities();
        let call = Call { session, caller, context, now, until: Instant::now() + CLERK_PATIENCE };
        Box::pin(self.ask_clerk(Stored { copies, ..Stored::default() }, &call)).await
    }

    async fn ask_clerk(
        &self,
        stored: Stored,
        call: &Call<'_>,
    ) -> Result<Result<PerKind<Option<Item>>, Denied>, StoreError> {
        let mut outcomes = Outcomes::at_once(Err(Refusal::NotFound));
        let (Stored { copies, .. }, replies, _) = self.answers(stored, Extent::Missing, call, &mut outcomes).await?;
        if matches!(replies.user, Reply::Nothing) {
            return Ok(Err(Refusal::NotFound.into()));
        }
        if replies.as_ref().into_array().into_iter().any(|reply| matches!(reply, Reply::Silent)) {
            return Ok(Err(Denied { refusal: Refusal::NotAsked, unasked: outcomes.unasked }));
        }
        let mut copies = copies;
        let item_of = |reply: Reply, stored: Option<Item>| match reply {
            Reply::Found(found) => call.context.entity(*found),
            Reply::NotAsked => stored,
            Reply::Nothing | Reply::Silent => None,
        };
        copies.user = item_of(replies.user, copies.user);
        copies.organization = item_of(replies.organization, copies.organization);
        copies.membership = item_of(replies.membership, copies.membership);
        self.recent.keep(call.session, copies.as_ref().map(Option::as_ref), call.now);
        Ok(Ok(copies))
    }
}
