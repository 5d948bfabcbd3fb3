//! One TLS provider for the whole process.

/// Makes ring the provider of every rustls client that is built from now on; reqwest panics without one.
pub fn use_ring() {
    // Fails only if a provider is installed already, which is then the one in use.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
