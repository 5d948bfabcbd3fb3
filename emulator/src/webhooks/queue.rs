//! The delivery queue: selects the next message and updates its state after each attempt. Pure logic, no IO, no clock.
//!
//! Each endpoint has messages that are ready, in the order of the changes, and messages that wait for a time: a retry
//! or a delay. The fault setting `reorder` delays a ready message until later ones have been sent. The delay counts
//! messages, not time, so the order is the same in every run; the time limit only prevents a single message from
//! waiting without end.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::lane::{Job, Lane};
use super::message::{Followed, Kept, Message, Outcome, Wish};
use super::registered::Registered;
use super::{Delivery, DeliveryState, Endpoint};
use crate::faults::Fate;

/// The longest delay of a message that waits for later messages.
const MAX_REORDER_DELAY: Duration = Duration::from_secs(2);

/// An attempt to make now.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) delivery: usize,
    pub(crate) endpoint: usize,
    pub(crate) message: Arc<Message>,
    is_manual: bool,
}

struct Record {
    message: Arc<Message>,
    endpoint: usize,
    state: DeliveryState,
    attempts: Vec<Kept>,
    /// The failures since the schedule began.
    failures: usize,
    /// The message is sent once more after its delivery, after this many further messages.
    repeated_after: Option<u32>,
    /// Whether the message is sent again although the endpoint has asked to stop.
    ignores_abort: bool,
}

/// All endpoints with all their messages.
pub(crate) struct Queue {
    lanes: Vec<Lane>,
    /// All messages, also those of which no endpoint was told.
    messages: Vec<Arc<Message>>,
    records: Vec<Record>,
    schedule: Vec<Duration>,
    concurrency: usize,
    arrivals: u64,
    /// The number of callers that wait for an empty queue: for them, delayed messages are sent at once.
    settling: usize,
}

impl Queue {
    pub(crate) fn new(schedule: Vec<Duration>, concurrency: usize) -> Self {
        let (lanes, messages, records) = (Vec::new(), Vec::new(), Vec::new());
        Self { lanes, messages, records, schedule, concurrency: concurrency.max(1), arrivals: 0, settling: 0 }
    }

    pub(crate) fn add_endpoint(&mut self, endpoint: Registered) {
        self.lanes.push(Lane::new(endpoint));
    }

    /// The endpoints that exist, with their indexes.
    pub(crate) fn registered(&self) -> impl Iterator<Item = (usize, &Registered)> {
        self.lanes.iter().enumerate().filter(|(_, lane)| !lane.is_deleted).map(|(at, lane)| (at, &lane.endpoint))
    }

    /// An endpoint, also one that was deleted.
    pub(crate) fn endpoint(&self, endpoint: usize) -> &Registered {
        &self.lanes[endpoint].endpoint
    }

    /// Changes an endpoint. If it is disabled afterwards, its messages are not sent any more.
    pub(crate) fn change<T>(&mut self, endpoint: usize, change: impl FnOnce(&mut Registered) -> T) -> T {
        let changed = change(&mut self.lanes[endpoint].endpoint);
        if self.lanes[endpoint].endpoint.disabled {
            self.end(endpoint);
        }
        changed
    }

    pub(crate) fn delete(&mut self, endpoint: usize) {
        self.lanes[endpoint].is_deleted = true;
        self.end(endpoint);
    }

    /// Ends the retries of an endpoint.
    fn end(&mut self, endpoint: usize) {
        let lane = &mut self.lanes[endpoint];
        let ended = lane.ready.drain(..).chain(std::mem::take(&mut lane.waiting).into_values());
        for job in ended {
            self.records[job.delivery].state = DeliveryState::Failed;
        }
    }

    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.registered().map(|(_, endpoint)| endpoint.shown()).collect()
    }

    /// All messages, the oldest first.
    pub(crate) fn messages(&self) -> &[Arc<Message>] {
        &self.messages
    }

    /// What became of the messages at the endpoints, in the order of the messages.
    pub(crate) fn followed(&self) -> impl Iterator<Item = Followed> {
        self.records.iter().enumerate().map(|(delivery, record)| Followed {
            message: Arc::clone(&record.message),
            endpoint: record.endpoint,
            state: record.state,
            attempts: record.attempts.clone(),
            next: self.lanes[record.endpoint]
                .waiting
                .iter()
                .find(|(_, job)| job.delivery == delivery)
                .map(|((due, _), _)| *due),
        })
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.records.iter().map(|record| self.show(record)).collect()
    }

    /// Adds the message for every endpoint, each with faults of its own.
    pub(crate) fn push(&mut self, message: Message, mut fate: impl FnMut() -> Fate, now: Instant) {
        let message = Arc::new(message);
        self.messages.push(Arc::clone(&message));
        for endpoint in 0..self.lanes.len() {
            // Drawn for each endpoint, so that a filter changes no other fault.
            let fate = fate();
            let lane = &self.lanes[endpoint];
            if lane.is_deleted || !lane.endpoint.accepts(&message.event_type) {
                continue;
            }
            let delivery = self.records.len();
            self.records.push(Record {
                message: Arc::clone(&message),
                endpoint,
                state: if fate.dropped { DeliveryState::Dropped } else { DeliveryState::Pending },
                attempts: Vec::new(),
                failures: 0,
                repeated_after: fate.repeated_after,
                ignores_abort: fate.ignores_abort,
            });
            if !fate.dropped {
                let due = now + fate.delay + self.schedule.first().copied().unwrap_or_default();
                let delayed_until = due + MAX_REORDER_DELAY;
                let job = Job { delivery, overtaken_by: fate.overtaken_by, delayed_until, is_manual: false };
                self.enter(endpoint, job, due, now);
            }
        }
    }

    /// Sends the message again to all its endpoints, whatever its state. Returns the deliveries; empty if there is no
    /// such message.
    pub(crate) fn replay(&mut self, svix_id: &str, now: Instant) -> Vec<Delivery> {
        let concerned: Vec<usize> =
            (0..self.records.len()).filter(|index| self.records[*index].message.svix_id == svix_id).collect();
        for &delivery in &concerned {
            self.send_again(delivery, now);
        }
        concerned.into_iter().map(|index| self.show(&self.records[index])).collect()
    }

    /// Sends these messages to one endpoint: those that were sent before are sent again, the others for the first time.
    pub(crate) fn resend(&mut self, endpoint: usize, messages: &[Arc<Message>], now: Instant) {
        for message in messages {
            let earlier = self
                .records
                .iter()
                .position(|record| record.endpoint == endpoint && record.message.svix_id == message.svix_id);
            let delivery = earlier.unwrap_or_else(|| {
                self.records.push(Record {
                    message: Arc::clone(message),
                    endpoint,
                    state: DeliveryState::Pending,
                    attempts: Vec::new(),
                    failures: 0,
                    repeated_after: None,
                    ignores_abort: false,
                });
                self.records.len() - 1
            });
            self.send_again(delivery, now);
        }
    }

    fn send_again(&mut self, delivery: usize, now: Instant) {
        let endpoint = self.records[delivery].endpoint;
        let lane = &mut self.lanes[endpoint];
        // A waiting retry is made earlier instead of sent twice.
        lane.waiting.retain(|_, job| job.delivery != delivery);
        lane.ready.retain(|job| job.delivery != delivery);
        self.records[delivery].state = DeliveryState::Pending;
        self.records[delivery].failures = 0;
        let job = Job { delivery, overtaken_by: 0, delayed_until: now, is_manual: true };
        self.enter(endpoint, job, now, now);
    }

    /// All attempts to make at this time.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Task> {
        let mut tasks = Vec::new();
        let settling = self.settling > 0;
        for (endpoint, lane) in self.lanes.iter_mut().enumerate() {
            lane.promote(now);
            while lane.in_flight < self.concurrency {
                let Some(job) = lane.next(now, settling) else { break };
                lane.in_flight += 1;
                lane.free =
                    lane.endpoint.throttle_rate.map(|rate| now + Duration::from_secs(1) / u32::from(rate.max(1)));
                let message = Arc::clone(&self.records[job.delivery].message);
                tasks.push(Task { delivery: job.delivery, endpoint, message, is_manual: job.is_manual });
            }
        }
        tasks
    }

    /// The time of the next attempt, if nothing else happens before.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let free = self.lanes.iter().filter(|lane| lane.in_flight < self.concurrency);
        free.filter_map(Lane::next_due).min()
    }

    /// Updates the state of a message after an attempt and plans the next one.
    pub(crate) fn finish(&mut self, task: &Task, outcome: Outcome, now: Instant) {
        let record = &mut self.records[task.delivery];
        let lane = &mut self.lanes[task.endpoint];
        lane.in_flight -= 1;
        let is_delivered = outcome.attempt.status.is_some_and(|status| (200..300).contains(&status));
        record.attempts.push(Kept {
            // The message and the place among its attempts are the id: nothing must be issued here.
            id: format!(
                "atmpt_{}{:02}",
                &record.message.svix_id[record.message.svix_id.len().min(6)..],
                record.attempts.len()
            ),
            attempt: outcome.attempt,
            url: lane.endpoint.url.clone(),
            response: outcome.response,
            duration_ms: outcome.duration_ms,
            is_manual: task.is_manual,
        });
        lane.endpoint.attempted(is_delivered, outcome.attempt.at);
        if outcome.wish == Some(Wish::Disable) && !is_delivered {
            lane.endpoint.disabled = true;
            lane.endpoint.updated_at = outcome.attempt.at;
        }
        if lane.endpoint.disabled && !is_delivered {
            record.state = DeliveryState::Failed;
            self.end(task.endpoint);
            return;
        }
        if is_delivered {
            record.state = DeliveryState::Delivered;
            if let Some(overtaken_by) = record.repeated_after.take() {
                record.state = DeliveryState::Pending;
                lane.ready.push_front(Job {
                    delivery: task.delivery,
                    overtaken_by,
                    delayed_until: now + MAX_REORDER_DELAY,
                    is_manual: false,
                });
            }
        } else if outcome.wish == Some(Wish::AbortMessage) && !record.ignores_abort {
            record.state = DeliveryState::Aborted;
        } else {
            record.failures += 1;
            match self.schedule.get(record.failures) {
                None => record.state = DeliveryState::Failed,
                Some(wait) => {
                    let (wait, endpoint) = (*wait, task.endpoint);
                    let job = Job { delivery: task.delivery, overtaken_by: 0, delayed_until: now, is_manual: false };
                    self.enter(endpoint, job, now + wait, now);
                }
            }
        }
    }

    /// Whether no message is pending or in progress.
    pub(crate) fn is_settled(&self) -> bool {
        self.lanes.iter().all(|lane| lane.in_flight == 0 && lane.ready.is_empty() && lane.waiting.is_empty())
    }

    pub(crate) fn begin_settling(&mut self) {
        self.settling += 1;
    }

    pub(crate) fn end_settling(&mut self) {
        self.settling -= 1;
    }

    fn enter(&mut self, endpoint: usize, job: Job, due: Instant, now: Instant) {
        self.arrivals += 1;
        let lane = &mut self.lanes[endpoint];
        if due <= now {
            lane.ready.push_back(job);
        } else {
            lane.waiting.insert((due, self.arrivals), job);
        }
    }

    fn show(&self, record: &Record) -> Delivery {
        Delivery {
            svix_id: record.message.svix_id.clone(),
            event_type: record.message.event_type.clone(),
            entity_id: record.message.entity_id.clone(),
            endpoint: self.lanes[record.endpoint].endpoint.url.clone(),
            state: record.state,
            attempts: record.attempts.iter().map(|kept| kept.attempt).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::Attempt;

    const SECOND: Duration = Duration::from_secs(1);

    /// A queue with one endpoint and the messages 1, 2, 3 …, each with its faults.
    fn queue(concurrency: usize, fates: &[Fate], now: Instant) -> Queue {
        let mut queue = Queue::new(vec![Duration::ZERO, SECOND], concurrency);
        let (id, url, secret) = ("ep_1".to_owned(), "http://127.0.0.1:1/".to_owned(), "whsec_".to_owned());
        queue.add_endpoint(Registered::new(id, url, secret, 0));
        for (index, fate) in fates.iter().enumerate() {
            let (event_type, entity_id, body) = (String::new(), String::new(), String::new());
            let message = Message { svix_id: (index + 1).to_string(), event_type, entity_id, body, at: 0 };
            queue.push(message, || *fate, now);
        }
        queue
    }

    fn delayed(overtaken_by: u32) -> Fate {
        Fate { overtaken_by, ..Fate::default() }
    }

    fn outcome(status: u16, wish: Option<Wish>) -> Outcome {
        Outcome { attempt: Attempt { at: 0, status: Some(status) }, wish, response: String::new(), duration_ms: 0 }
    }

    fn finish(queue: &mut Queue, task: &Task, status: u16, now: Instant) {
        queue.finish(task, outcome(status, None), now);
    }

    /// Takes and delivers messages until the queue has none.
    fn drain(queue: &mut Queue, now: Instant) -> String {
        let mut order = String::new();
        loop {
            let tasks = queue.take(now);
            if tasks.is_empty() {
                return order;
            }
            for task in tasks {
                order += &task.message.svix_id;
                finish(queue, &task, 200, now);
            }
        }
    }

    #[test]
    fn a_held_message_goes_when_so_many_have_overtaken_it() {
        let now = Instant::now();
        let plain = Fate::default();
        let repeated = Fate { repeated_after: Some(1), ..plain };
        let cases = [
            (vec![plain, plain, plain], "123"),
            (vec![delayed(1), plain, plain], "213"),
            (vec![delayed(2), plain, plain, plain], "2314"),
            (vec![delayed(1), delayed(1), plain, plain], "3124"),
            (vec![repeated, plain, plain], "1213"),
            (vec![Fate { dropped: true, ..plain }, plain], "2"),
        ];
        for (fates, order) in cases {
            assert_eq!(drain(&mut queue(1, &fates, now), now), order, "{fates:?}");
        }
    }

    #[test]
    fn a_message_that_nothing_overtakes_waits_for_its_time_or_for_somebody_who_settles() {
        let now = Instant::now();
        let mut waiting = queue(1, &[delayed(3)], now);
        assert_eq!(drain(&mut waiting, now), "");
        assert_eq!(waiting.next_due(), Some(now + MAX_REORDER_DELAY));
        assert_eq!(drain(&mut waiting, now + MAX_REORDER_DELAY), "1");
        let mut waiting = queue(1, &[delayed(3)], now);
        waiting.begin_settling();
        assert_eq!(drain(&mut waiting, now), "1");
        assert!(waiting.is_settled());
    }

    #[test]
    fn a_sender_that_ignores_the_header_goes_on_with_its_schedule() {
        let now = Instant::now();
        for (ignores_abort, state) in [(false, DeliveryState::Aborted), (true, DeliveryState::Failed)] {
            let mut queue = queue(1, &[Fate { ignores_abort, ..Fate::default() }], now);
            let mut at = now;
            while let Some(task) = queue.take(at).pop() {
                queue.finish(&task, outcome(422, Some(Wish::AbortMessage)), at);
                at += SECOND;
            }
            let delivery = queue.deliveries().remove(0);
            assert_eq!((delivery.state, delivery.attempts.len()), (state, if ignores_abort { 2 } else { 1 }));
        }
    }

    #[test]
    fn no_more_are_under_way_than_the_concurrency_allows() {
        let now = Instant::now();
        let mut queue = queue(2, &[Fate::default(); 3], now);
        let tasks = queue.take(now);
        assert_eq!(tasks.len(), 2);
        assert!(queue.take(now).is_empty());
        finish(&mut queue, &tasks[1], 200, now);
        assert_eq!(queue.take(now)[0].message.svix_id, "3");
    }

    #[test]
    fn a_replay_brings_a_waiting_retry_forward_instead_of_doubling_it() {
        let now = Instant::now();
        let mut queue = queue(1, &[Fate::default()], now);
        let first = queue.take(now).remove(0);
        finish(&mut queue, &first, 500, now);
        assert!(queue.take(now).is_empty());
        assert_eq!(queue.next_due(), Some(now + SECOND));
        assert_eq!(queue.replay("1", now).len(), 1);
        assert_eq!(drain(&mut queue, now + SECOND), "1");
        assert!(queue.is_settled());
    }
}
