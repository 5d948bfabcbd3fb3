//! `rollcall doctor --fix`: releases a lease that nobody renews. Nothing else is safe to mend without an operator's look:
//! every other finding has its command or setting.

use std::time::Duration;

use rollcall::adapters::dynamo::operations::Operations;
use rollcall::adapters::dynamo::operations::runs::Lease;
use serde::Serialize;

use crate::operator::deployment::Deployment;
use crate::operator::reconcile::store;
use crate::operator::text::moment;

/// How long a lease is watched before it is released. A live run renews it at least as often.
const WATCH: Duration = Duration::from_secs(10);

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

/// Makes the fixes. Each is made only if what it is about is still as it was read.
pub(super) async fn make(fixes: &mut [Fix], deployment: &Deployment, table: String) -> anyhow::Result<()> {
    let operations = Operations::new(deployment.dynamodb.clone(), table);
    for fix in fixes {
        tokio::time::sleep(WATCH).await;
        let released = operations.remove_lease(&fix.lease).await;
        fix.done = released.map_err(|error| store(&error, &deployment.options))?;
    }
    Ok(())
}
