//! One entity: its row in the Directory, its record in Profiles, and what wrote the row.

use serde_json::{Map, Value};

use super::{Look, LookError, ids_of, parents};
use crate::core::id::{AnyUserId, Key, Kind, OrganizationId};
use crate::core::look::Seen;
use crate::core::mirror::item::{Item, Writer};
use crate::core::reconcile::run_id::RunId;

/// Recent runs among which the one is searched that wrote a row.
const RECENT_RUNS: i32 = 50;

/// One entity as it is stored.
#[derive(Debug)]
pub struct One {
    pub kind: Kind,
    /// The key of its row.
    pub key: Key,
    /// Its row; nothing if only the record exists.
    pub seen: Option<Seen>,
    /// Its record in Profiles. Organizations have none.
    pub record: Option<Map<String, Value>>,
    /// For a membership: the rows of its user and its organization, as far as they exist.
    pub parents: Vec<Seen>,
    /// The run of reconcile that wrote the row, if reconcile did and the run is one of the recent ones.
    pub run: Option<RunId>,
}

impl Look {
    /// The key of the entity with this id: for a user either id, for a membership `<organization id>/<user id>` with
    /// either id of the user.
    ///
    /// # Errors
    ///
    /// [`LookError::WrongKind`].
    pub fn key(&self, kind: Kind, id: &str) -> Result<Key, LookError> {
        let user = |id: &str| id.parse::<AnyUserId>().ok().map(|id| id.internal(&self.instance));
        let organization = |id: &str| id.parse::<OrganizationId>().ok().filter(|id| id.as_str().starts_with("org_"));
        let key = match kind {
            Kind::User => user(id).map(|id| id.user_key()),
            Kind::Organization => organization(id).map(|id| super::organization_key(&id)),
            Kind::Membership => {
                id.split_once('/').and_then(|(of, id)| Some(user(id)?.membership_key(&organization(of)?)))
            }
        };
        key.ok_or(LookError::WrongKind(ids_of(kind)))
    }

    /// Reads one entity, strongly consistent: one request, and another one for the run that wrote it.
    ///
    /// # Errors
    ///
    /// [`LookError`].
    pub async fn one(&self, kind: Kind, id: &str) -> Result<One, LookError> {
        let key = self.key(kind, id)?;
        let [user, organization] = parents(&key);
        let (keys, record) = match kind {
            Kind::User => (vec![&key], Some(Key { pk: key.pk.clone(), sk: "PROFILE".to_owned() })),
            Kind::Organization => (vec![&key], None),
            Kind::Membership => (vec![&key, &user, &organization], Some(key.clone())),
        };
        let found = self.stores.rows_with_record(&keys, record.as_ref()).await?;
        let rows = found.rows.into_iter().filter_map(Seen::new);
        let (mut own, parents): (Vec<Seen>, Vec<Seen>) = rows.partition(|seen| seen.key == key);
        let seen = own.pop();
        if seen.is_none() && found.record.is_none() {
            let is_uncopied = !self.mirror && kind != Kind::Organization;
            return Err(if is_uncopied { LookError::NoCopy } else { LookError::Unknown });
        }
        let run = match seen.as_ref().and_then(|seen| seen.item.as_ref()) {
            Some(item) if item.provenance.applied_by == Writer::Reconcile => self.run_of(item).await?,
            _ => None,
        };
        Ok(One { kind, key, seen, record: found.record, parents, run })
    }

    /// The run that was active when the row was written.
    async fn run_of(&self, item: &Item) -> Result<Option<RunId>, LookError> {
        let at = item.provenance.applied_at;
        let runs = self.stores.operations.latest_runs(RECENT_RUNS).await?;
        let of = |started_at, finished_at: Option<_>| started_at <= at && finished_at.is_none_or(|end| at <= end);
        Ok(runs.into_iter().find(|run| of(run.started_at, run.finished_at)).map(|run| run.run))
    }
}
