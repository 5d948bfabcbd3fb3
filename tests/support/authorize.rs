//! Calls the authorizer as API Gateway and AppSync do.

use authorizer::{Authorizer, service, settings::Settings};
use aws_sdk_dynamodb::Client;
use lambda_http::tower::ServiceExt;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::Value;

use crate::world::World;

/// The authorizer with the settings of a world.
pub(crate) fn function(client: &Client, lookup: &dyn Fn(&str) -> Option<String>) -> Authorizer {
    Authorizer::new(Settings::read(lookup).unwrap(), client)
}

impl World {
    /// Invokes the authorizer with an event: the answer, or the text of the error, which is all that API Gateway reads of one.
    ///
    /// # Errors
    ///
    /// The text of the function's error.
    ///
    /// # Panics
    ///
    /// If the answer cannot be written as JSON.
    pub async fn authorize(&self, event: Value) -> Result<Value, String> {
        let clock = self.functions.clock.clone();
        let mut context = Context::default();
        context.request_id = "the-invocation".to_owned();
        let called = service(self.authorizer.clone(), move || clock()).oneshot(LambdaEvent::new(event, context));
        called.await.map(|answer| serde_json::to_value(answer).unwrap()).map_err(|error| error.to_string())
    }
}
