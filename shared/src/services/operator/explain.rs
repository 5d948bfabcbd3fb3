//! Gathers what is known of one entity: its row, its parents' rows, Clerk's state, the notes in Operations. Writes nothing.

use serde_json::{Map, Value};

use super::{Operator, OperatorError};
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::directory::scan::Rows;
use crate::adapters::dynamo::operations::runs::CandidatePage;
use crate::core::clerk::objects::Entity;
use crate::core::deletion::orphans::owner_of_partition;
use crate::core::deletion::subject::Subject;
use crate::core::explain::facts::{Facts, InClerk, Log, Note, Parent, Policies, Stored};
use crate::core::explain::line::terms;
use crate::core::id::{EntityId, Key, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::projection::Context;
use crate::core::reconcile::run::{Run, RunState};
use crate::core::reconcile::run_id::RunId;

/// How many runs are looked at.
const RUNS: i32 = 20;
/// How many pages of absence candidates are looked at: the report of the run has them all.
const MAX_PAGES: usize = 200;

/// Which entity is explained, before its log is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Nothing for a row without Clerk's id.
    pub entity: Option<EntityId>,
    /// The key of its row.
    pub key: Key,
    /// What its log is searched for.
    pub terms: Vec<String>,
}

impl Operator {
    /// What is known of an entity, with an empty log that begins at `since`.
    ///
    /// # Errors
    ///
    /// [`OperatorError`]: a table cannot be read, the id is of another kind, or the secret key of another instance.
    /// Clerk's silence is a fact.
    pub async fn facts(&self, subject: &Subject, since: Millis) -> Result<(Named, Facts), OperatorError> {
        if !subject.is_of_a_known_kind() {
            return Err(OperatorError::WrongKind);
        }
        let instance = &self.applier.instance;
        let key = match subject {
            Subject::Entity(entity) => entity.key(instance),
            Subject::Internal(id) => id.user_key(),
        };
        let mut rows = self.stores.directory.read(std::slice::from_ref(&key)).await?;
        let row = take(&mut rows, &key);
        let entity = match subject {
            Subject::Entity(entity) => Some(entity.clone()),
            Subject::Internal(_) if row == Stored::Nothing => return Err(OperatorError::Unknown),
            Subject::Internal(_) => row.row().and_then(|row| row.entity()).filter(|entity| entity.key(instance) == key),
        };
        let above = entity.as_ref().map(EntityId::parents).unwrap_or_default();
        let keys: Vec<Key> = above.iter().map(|parent| parent.key(instance)).collect();
        let mut stored = self.stores.directory.read(&keys).await?;
        let mut parents = Vec::new();
        for (entity, key) in above.into_iter().zip(&keys) {
            let stored = take(&mut stored, key);
            let clerk = if stored == Stored::Nothing { self.in_clerk(&entity).await? } else { InClerk::NotAsked };
            parents.push(Parent { entity, stored, clerk });
        }
        let clerk = match &entity {
            Some(entity) => self.in_clerk(entity).await?,
            None => InClerk::NotAsked,
        };
        let now = (self.clock)();
        let runs = self.stores.operations.latest_runs(RUNS).await?;
        let held_by = match &entity {
            Some(entity) => self.holds(&runs, entity).await?,
            None => None,
        };
        // The note counts only under a tombstone.
        let user = row.row().filter(|row| row.is_deleted() && Kind::from_key(&key) == Some(Kind::User));
        let restored = match user.and_then(|_| owner_of_partition(&key.pk)) {
            Some(user) => self.stores.operations.restorations(&[user]).await?.remove(&user),
            None => None,
        };
        let policies = Policies {
            deletion: self.deletions.cascade.deletion,
            reconcile: self.policy,
            mirror: self.mirror,
            grace_hours: self.deletions.grace_hours,
        };
        let quarantine = self.notes(entity.as_ref(), now).await?;
        let terms = terms(entity.as_ref(), &key, instance);
        let log = Log::none(since);
        let facts = Facts {
            entity: entity.clone(),
            key: key.clone(),
            row,
            parents,
            clerk,
            quarantine,
            runs,
            held_by,
            restored,
            log,
            policies,
            now,
        };
        Ok((Named { entity, key, terms }, facts))
    }

    async fn in_clerk(&self, entity: &EntityId) -> Result<InClerk, OperatorError> {
        match self.applier.clerk.fetch_proven(entity).await {
            Ok(None) => Ok(InClerk::Nothing),
            Ok(Some(found)) => Ok(self.as_row(found)),
            // The ids of another instance say nothing about this one.
            Err(error @ ClerkError::Foreign(_)) => Err(error.into()),
            Err(ClerkError::SwitchedOff) => Ok(InClerk::Nothing),
            Err(error) => Ok(InClerk::Silent(error.to_string())),
        }
    }

    fn as_row(&self, found: Entity) -> InClerk {
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        context.entity(found).map_or(InClerk::Undated, |row| InClerk::Has(Box::new(row)))
    }

    /// The notes of events about an entity.
    async fn notes(&self, entity: Option<&EntityId>, now: Millis) -> Result<Vec<Note>, OperatorError> {
        let Some(entity) = entity else { return Ok(Vec::new()) };
        let id = entity.to_string();
        let mut notes: Vec<Note> =
            self.stores.operations.quarantined(&id, now).await?.iter().filter_map(note).collect();
        notes.sort_by_key(|note| std::cmp::Reverse(note.received_at));
        Ok(notes)
    }

    /// The latest run that found the entity absent, if its deletions are pending approval.
    async fn holds(&self, runs: &[Run], entity: &EntityId) -> Result<Option<RunId>, OperatorError> {
        let kind: Kind = entity.kind();
        let finished = runs.iter().find(|run| run.state != RunState::Running);
        let Some(run) =
            finished.filter(|run| run.state == RunState::PendingApproval && run.tally.get(kind).pending_approval > 0)
        else {
            return Ok(None);
        };
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let page = self.stores.operations.candidates(&run.run, kind, CandidatePage::Found, after.as_ref()).await?;
            let Some((place, candidates)) = page else { break };
            if candidates.iter().any(|candidate| candidate.absent && candidate.entity == *entity) {
                return Ok(Some(run.run.clone()));
            }
            after = Some(place);
        }
        Ok(None)
    }
}

fn take(rows: &mut Rows, key: &Key) -> Stored {
    match rows.items.remove(key) {
        Some(row) => Stored::Row(Box::new(row)),
        None if rows.unreadable.contains(key) => Stored::Unreadable,
        None => Stored::Nothing,
    }
}

fn note(fields: &Map<String, Value>) -> Option<Note> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let received_at = fields.get("received_at").and_then(Value::as_i64)?;
    Some(Note {
        received_at: Millis::try_from(received_at).ok()?,
        svix_id: text("sk")?,
        kind: text("type"),
        failed_at: text("failed_at").unwrap_or_default(),
    })
}
