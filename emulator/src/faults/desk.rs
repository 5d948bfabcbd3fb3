//! Decides with a seeded random generator which fault a message, a request or a page gets.

use std::time::Duration;

use fastrand::Rng;

use super::{Faults, Once};

/// The faults of one message to one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) dropped: bool,
    pub(crate) delay: Duration,
    /// The number of later messages that are sent first.
    pub(crate) overtaken_by: u32,
    /// The message is sent a second time, after this many further messages.
    pub(crate) repeated_after: Option<u32>,
    /// The message is sent again although the endpoint has asked to stop.
    pub(crate) ignores_abort: bool,
}

/// The fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFate {
    Answered,
    Unauthorized,
    TooManyRequests,
    ServerError,
    /// A proxy's 404, not Clerk's.
    HiddenByProxy,
}

/// A simulated change during a listing, with two random numbers that select the entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intrusion {
    pub(crate) shift: Shift,
    pub(crate) first: u64,
    pub(crate) second: u64,
}

/// The kind of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    UserCreated,
    UserDeleted,
    MembershipCreated,
    MembershipDeleted,
}

/// The fault settings and their random generators. Webhooks, requests and most faults have separate generators: the
/// number of requests does not change which webhooks are lost.
pub(crate) struct FaultDesk {
    faults: Faults,
    default_seed: u64,
    messages: Rng,
    requests: Rng,
    svix: Rng,
    proxies: Rng,
    pages: Rng,
    repetitions: Rng,
    omissions: Rng,
    intruders: Rng,
}

impl FaultDesk {
    pub(crate) fn new(faults: Faults, default_seed: u64) -> Self {
        let seed = faults.seed.unwrap_or(default_seed);
        Self {
            faults,
            default_seed,
            messages: Rng::with_seed(seed ^ 0x6d65_7373_6167_6573),
            requests: Rng::with_seed(seed ^ 0x7265_7175_6573_7473),
            svix: Rng::with_seed(seed ^ 0x7376_6978_0000_0000),
            proxies: Rng::with_seed(seed ^ 0x7072_6f78_6965_7300),
            pages: Rng::with_seed(seed ^ 0x7061_6765_7300_0000),
            repetitions: Rng::with_seed(seed ^ 0x7265_7065_7469_7469),
            omissions: Rng::with_seed(seed ^ 0x6f6d_6973_7369_6f6e),
            intruders: Rng::with_seed(seed ^ 0x696e_7472_7564_6572),
        }
    }

    pub(crate) fn set(&mut self, faults: Faults) {
        *self = Self::new(faults, self.default_seed);
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Every random number is drawn for every message, whatever the settings: changing one setting does not change the
    /// choices of the others.
    pub(crate) fn message(&mut self) -> Fate {
        let webhooks = &self.faults.webhooks;
        let random = &mut self.messages;
        let dropped = random.f64() < webhooks.drop;
        let repeated = random.f64() < webhooks.duplicate;
        let repeated_after = random.u32(0..=2);
        let overtaken = random.f64() < webhooks.reorder;
        let overtaken_by = random.u32(1..=3);
        Fate {
            dropped,
            delay: Duration::from_millis(webhooks.delay_ms),
            overtaken_by: if overtaken { overtaken_by } else { 0 },
            repeated_after: repeated.then_some(repeated_after),
            ignores_abort: webhooks.ignore_abort,
        }
    }

    /// The fault of a request. `operation` is the method and the route template, `of_one_entity` is whether the request
    /// reads exactly one entity.
    pub(crate) fn request(&mut self, operation: &str, of_one_entity: bool) -> RequestFate {
        let api = &self.faults.api;
        let random = &mut self.requests;
        let unauthorized = random.f64() < api.unauthorized;
        let too_many = random.f64() < api.too_many_requests;
        let broken = random.f64() < api.server_error;
        let hidden = self.proxies.f64() < api.not_found;
        if !confined_to(&api.requests, operation) {
            RequestFate::Answered
        } else if unauthorized {
            RequestFate::Unauthorized
        } else if too_many {
            RequestFate::TooManyRequests
        } else if broken {
            RequestFate::ServerError
        } else if hidden && of_one_entity {
            RequestFate::HiddenByProxy
        } else {
            RequestFate::Answered
        }
    }

    /// The fault of one request to Svix.
    pub(crate) fn svix_request(&mut self, operation: &str) -> RequestFate {
        let svix = &self.faults.svix;
        let too_many = self.svix.f64() < svix.too_many_requests;
        let broken = self.svix.f64() < svix.server_error;
        match confined_to(&svix.requests, operation) {
            true if too_many => RequestFate::TooManyRequests,
            true if broken => RequestFate::ServerError,
            _ => RequestFate::Answered,
        }
    }

    /// The faults that occur once, for the caller to take.
    pub(crate) fn once(&mut self) -> &mut Once {
        &mut self.faults.svix.once
    }

    /// The rows that a list returns. `rows` has up to `limit` rows and the row after the page, if there is one.
    pub(crate) fn page<T: Clone>(&mut self, list: &str, limit: usize, mut rows: Vec<T>) -> Vec<T> {
        let api = &self.faults.api;
        let empty = self.pages.f64() < api.empty_page;
        let short = self.pages.f64() < api.short_page;
        let (repeated, repeated_at) = (self.repetitions.f64() < api.repeated_row, self.repetitions.u64(..));
        let (skipped, skipped_at) = (self.omissions.f64() < api.skipped_row, self.omissions.u64(..));
        if !confined_to(&api.lists, list) {
            rows.truncate(limit);
            return rows;
        }
        let limit = limit.min(api.limit_clamp.unwrap_or(limit));
        let on_page = limit.min(rows.len());
        if skipped && on_page > 0 {
            // Neither the first nor the last, where there are others: both ends of the page look right.
            let inner = picked(skipped_at, on_page.saturating_sub(2).max(1));
            rows.remove(if on_page > 2 { inner + 1 } else { 0 });
        }
        rows.truncate(limit);
        if repeated && rows.len() > 1 {
            let index = picked(repeated_at, rows.len() - 1);
            rows.insert(index, rows[index].clone());
            rows.pop();
        }
        if empty {
            rows.clear();
        } else if short {
            rows.truncate(rows.len() / 2);
        }
        rows
    }

    /// The simulated change after a list was answered, if there is one.
    pub(crate) fn intrusion(&mut self) -> Option<Intrusion> {
        let random = &mut self.intruders;
        let strikes = random.f64() < self.faults.api.churn;
        let shift = match random.u8(0..6) {
            0 | 1 => Shift::UserCreated,
            2 | 3 => Shift::UserDeleted,
            4 => Shift::MembershipCreated,
            _ => Shift::MembershipDeleted,
        };
        let intrusion = Intrusion { shift, first: random.u64(..), second: random.u64(..) };
        strikes.then_some(intrusion)
    }
}

/// Random numbers are drawn for other names, too: limiting the faults does not change the choices.
fn confined_to(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|named| named == name)
}

/// An index below `of`, selected by a random number.
fn picked(random: u64, of: usize) -> usize {
    usize::try_from(random % (of as u64)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{ApiFaults, WebhookFaults};

    fn desk(webhooks: WebhookFaults) -> FaultDesk {
        FaultDesk::new(Faults { webhooks, ..Faults::default() }, 7)
    }

    fn api_desk(api: ApiFaults) -> FaultDesk {
        FaultDesk::new(Faults { api, ..Faults::default() }, 7)
    }

    /// Forty pages of ten rows, with the row after each page.
    fn pages(desk: &mut FaultDesk) -> Vec<Vec<u32>> {
        (0..40).map(|_| desk.page("/v1/users", 10, (0..11).collect())).collect()
    }

    #[test]
    fn changing_one_setting_leaves_the_choices_of_the_others_alone() {
        let mut plain = desk(WebhookFaults { drop: 0.3, ..WebhookFaults::default() });
        let mut busy = desk(WebhookFaults { drop: 0.3, duplicate: 1.0, reorder: 0.5, ..WebhookFaults::default() });
        let dropped = |desk: &mut FaultDesk| (0..100).map(|_| desk.message().dropped).collect::<Vec<_>>();
        assert_eq!(dropped(&mut plain), dropped(&mut busy));
    }

    #[test]
    fn every_fault_of_a_list_strikes_where_it_does_without_the_others() {
        let all = ApiFaults {
            empty_page: 0.2,
            repeated_row: 0.3,
            skipped_row: 0.3,
            limit_clamp: Some(8),
            not_found: 0.5,
            churn: 0.5,
            ..ApiFaults::default()
        };
        let mut busy = api_desk(all);
        let together: Vec<Vec<u32>> = (0..200)
            .map(|_| {
                busy.request("GET /v1/users", false);
                busy.intrusion();
                busy.page("/v1/users", 10, (0..11).collect())
            })
            .collect();
        let struck = |api: ApiFaults, symptom: fn(&[u32]) -> bool| {
            let mut alone = api_desk(api);
            (0..200).map(|_| symptom(&alone.page("/v1/users", 10, (0..11).collect()))).collect::<Vec<_>>()
        };
        let empty = struck(ApiFaults { empty_page: 0.2, ..ApiFaults::default() }, <[u32]>::is_empty);
        let repeated = struck(ApiFaults { repeated_row: 0.3, ..ApiFaults::default() }, |rows| !distinct(rows));
        let skipped = struck(ApiFaults { skipped_row: 0.3, ..ApiFaults::default() }, |rows| rows.contains(&10));
        for (at, rows) in together.iter().enumerate() {
            assert_eq!(rows.is_empty(), empty[at], "page {at}: {rows:?}");
            if !rows.is_empty() {
                assert_eq!(rows.len(), 8, "page {at}: {rows:?}");
                assert_eq!(!distinct(rows), repeated[at], "page {at}: {rows:?}");
                let gap = rows.windows(2).any(|pair| pair[1] > pair[0] + 1);
                assert_eq!(gap, skipped[at], "page {at}: {rows:?}");
            }
        }
        for setting in [&empty, &repeated, &skipped] {
            assert!(setting.contains(&true) && setting.contains(&false), "{setting:?}");
        }
    }

    fn distinct(rows: &[u32]) -> bool {
        rows.windows(2).all(|pair| pair[0] != pair[1])
    }

    #[test]
    fn a_repeated_row_keeps_the_length_and_pushes_the_last_row_out() {
        for rows in pages(&mut api_desk(ApiFaults { repeated_row: 1.0, ..ApiFaults::default() })) {
            assert_eq!((rows.len(), rows.last()), (10, Some(&8)), "{rows:?}");
            assert!(!distinct(&rows), "{rows:?}");
        }
        let mut desk = api_desk(ApiFaults { repeated_row: 1.0, ..ApiFaults::default() });
        assert_eq!(desk.page("/v1/users", 10, vec![7]), [7], "nothing to push out");
        assert!(desk.page("/v1/users", 10, Vec::<u32>::new()).is_empty());
    }

    #[test]
    fn a_skipped_row_is_replaced_by_the_next_one_or_makes_the_last_page_shorter() {
        let mut desk = api_desk(ApiFaults { skipped_row: 1.0, ..ApiFaults::default() });
        for rows in pages(&mut desk) {
            assert_eq!((rows.len(), rows.first(), rows.last()), (10, Some(&0), Some(&10)), "{rows:?}");
            assert_eq!((1..9).filter(|row| !rows.contains(row)).count(), 1, "{rows:?}");
        }
        assert_eq!(desk.page("/v1/users", 10, vec![1, 2, 3]), [1, 3]);
        assert_eq!(desk.page("/v1/users", 10, vec![1, 2]), [2]);
        assert_eq!(desk.page("/v1/users", 1, vec![1, 2]), [2]);
        assert!(desk.page("/v1/users", 10, vec![1]).is_empty());
        assert!(desk.page("/v1/users", 10, Vec::<u32>::new()).is_empty());
    }

    #[test]
    fn confined_faults_leave_the_others_alone_and_strike_at_the_same_places() {
        let everywhere = ApiFaults { short_page: 0.5, server_error: 0.5, ..ApiFaults::default() };
        let confined = ApiFaults {
            lists: vec!["/v1/users".to_owned()],
            requests: vec!["GET /v1/users".to_owned()],
            limit_clamp: Some(3),
            ..everywhere
        };
        let (mut all, mut some) = (api_desk(everywhere), api_desk(confined));
        for round in 0..50 {
            let (list, struck) = if round % 2 == 0 { ("/v1/users", true) } else { ("/v1/organizations", false) };
            let operation = format!("GET {list}");
            let (fate, rows) = (all.request(&operation, false), all.page(list, 10, (0..11).collect::<Vec<_>>()));
            let (expected_fate, expected) =
                if struck { (fate, rows.len() * 3 / 10) } else { (RequestFate::Answered, 10) };
            assert_eq!(some.request(&operation, false), expected_fate, "round {round}");
            assert_eq!(some.page(list, 10, (0..11).collect::<Vec<_>>()).len(), expected, "round {round}");
        }
    }

    #[test]
    fn only_requests_for_one_entity_are_hidden_by_a_proxy() {
        let mut desk = api_desk(ApiFaults { not_found: 1.0, ..ApiFaults::default() });
        assert_eq!(desk.request("GET /v1/users/{user_id}", true), RequestFate::HiddenByProxy);
        assert_eq!(desk.request("GET /v1/users", false), RequestFate::Answered);
    }

    #[test]
    fn setting_the_same_faults_again_restarts_the_same_random_sequence() {
        let mut desk = desk(WebhookFaults { drop: 0.5, ..WebhookFaults::default() });
        let first: Vec<_> = (0..50).map(|_| desk.message()).collect();
        desk.set(desk.faults().clone());
        assert_eq!(first, (0..50).map(|_| desk.message()).collect::<Vec<_>>());
    }
}
