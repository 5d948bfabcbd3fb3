//! What the function does itself with a warm event: verify, parse, decide. In this process, without Lambda and without a store.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::HeaderMap;
use nix::time::ClockId;
use rollcall::adapters::clerk::webhook_signature::SvixSignature;
use rollcall::core::clerk::event::Envelope;
use rollcall::core::id::InstanceId;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::decide::{Plan, Policy, plan};
use rollcall::core::mirror::item::{Provenance, Writer};
use rollcall::core::mirror::projection::Context;
use rollcall::core::mirror::roles::Roles;
use rollcall::core::mirror::tombstone::DeletionPolicy;

use crate::events;
use crate::starts::median;

const BATCHES: u32 = 20;
const ROUNDS: u32 = 1_000;

/// CPU time of one event in µs, by this thread's own CPU clock: the median of the batches' means, after one batch for warming up.
///
/// # Errors
///
/// If the sample asks for anything but a write.
pub(crate) fn measure(now: Millis) -> anyhow::Result<f64> {
    let signed = events::user_updated(now, now, 0)?;
    let (body, headers) = (signed.body.as_bytes(), signed.headers()?);
    let signature = SvixSignature::new(events::WEBHOOK_SECRET)?;
    let instance: InstanceId = events::INSTANCE.parse()?;
    let mut means = Vec::new();
    for batch in 0..=BATCHES {
        let before = cpu()?;
        for _ in 0..ROUNDS {
            round(black_box(body), black_box(&headers), &signature, &instance, now)?;
        }
        if batch > 0 {
            means.push(cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / f64::from(ROUNDS));
        }
    }
    Ok(median(means))
}

/// The order of the function's own steps.
fn round(
    body: &[u8],
    headers: &HeaderMap,
    signature: &SvixSignature,
    instance: &InstanceId,
    now: Millis,
) -> anyhow::Result<()> {
    let delivery = signature.verify(body, headers, now)?;
    let Ok(envelope) = Envelope::parse(body) else { bail!("the sample cannot be parsed") };
    if !envelope.is_from(instance) {
        bail!("the sample is of another instance");
    }
    let dated = envelope.open().ok().flatten().context("the data of the sample event cannot be read")?;
    let provenance = Provenance { applied_at: now, applied_by: Writer::Webhook, delivery_id: Some(delivery) };
    let context = Context { instance, roles: Roles::usual(), provenance: &provenance };
    let policy = Policy { deletion: DeletionPolicy::Redact, mirror: true };
    match black_box(plan(dated, policy, &context, now)) {
        Plan::Write(_) => Ok(()),
        Plan::Ignore | Plan::Fetch(_) => bail!("the sample asks for no write"),
    }
}

fn cpu() -> anyhow::Result<Duration> {
    Ok(Duration::from(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?))
}
