//! What to do by hand when Svix cannot be asked.

use rollcall::adapters::svix::ControlError;
use rollcall::core::endpoint::Wanted;
use serde_json::{Value, json};

use crate::Status;
use crate::operator::say;

/// The steps in Clerk's dashboard.
fn steps(wanted: &Wanted) -> [String; 5] {
    let types: Vec<String> = Wanted::types().into_iter().collect();
    [
        "Open https://dashboard.clerk.com/~/webhooks and select the application and the instance of this stack.".to_owned(),
        format!("Open the endpoint with the URL {}, or select Add Endpoint and enter this URL.", wanted.url),
        "If the endpoint is disabled, enable it. Look at Message Attempts: an attempt shows the status of the answer."
            .to_owned(),
        format!("Under Subscribe to events, select exactly these: {}.", types.join(", ")),
        "Copy the Signing Secret into CLERK_WEBHOOK_SECRET of the secret in Secrets Manager that the parameter SecretArn \
         names."
            .to_owned(),
    ]
}

/// Prints the error and the steps. Nothing was changed, and nothing is known of the endpoint.
pub(super) fn print(error: &ControlError, wanted: &Wanted, is_json: bool) -> anyhow::Result<Status> {
    let steps = steps(wanted);
    if is_json {
        let answer: Value = json!({
            "error": "control_unavailable", "reason": error.to_string(), "url": wanted.url, "types": Wanted::types(),
            "steps": steps,
        });
        say(answer)?;
    } else {
        let numbered = steps.iter().enumerate().map(|(at, step)| format!("  {}. {step}", at + 1));
        say(format_args!(
            "{error}. This says nothing about the endpoint: events may arrive. Run the command again, or use Clerk's \
             dashboard:\n\n{}",
            numbered.collect::<Vec<_>>().join("\n")
        ))?;
    }
    Ok(Status::Failure)
}
