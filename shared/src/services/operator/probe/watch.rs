//! Waits for the events of changes: in the Directory, and among an emulator's deliveries.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Group, LOOK, Probe, id};
use crate::adapters::clerk::probe::{Delivered, deliveries};
use crate::core::id::EntityId;
use crate::core::mirror::item::{Item, Writer};
use crate::core::probe::{self, Answer, Seen};
use crate::services::operator::OperatorError;

/// An emulator queues the events of a change before it answers.
const QUEUED: Duration = Duration::from_secs(1);

impl Probe<'_> {
    /// Whether an event brings a new entity into the Directory.
    pub(super) async fn connection(&self, entity: &EntityId, question: &'static str) -> Result<bool, OperatorError> {
        let begun = Instant::now();
        while begun.elapsed() <= self.wait && !self.is_stopping() {
            if self.row(entity).await?.is_some_and(|row| row.provenance.applied_by == Writer::Webhook) {
                let detail = format!("a new entity was in the Directory within {} ms", begun.elapsed().as_millis());
                self.answer(question, (Answer::Yes, detail));
                return Ok(true);
            }
            sleep(LOOK).await;
        }
        let detail = format!(
            "no event arrived within {} s: connect the webhook of this instance to the deployment to settle the \
             questions about events",
            self.wait.as_secs()
        );
        self.answer(question, (Answer::No, detail));
        Ok(false)
    }

    /// Waits until the write-back to a new user is done, so that no later change is taken for it.
    pub(super) async fn settle(&self, user: &str, is_connected: bool) -> Result<(), OperatorError> {
        let begun = Instant::now();
        while self.writes_back && is_connected && begun.elapsed() <= self.wait && !self.is_stopping() {
            let found = self.operator.applier.clerk.probe(&probe::user(user)).await?.unwrap_or_default();
            let metadata = &found["public_metadata"];
            if !metadata["dbId"].is_null() && !metadata["role"].is_null() {
                break;
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether a change of a user emitted `user.updated`. `sent` is the number of such deliveries before.
    pub(super) async fn event(
        &self,
        question: &'static str,
        user: &str,
        (before, after): (Option<i64>, Option<i64>),
        sent: Option<usize>,
        is_connected: bool,
    ) -> Result<(), OperatorError> {
        if sent.is_none() && !is_connected {
            self.answer(question, (Answer::NotKnown, "no event arrives at this deployment".to_owned()));
            return Ok(());
        }
        let entity = EntityId::User(id(user)?);
        let would_show = is_connected && after > before;
        let begun = Instant::now();
        let seen = loop {
            let in_deliveries = match sent {
                Some(before) => self.deliveries().await?.map(|sent| number(&sent, "user.updated", user) > before),
                None => None,
            };
            let is_newer = |row: &Item| i64::try_from(row.rank.version.get()).ok() >= after;
            let in_directory = would_show
                && self
                    .row(&entity)
                    .await?
                    .is_some_and(|row| row.provenance.applied_by == Writer::Webhook && is_newer(&row));
            let seen = Seen { in_directory, in_deliveries, would_show };
            let patience = if sent.is_some() { QUEUED.min(self.wait) } else { self.wait };
            // Without a way to see it, waiting is of no use.
            let is_over = begun.elapsed() > patience || (sent.is_none() && !would_show) || self.is_stopping();
            if in_directory || in_deliveries == Some(true) || is_over {
                break seen;
            }
            sleep(LOOK).await;
        };
        self.answer(question, probe::emitted(seen));
        Ok(())
    }

    /// Waits until the membership is in the Directory.
    pub(super) async fn arrived(
        &self,
        user: &str,
        organization: &str,
        is_connected: bool,
    ) -> Result<(), OperatorError> {
        let entity = EntityId::Membership { user: id(user)?, organization: id(organization)? };
        let begun = Instant::now();
        while is_connected && self.operator.mirror && begun.elapsed() <= self.wait && !self.is_stopping() {
            if self.row(&entity).await?.is_some() {
                break;
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Whether the deletion of a parent emitted the deletion of the membership.
    pub(super) async fn ended(
        &self,
        question: &'static str,
        user: &str,
        group: &Group,
        is_connected: bool,
    ) -> Result<(), OperatorError> {
        const DELETED: &str = "organizationMembership.deleted";
        let entity = EntityId::Membership { user: id(user)?, organization: id(&group.id)? };
        let begun = Instant::now();
        let seen = loop {
            let sent = self.deliveries().await?;
            let in_deliveries = sent.as_ref().map(|sent| number(sent, DELETED, &group.member) > 0);
            let in_directory = is_connected
                && self
                    .row(&entity)
                    .await?
                    .is_some_and(|row| row.deleted_at.is_some() && row.provenance.applied_by == Writer::Webhook);
            let patience = if in_deliveries.is_some() { QUEUED.min(self.wait) } else { self.wait };
            let is_over =
                begun.elapsed() > patience || (in_deliveries.is_none() && !is_connected) || self.is_stopping();
            if in_directory || in_deliveries == Some(true) || is_over {
                // A cascade may have been faster than the event, so its absence proves nothing.
                break Seen { in_directory, in_deliveries, would_show: false };
            }
            sleep(LOOK).await;
        };
        self.answer(question, probe::emitted(seen));
        Ok(())
    }

    pub(super) async fn row(&self, entity: &EntityId) -> Result<Option<Item>, OperatorError> {
        Ok(self.operator.stores.directory.get(&entity.key(&self.operator.applier.instance)).await?)
    }

    /// The number of each event of each entity; nothing without an emulator.
    pub(super) async fn deliveries(&self) -> Result<Option<Sent>, OperatorError> {
        let Some(emulator) = &self.emulator else { return Ok(None) };
        let mut sent = Sent::new();
        for Delivered { kind, entity_id } in deliveries(emulator).await? {
            *sent.entry((kind, entity_id)).or_default() += 1;
        }
        Ok(Some(sent))
    }
}

pub(super) type Sent = BTreeMap<(String, String), usize>;

pub(super) fn number(sent: &Sent, kind: &str, entity: &str) -> usize {
    sent.get(&(kind.to_owned(), entity.to_owned())).copied().unwrap_or_default()
}
