//! What `rollcall endpoint` prints for people.

use std::fmt::Display;

use rollcall::core::endpoint::cause::Cause;
use rollcall::core::endpoint::plan::{Change, Plan};
use rollcall::core::endpoint::{Endpoint, Wanted};

use super::status::Seen;
use crate::operator::text::{count, table};

/// The endpoint, and what is wrong with it.
pub(super) fn status(seen: &Seen, wanted: &Wanted, options: &impl Display) -> String {
    let mut text = match &seen.endpoint {
        None => format!("Clerk has no endpoint for {}.", wanted.url),
        Some(endpoint) => shown(endpoint, seen),
    };
    if seen.others > 0 {
        text.push_str(&format!("\n\n{} further endpoints belong to something else.", count(seen.others as u64)));
    }
    if seen.causes.is_empty() {
        text.push_str("\n\nEvents can arrive.");
    }
    for cause in &seen.causes {
        text.push_str(&format!("\n\n{cause}: {}", advice(*cause, options)));
    }
    if seen.endpoint.is_some() && !seen.is_managed {
        text.push_str(&format!(
            "\n\nThe endpoint was made by hand. `rollcall endpoint ensure --adopt {}{options}` takes it over.",
            seen.endpoint.as_ref().map(|endpoint| endpoint.id.as_str()).unwrap_or_default()
        ));
    }
    text
}

fn shown(endpoint: &Endpoint, seen: &Seen) -> String {
    let types = endpoint.types.as_ref().map_or("all".to_owned(), |types| count(types.len() as u64));
    let secret = match seen.has_secret {
        Some(true) => "the stack has it",
        Some(false) => "the stack does not have it",
        None => "cannot be read at Svix",
    };
    let latest = seen.attempts.first().map_or("none".to_owned(), |attempt| match attempt.status {
        0 => format!("{}: no answer", attempt.at),
        status => format!("{}: status {status}", attempt.at),
    });
    let rows = [
        ("endpoint", endpoint.id.clone()),
        ("url", endpoint.url.clone()),
        ("state", if endpoint.is_disabled { "disabled".to_owned() } else { "enabled".to_owned() }),
        ("types", types),
        ("signing secret", secret.to_owned()),
        ("messages delivered", count(seen.stats.delivered)),
        ("messages waiting", count(seen.stats.pending)),
        ("messages failed", count(seen.stats.failed)),
        ("latest attempt", latest),
    ];
    table(&["", ""], &rows.map(|(name, value)| vec![name.to_owned(), value]), 2).trim_start().to_owned()
}

/// What a cause means, and what to do.
pub(super) fn advice(cause: Cause, options: &impl Display) -> String {
    let ensure = format!("`rollcall endpoint ensure{options}`");
    match cause {
        Cause::EndpointMissing => format!("Clerk sends no events to this stack. {ensure} creates the endpoint."),
        Cause::WrongUrl => format!("the endpoint has another URL than the stack. {ensure} changes it."),
        Cause::Disabled => format!(
            "the endpoint is disabled, so nothing is sent. Svix disables an endpoint after five days of failures. Mend \
             what failed, then {ensure} enables it, and `rollcall reconcile{options}` stores what was missed."
        ),
        Cause::Filtered => format!("the endpoint does not get all nine types of events. {ensure} adds them."),
        Cause::ThrottledAtSvix => format!("the endpoint has a limit of messages in a second, and messages wait. {ensure} removes it."),
        Cause::PayloadAltered => "Svix runs code (a transformation) on the payloads: remove it in Clerk's dashboard.".to_owned(),
        Cause::WrongSecret => format!("the endpoint signs with a secret that the stack does not have. {ensure} stores it."),
        Cause::Unreachable => "no server answers under the URL: check the domain name, the certificate and the stack.".to_owned(),
        Cause::RouteMissing => "the HTTP API has no such route (404): check WebhookPath, and whether the stack was deployed completely.".to_owned(),
        Cause::ThrottledAtUs => "API Gateway answers 429: requests of others use up the limit of the route. Set WebhookPath.".to_owned(),
        Cause::Clock => "the webhook refuses the time of the signature, or lacks its headers: check proxies in front of the HTTP API, and the clock.".to_owned(),
        Cause::OtherInstance => "the events are those of another Clerk instance: check CLERK_SECRET_KEY and ClerkInstanceId.".to_owned(),
        Cause::OurFault => format!("the webhook function fails (5xx): see `rollcall tail{options}`."),
        Cause::OtherAnswer => format!("the webhook answers with another status: see `rollcall tail{options}`."),
    }
}

/// What will be done.
pub(super) fn plan(planned: &Plan, is_stored: bool, wanted: &Wanted) -> String {
    let mut lines = match planned {
        Plan::Create => vec![
            format!("Plan: create the endpoint {} for nine types of events", wanted.url),
            format!("  uid {}", wanted.uid),
        ],
        Plan::Change { id, .. } => vec![format!("Plan: change endpoint {id}")],
        Plan::Nothing { id } => vec![format!("Endpoint {id} is as it should be.")],
    };
    lines.extend(changes(planned).into_iter().map(|change| format!("  {change}")));
    if !is_stored {
        lines.push("  store its signing secret in Secrets Manager, before the earlier ones".to_owned());
    }
    lines.join("\n")
}

/// The changes in words.
pub(super) fn changes(planned: &Plan) -> Vec<String> {
    let Plan::Change { changes, .. } = planned else { return Vec::new() };
    let words = |change: &Change| match change {
        Change::Adopt => "take it over: set the uid and the owner".to_owned(),
        Change::Url { before } => format!("set the URL, which is {before}"),
        Change::Enable => "enable it".to_owned(),
        Change::Types { missing, further, .. } => {
            let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("set the types of events: {} are added, {} are removed", list(missing), list(further))
        }
        Change::Channels => "remove the channels".to_owned(),
        Change::Throttle { before } => format!("remove the limit of {before} messages in a second"),
    };
    changes.iter().map(words).collect()
}
