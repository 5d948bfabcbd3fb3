//! `GET /sync`: validates the redirect target and detects redirect loops.

use url::Url;

use crate::core::session::origins::Origins;

/// Maximum number of passes of a browser within [`WINDOW_SECONDS`]. A page that redirects here because the session's
/// claims are outdated does so again, until Clerk has issued a token with new claims.
pub const MAX_PASSES: u32 = 3;
/// How long passes are counted, in seconds: longer than a session token is valid, so that a new token is used.
pub const WINDOW_SECONDS: u32 = 90;
/// The cookie that counts them.
pub const COOKIE: &str = "rollcall_sync";

/// Why a browser is not redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The target has another origin, contains a password, or is this route.
    Target,
    /// The browser comes back too often.
    Loop,
}

/// The URL to redirect to: `asked`, absolute or relative to the first allowed origin; without `asked` that origin's
/// root.
///
/// # Errors
///
/// [`Refusal::Target`] unless its origin is allowed; `here` is the path of this route, which is never a target.
pub fn target(asked: Option<&str>, origins: &Origins, here: &str) -> Result<Url, Refusal> {
    let home = origins.home().and_then(|origin| Url::parse(origin).ok()).ok_or(Refusal::Target)?;
    let target = asked.map_or(Ok(home.clone()), |asked| home.join(asked)).map_err(|_| Refusal::Target)?;
    // The origin of a `blob:` is that of the URL within.
    let is_page = matches!(target.scheme(), "https" | "http");
    let is_allowed = is_page && origins.allow(&target.origin().ascii_serialization());
    let is_plain = target.username().is_empty() && target.password().is_none();
    if is_allowed && is_plain && !is_this_route(&target, here) { Ok(target) } else { Err(Refusal::Target) }
}

/// Whether a target is this route: by its path, or with another path prefix of a proxy.
fn is_this_route(target: &Url, here: &str) -> bool {
    let path = target.path().trim_end_matches('/');
    let comes_back = target.query_pairs().any(|(name, _)| name == "redirect_url");
    path == here.trim_end_matches('/') || (path.ends_with("/sync") && comes_back)
}

/// Whether a request is a prefetch, by the headers of browsers and frameworks.
pub fn is_prefetch<'a>(header: impl Fn(&str) -> Option<&'a str>) -> bool {
    let says_so = |name: &str| header(name).is_some_and(|purpose| purpose.to_ascii_lowercase().contains("prefetch"));
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(says_so)
        || ["next-router-prefetch", "next-router-segment-prefetch", "x-middleware-prefetch"]
            .into_iter()
            .any(|name| header(name).is_some())
}

/// The number of this pass, by the cookie. An invalid cookie counts as none: the user could also have removed it.
///
/// # Errors
///
/// [`Refusal::Loop`] after [`MAX_PASSES`].
pub fn pass(cookie: Option<&str>) -> Result<u32, Refusal> {
    let earlier: u32 = cookie.and_then(|passes| passes.parse().ok()).unwrap_or_default();
    if earlier < MAX_PASSES { Ok(earlier + 1) } else { Err(Refusal::Loop) }
}

/// The `Set-Cookie` that counts a pass, without any id. It is valid for all paths: behind a proxy the browser may see
/// another path.
pub fn cookie(pass: u32) -> String {
    format!("{COOKIE}={pass}; Max-Age={WINDOW_SECONDS}; Path=/; HttpOnly; Secure; SameSite=Lax")
}

/// The sign-in page, with `target` as the page to open afterwards.
pub fn sign_in(page: &Url, target: &Url) -> Url {
    let mut page = page.clone();
    page.query_pairs_mut().append_pair("redirect_url", target.as_str());
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins::parse("https://app.example.com http://localhost:5173").unwrap()
    }

    #[test]
    fn a_browser_is_sent_to_allowed_origins_only() {
        for (asked, target) in [
            (None, "https://app.example.com/"),
            (Some("https://app.example.com/a?b=c#d"), "https://app.example.com/a?b=c#d"),
            (Some("https://app.example.com:443/"), "https://app.example.com/"),
            (Some("HTTPS://APP.example.com/x"), "https://app.example.com/x"),
            (Some("http://localhost:5173/x"), "http://localhost:5173/x"),
            (Some("/welcome"), "https://app.example.com/welcome"),
            (Some("welcome"), "https://app.example.com/welcome"),
            (Some(""), "https://app.example.com/"),
            (Some("https://app.example.com/\r\nSet-Cookie: a=b"), "https://app.example.com/Set-Cookie:%20a=b"),
        ] {
            let found = super::target(asked, &origins(), "/sync").unwrap_or_else(|_| panic!("{asked:?}"));
            assert_eq!(found.as_str(), target, "{asked:?}");
        }
        for foreign in [
            "https://evil.example.com/",
            "//evil.example.com/",
            "///evil.example.com/",
            r"\\evil.example.com\",
            r"/\evil.example.com/",
            "https:\\\\evil.example.com",
            "https://app.example.com.evil.com/",
            "https://app.example.com@evil.com/",
            "https://user@app.example.com/",
            "https://user:word@app.example.com/",
            "http://app.example.com/",
            "https://app.example.com:8443/",
            "http://localhost:3000/",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "blob:https://app.example.com/x",
            "file:///etc/passwd",
            "ftp://app.example.com/",
            "https://",
            "https://[::1",
            "\u{0}https://evil.example.com/",
            " https://evil.example.com/",
            "https://аpp.example.com/",
        ] {
            assert_eq!(super::target(Some(foreign), &origins(), "/sync"), Err(Refusal::Target), "{foreign:?}");
        }
    }

    #[test]
    fn a_browser_is_never_sent_to_this_very_route() {
        for asked in ["/sync", "/sync/", "/sync?redirect_url=/sync", "https://app.example.com/sync#x", "/a/../sync"] {
            assert_eq!(target(Some(asked), &origins(), "/sync"), Err(Refusal::Target), "{asked}");
        }
        // Nor where a proxy shows it under another path; a page of that name is a page.
        assert_eq!(target(Some("/rollcall/sync?redirect_url=/"), &origins(), "/sync"), Err(Refusal::Target));
        assert!(target(Some("/settings/sync"), &origins(), "/sync").is_ok());
    }

    #[test]
    fn the_fourth_pass_is_a_loop() {
        let mut cookie = None;
        for expected in [Ok(1), Ok(2), Ok(3), Err(Refusal::Loop), Err(Refusal::Loop)] {
            let found = pass(cookie.as_deref());
            assert_eq!(found, expected);
            cookie = found.map_or(cookie, |pass| Some(pass.to_string()));
        }
        for nonsense in ["", "-1", "x", "99999999999999999999"] {
            assert_eq!(pass(Some(nonsense)), Ok(1), "{nonsense}");
        }
        assert_eq!(pass(Some("4000000000")), Err(Refusal::Loop));
    }

    #[test]
    fn the_sign_in_page_learns_where_to_send_the_browser() {
        let page = Url::parse("https://accounts.example.com/sign-in?theme=dark").unwrap();
        let target = Url::parse("https://app.example.com/a?b=c&d=e").unwrap();
        let expected = "https://accounts.example.com/sign-in?theme=dark&redirect_url=https%3A%2F%2Fapp.example.com%2Fa%3Fb%3Dc%26d%3De";
        assert_eq!(sign_in(&page, &target).as_str(), expected);
    }
}
