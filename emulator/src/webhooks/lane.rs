//! The messages of one endpoint that are ready or wait, and which of them is next.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::registered::Registered;

#[derive(Debug)]
pub(super) struct Job {
    pub(super) delivery: usize,
    /// The number of later messages that are sent first.
    pub(super) overtaken_by: u32,
    pub(super) delayed_until: Instant,
    pub(super) is_manual: bool,
}

pub(super) struct Lane {
    pub(super) endpoint: Registered,
    pub(super) is_deleted: bool,
    /// When the throttle lets the next attempt go.
    pub(super) free: Option<Instant>,
    pub(super) ready: VecDeque<Job>,
    /// By time, then by order of arrival.
    pub(super) waiting: BTreeMap<(Instant, u64), Job>,
    pub(super) in_flight: usize,
}

impl Lane {
    pub(super) fn new(endpoint: Registered) -> Self {
        let (ready, waiting) = (VecDeque::new(), BTreeMap::new());
        Self { endpoint, is_deleted: false, free: None, ready, waiting, in_flight: 0 }
    }

    pub(super) fn promote(&mut self, now: Instant) {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            self.ready.push_back(first.remove());
        }
    }

    pub(super) fn next(&mut self, now: Instant, settling: bool) -> Option<Job> {
        if self.free.is_some_and(|free| free > now) {
            return None;
        }
        let free = self.ready.iter().position(|job| job.overtaken_by == 0 || job.delayed_until <= now);
        // If no later message is left, delayed messages are sent in their order.
        let chosen = free.or(if settling && !self.ready.is_empty() { Some(0) } else { None })?;
        for overtaken in self.ready.iter_mut().take(chosen) {
            overtaken.overtaken_by = overtaken.overtaken_by.saturating_sub(1);
        }
        self.ready.remove(chosen)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.waiting.keys().next().map(|(due, _)| *due);
        let delayed = self.ready.iter().map(|job| job.delayed_until).min();
        let due = waiting.into_iter().chain(delayed).min();
        due.map(|due| self.free.map_or(due, |free| due.max(free)))
    }
}
