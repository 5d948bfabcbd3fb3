//! Why events do not arrive, from what Svix and the stack say.

use strum::{Display, IntoStaticStr};

use super::{Endpoint, Wanted, missing_types};

/// A cause. Each has a page of the runbook.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord)]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// There is no endpoint of this stack.
    EndpointMissing,
    /// The endpoint has another URL than the stack.
    WrongUrl,
    /// The endpoint is disabled: nothing is sent.
    Disabled,
    /// The endpoint does not get all types.
    Filtered,
    /// Svix sends fewer messages in a second than there are.
    ThrottledAtSvix,
    /// Svix runs code on each payload.
    PayloadAltered,
    /// The endpoint signs with a secret that the stack does not have.
    WrongSecret,
    /// No server answers under the URL.
    Unreachable,
    /// API Gateway has no such route.
    RouteMissing,
    /// API Gateway answers 429.
    ThrottledAtUs,
    /// The clocks differ, or a proxy removes headers.
    Clock,
    /// The events are those of another Clerk instance.
    OtherInstance,
    /// The webhook function fails.
    OurFault,
    /// The webhook answers with another status, which is shown.
    OtherAnswer,
}

/// An attempt to deliver a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The HTTP status; 0 if no server answered.
    pub status: u16,
    /// The beginning of the answer's body.
    pub body: String,
    /// RFC 3339.
    pub at: String,
    /// Where it was sent.
    pub url: String,
    /// How long the answer took, in ms.
    pub duration_ms: u64,
    /// Whether somebody asked for it, as for an example or a message that is sent again.
    pub is_manual: bool,
    /// Whether Svix has its result.
    pub is_settled: bool,
}

/// Svix waits so long for an answer, in ms, less a little.
const PATIENCE_MS: u64 = 14_500;

impl Attempt {
    pub fn is_delivered(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Why the attempt failed.
    pub fn cause(&self) -> Option<Cause> {
        let says = |code: &str| self.body.contains(code);
        Some(match self.status {
            200..300 => return None,
            // The server has the request, and does not answer it in time.
            0 if self.duration_ms >= PATIENCE_MS => Cause::OurFault,
            0 => Cause::Unreachable,
            // The webhook's own 404 has a problem document; API Gateway's has not.
            404 if !says("urn:rollcall:problem") => Cause::RouteMissing,
            429 => Cause::ThrottledAtUs,
            400 if says("signature_invalid") => Cause::WrongSecret,
            400 if says("timestamp_stale") || says("signature_headers") => Cause::Clock,
            403 if says("foreign_instance") => Cause::OtherInstance,
            500.. => Cause::OurFault,
            _ => Cause::OtherAnswer,
        })
    }
}

/// What is known of the endpoint.
#[derive(Clone, Debug)]
pub struct Signs<'a> {
    /// The endpoint with the stack's uid, or one with the stack's URL.
    pub endpoint: Option<&'a Endpoint>,
    /// The latest ones first.
    pub attempts: &'a [Attempt],
    /// Whether the stack has the endpoint's secret; nothing if the stack's secrets cannot be read.
    pub has_secret: Option<bool>,
    /// Whether Svix runs code on payloads.
    pub has_transformation: bool,
    /// Messages that wait to be sent.
    pub pending: u64,
}

/// The causes that hold, the most likely one first. Nothing if events arrive.
pub fn causes(signs: &Signs<'_>, wanted: &Wanted) -> Vec<Cause> {
    let Some(endpoint) = signs.endpoint else { return vec![Cause::EndpointMissing] };
    let mut causes = Vec::new();
    let mut add = |holds: bool, cause: Cause| {
        if holds && !causes.contains(&cause) {
            causes.push(cause);
        }
    };
    add(endpoint.url != wanted.url, Cause::WrongUrl);
    add(endpoint.is_disabled, Cause::Disabled);
    add(!missing_types(endpoint).is_empty() || endpoint.channels.is_some(), Cause::Filtered);
    add(endpoint.throttle_rate.is_some() && signs.pending > 0, Cause::ThrottledAtSvix);
    add(signs.has_secret == Some(false), Cause::WrongSecret);
    // What was tried under another URL, or has no result yet, says nothing; an example is one of another instance.
    let says = |attempt: &&Attempt| {
        let is_example = attempt.is_manual && attempt.cause() == Some(Cause::OtherInstance);
        attempt.is_settled && attempt.url == endpoint.url && attempt.url == wanted.url && !is_example
    };
    // Only what fails now: an older failure has been delivered since.
    if let Some(cause) = signs.attempts.iter().find(says).and_then(Attempt::cause) {
        // A secret that was stored meanwhile may not be in use yet.
        add(true, cause);
    }
    add(signs.has_transformation, Cause::PayloadAltered);
    causes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn wanted() -> Wanted {
        Wanted::of(&"ins_1".parse().unwrap(), "rollcall", "https://x/webhooks/clerk")
    }

    fn endpoint() -> Endpoint {
        Endpoint {
            id: "ep_1".to_owned(),
            uid: None,
            url: wanted().url,
            is_disabled: false,
            types: None,
            channels: None,
            throttle_rate: None,
            metadata: BTreeMap::new(),
            updated_at: String::new(),
        }
    }

    fn of(endpoint: &Endpoint, attempts: &[(u16, &str)], signs: impl FnOnce(&mut Signs<'_>)) -> Vec<Cause> {
        let attempt = |(status, body): &(u16, &str)| Attempt {
            status: *status,
            body: (*body).to_owned(),
            at: String::new(),
            url: wanted().url,
            duration_ms: 5,
            is_manual: false,
            is_settled: true,
        };
        let attempts: Vec<Attempt> = attempts.iter().map(attempt).collect();
        let mut known = Signs {
            endpoint: Some(endpoint),
            attempts: &attempts,
            has_secret: Some(true),
            has_transformation: false,
            pending: 0,
        };
        signs(&mut known);
        causes(&known, &wanted())
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        let healthy = endpoint();
        assert_eq!(of(&healthy, &[(204, "")], |_| {}), []);
        assert_eq!(of(&healthy, &[(200, ""), (500, "")], |_| {}), [], "an earlier failure is over");
        for (attempt, cause) in [
            ((0, "connection refused"), Cause::Unreachable),
            ((404, "{\"message\":\"Not Found\"}"), Cause::RouteMissing),
            ((429, "{\"message\":\"Too Many Requests\"}"), Cause::ThrottledAtUs),
            ((400, "{\"type\":\"urn:rollcall:problem:signature_invalid\"}"), Cause::WrongSecret),
            ((400, "{\"type\":\"urn:rollcall:problem:timestamp_stale\"}"), Cause::Clock),
            ((400, "{\"type\":\"urn:rollcall:problem:signature_headers\"}"), Cause::Clock),
            ((403, "{\"type\":\"urn:rollcall:problem:foreign_instance\"}"), Cause::OtherInstance),
            ((503, ""), Cause::OurFault),
            ((500, ""), Cause::OurFault),
            ((404, "{\"type\":\"urn:rollcall:problem:route\"}"), Cause::OtherAnswer),
            ((302, ""), Cause::OtherAnswer),
        ] {
            assert_eq!(of(&healthy, &[attempt], |_| {}), [cause], "{attempt:?}");
        }
        let types = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        for (endpoint, cause) in [
            (Endpoint { url: "https://y/".to_owned(), ..endpoint() }, Cause::WrongUrl),
            (Endpoint { is_disabled: true, ..endpoint() }, Cause::Disabled),
            (Endpoint { types: types(&["user.created"]), ..endpoint() }, Cause::Filtered),
            (Endpoint { channels: types(&["a"]), ..endpoint() }, Cause::Filtered),
        ] {
            assert_eq!(of(&endpoint, &[], |_| {}), [cause]);
        }
        let throttled = Endpoint { throttle_rate: Some(1), ..endpoint() };
        assert_eq!(of(&throttled, &[], |_| {}), []);
        assert_eq!(of(&throttled, &[], |signs| signs.pending = 1), [Cause::ThrottledAtSvix]);
        assert_eq!(of(&healthy, &[(200, "")], |signs| signs.has_secret = Some(false)), [Cause::WrongSecret]);
        assert_eq!(of(&healthy, &[(200, "")], |signs| signs.has_secret = None), []);
        assert_eq!(of(&healthy, &[], |signs| signs.has_transformation = true), [Cause::PayloadAltered]);
        assert_eq!(of(&healthy, &[], |signs| signs.endpoint = None), [Cause::EndpointMissing]);
    }

    #[test]
    fn an_attempt_elsewhere_an_example_and_one_without_a_result_say_nothing() {
        let attempt = |status: u16, body: &str| Attempt {
            status,
            body: body.to_owned(),
            at: String::new(),
            url: wanted().url,
            duration_ms: 5,
            is_manual: false,
            is_settled: true,
        };
        let of = |attempts: &[Attempt]| {
            let endpoint = endpoint();
            let has_secret = Some(true);
            let signs =
                Signs { endpoint: Some(&endpoint), attempts, has_secret, has_transformation: false, pending: 0 };
            causes(&signs, &wanted())
        };
        assert_eq!(of(&[Attempt { url: "https://y/".to_owned(), ..attempt(404, "") }]), []);
        assert_eq!(of(&[Attempt { is_settled: false, ..attempt(0, "") }, attempt(500, "")]), [Cause::OurFault]);
        assert_eq!(of(&[Attempt { is_manual: true, ..attempt(403, "foreign_instance") }, attempt(200, "")]), []);
        assert_eq!(of(&[Attempt { is_manual: true, ..attempt(400, "signature_invalid") }]), [Cause::WrongSecret]);
        assert_eq!(of(&[attempt(403, "foreign_instance")]), [Cause::OtherInstance]);
        assert_eq!(of(&[Attempt { duration_ms: 15_001, ..attempt(0, "") }]), [Cause::OurFault]);
    }

    #[test]
    fn several_causes_come_in_the_order_in_which_they_stop_a_message() {
        let endpoint = Endpoint { is_disabled: true, url: "https://y/".to_owned(), ..endpoint() };
        let causes = of(&endpoint, &[(500, "")], |signs| signs.has_secret = Some(false));
        assert_eq!(causes, [Cause::WrongUrl, Cause::Disabled, Cause::WrongSecret]);
    }
}
