//! The TLS provider of the process, and HTTPS clients for everything except AWS.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use url::Host;

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
    /// Whether a proxy of the environment is used (`HTTPS_PROXY`, `HTTP_PROXY`).
    uses_proxy: bool,
    client: OnceLock<reqwest::Client>,
}

/// Whether a server is on this machine. A proxy cannot reach the port.
pub fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl HttpsClient {
    /// A client with a time limit of `timeout` for each request.
    pub fn new(timeout: Duration) -> HttpsClient {
        HttpsClient { timeout, uses_proxy: true, client: OnceLock::new() }
    }

    /// The same for one server, which is reached without a proxy if it is on this machine.
    pub fn of(server: &Url, timeout: Duration) -> HttpsClient {
        HttpsClient { uses_proxy: !is_on_this_machine(server), ..HttpsClient::new(timeout) }
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
        let client = reqwest::Client::builder().timeout(self.timeout).redirect(Policy::none());
        let client = if self.uses_proxy { client } else { client.no_proxy() }.build()?;
        Ok(self.client.get_or_init(|| client))
    }
}
