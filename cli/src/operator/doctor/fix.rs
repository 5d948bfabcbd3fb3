//! `rollcall doctor --fix`: releases a lease that nobody renews. Nothing else is safe to mend without an operator's look:
//! every other finding has its command or setting.

use std::time::Duration;

use rollcall::adapters::dynamo::operations::Operations;
use rollcall::adapters::dynamo::operations::runs::Lease;
use serde::Serialize;

use crate::operator::deployment::Deployment;
use crate::operator::reconcile::store;
use crate::operator::text::moment;

/// A fix that `--fix` makes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fix {
    /// What it does.
    pub(super) fix: String,
    /// Whether it was done; false for a plan, and if the lease was renewed.
    pub(super) done: bool,
    #[serde(skip)]
    lease: Lease,
}

/// The fixes of a deployment.
pub(super) fn plan(lease: Option<Lease>) -> Vec<Fix> {
    let fix = lease.map(|lease| {
        let fix = format!("release the lease of {} that lasts until {}", lease.holder, moment(lease.until));
        Fix { fix, done: false, lease }
    });
    fix.into_iter().collect()
}

/// Makes the fixes. A lease is watched first, and released only if it is still as it was read: a live run renews its
/// lease every minute, between two steps.
pub(super) async fn make(
    fixes: &mut [Fix],
    deployment: &Deployment,
    table: String,
    watch: Duration,
) -> anyhow::Result<()> {
    let operations = Operations::new(deployment.dynamodb.clone(), table);
    for fix in fixes {
        tokio::time::sleep(watch).await;
        let released = operations.remove_lease(&fix.lease).await;
        fix.done = released.map_err(|error| store(&error, &deployment.options))?;
    }
    Ok(())
}
