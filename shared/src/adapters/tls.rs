//! One TLS provider for the whole process, and the clients of everything that is not AWS.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::redirect::Policy;

/// Makes ring the provider of every rustls client that is built from now on; reqwest panics without one.
pub fn use_ring() {
    // Fails only if a provider is installed already, which is then the one in use.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An HTTP client that is built at its first call: most invocations ask nobody but DynamoDB, and loading the root
/// certificates takes longer than the rest of the start.
#[derive(Debug)]
pub struct HttpsClient {
    timeout: Duration,
    client: OnceLock<reqwest::Client>,
}

impl HttpsClient {
    /// A client whose requests may take `timeout` each.
    pub fn new(timeout: Duration) -> HttpsClient {
        HttpsClient { timeout, client: OnceLock::new() }
    }

    /// The client. It follows no redirect: that would take a key elsewhere, and what answers there is not who was asked.
    ///
    /// # Errors
    ///
    /// [`reqwest::Error`] if it cannot be built.
    pub fn get(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        use_ring();
        let client = reqwest::Client::builder().timeout(self.timeout).redirect(Policy::none()).build()?;
        Ok(self.client.get_or_init(|| client))
    }
}
