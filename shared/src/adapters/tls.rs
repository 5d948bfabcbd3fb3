//! The TLS provider of the process, and HTTPS clients for everything except AWS.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::redirect::Policy;

/// Installs ring as the provider of all rustls clients; reqwest panics without a provider.
pub fn use_ring() {
    // Fails only if a provider is installed already; that one is then in use.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An HTTP client that is built at its first use: most invocations only use DynamoDB, and loading the root certificates
/// takes longer than the rest of the start.
#[derive(Debug)]
pub struct HttpsClient {
    timeout: Duration,
    client: OnceLock<reqwest::Client>,
}

impl HttpsClient {
    /// A client with a time limit of `timeout` for each request.
    pub fn new(timeout: Duration) -> HttpsClient {
        HttpsClient { timeout, client: OnceLock::new() }
    }

    /// The client. It follows no redirects: those would send the key to another server.
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
