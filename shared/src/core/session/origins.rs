//! The allowed origins: the entries of `ALLOWED_ORIGINS`, exact origins and patterns for subdomains.

use url::Url;

/// Schemes of apps that are no web pages, with origins of the form `scheme://host`. Other schemes are rejected: most of
/// them are a misspelt `https`.
const APP_SCHEMES: [&str; 7] =
    ["app", "capacitor", "chrome-extension", "ionic", "moz-extension", "safari-web-extension", "tauri"];

/// One origin, or all direct subdomains of one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// An origin as browsers write it.
    Exact(String),
    /// `https://*.example.com`: one label for the star.
    Subdomains { scheme: String, rest: String },
}

/// The allowed origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl Origins {
    /// Origins, separated by commas or white space: scheme, host, and port unless it is the default one. A star may
    /// stand for the first label of a host. Nothing if the list is empty, or if an entry is not an origin as browsers
    /// write it.
    pub fn parse(text: &str) -> Option<Origins> {
        let listed = text.split([' ', ',', '\t', '\n']).filter(|origin| !origin.is_empty());
        let origins: Vec<Origin> = listed.map(Origin::parse).collect::<Option<_>>()?;
        (!origins.is_empty()).then_some(Origins(origins))
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an origin, as a browser or a token writes it, is allowed.
    pub fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known.allows(origin))
    }

    /// The first web origin without a star.
    pub fn home(&self) -> Option<&str> {
        self.0.iter().find_map(|origin| match origin {
            Origin::Exact(origin) if origin.starts_with("http") => Some(origin.as_str()),
            _ => None,
        })
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        let text = text.trim_end_matches('/');
        let (scheme, host) = text.split_once("://")?;
        if APP_SCHEMES.contains(&scheme) {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:".contains(&byte);
            return (!host.is_empty() && host.bytes().all(allowed)).then(|| Origin::Exact(text.to_owned()));
        }
        if let Some(rest) = host.strip_prefix('*') {
            // As a whole label, before a domain of at least two labels, or before localhost.
            let domain = rest.strip_prefix('.')?;
            let name = domain.split(':').next().unwrap_or_default();
            let is_domain = name == "localhost" || name.split('.').filter(|label| !label.is_empty()).count() >= 2;
            let is_numeric = name.split('.').next_back().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
            let exact = exact(&format!("{scheme}://{domain}"))?;
            let is_same = exact.ends_with(domain) && is_domain && !is_numeric;
            return is_same.then(|| Origin::Subdomains { scheme: scheme.to_owned(), rest: rest.to_owned() });
        }
        exact(text).map(Origin::Exact)
    }

    fn allows(&self, origin: &str) -> bool {
        match self {
            Origin::Exact(exact) => exact == origin,
            Origin::Subdomains { scheme, rest } => {
                let host = origin.strip_prefix(scheme.as_str()).and_then(|origin| origin.strip_prefix("://"));
                let label = host.and_then(|host| host.strip_suffix(rest.as_str()));
                let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
                label.is_some_and(|label| !label.is_empty() && label.bytes().all(allowed))
            }
        }
    }
}

/// An origin of the web as browsers write it: scheme, host and port, and no default port.
fn exact(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())?;
    let origin = url.origin().ascii_serialization();
    (origin == text && !text.contains('*')).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label_and_nothing_else() {
        let origins =
            Origins::parse("https://*.example.com https://*.example.org:8443 http://*.localhost:3000").unwrap();
        for good in [
            "https://a.example.com",
            "https://my-app-7.example.com",
            "https://a.example.org:8443",
            "http://a.localhost:3000",
        ] {
            assert!(origins.allow(good), "{good}");
        }
        for bad in [
            "https://example.com",
            "https://.example.com",
            "https://a.b.example.com",
            "http://a.example.com",
            "https://a.example.com:443",
            "https://a.example.com.evil.com",
            "https://evil.com/.example.com",
            "https://evil.com#.example.com",
            "https://evil.com:1@x.example.com",
            "https://A.example.com",
            "https://*.example.com",
            "https://aexample.com",
            "https://a.example.org",
            "null",
            "",
        ] {
            assert!(!origins.allow(bad), "{bad}");
        }
        assert_eq!(origins.home(), None);
    }

    #[test]
    fn applications_that_are_no_web_pages_can_be_named() {
        let listed = "tauri://localhost capacitor://localhost,https://app.example.com \
                      chrome-extension://abcdefghijklmnopabcdefghijklmnop http://tauri.localhost";
        let origins = Origins::parse(listed).unwrap();
        for good in listed.split([' ', ',']) {
            assert!(origins.allow(good), "{good}");
        }
        assert!(!origins.allow("tauri://elsewhere"));
        assert_eq!(origins.home(), Some("https://app.example.com"));
    }

    #[test]
    fn what_could_match_nobody_or_everybody_is_refused() {
        for wrong in [
            "https://my-app-*.vercel.app",
            "https://*-git.example.com",
            "https://a.*.example.com",
            "https://*.*.example.com",
            "https://**.example.com",
            "https://*example.com",
            "https://*",
            "https://*.com",
            "https://*.com.",
            "https://*.10.0.0.1",
            "https://*.example.com/x",
            "https://*.EXAMPLE.com",
            "https://*.example.com:443",
            "https://example.com:*",
            "*.example.com",
            "*://example.com",
            "tauri://",
            "tauri://*.localhost",
            "tauri://localhost/x",
            "chrome-extension://*",
            "file:///etc/passwd",
            "htps://example.com",
            "javascript://example.com",
            "null",
            "",
        ] {
            assert_eq!(Origins::parse(wrong), None, "{wrong}");
        }
    }
}
