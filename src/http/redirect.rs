//! Which redirects are followed: those that lead to another URL of the same host, without giving up TLS.
//!
//! ```text
//! POST http://host/api/chat   308  Location: https://host/api/chat   followed
//! POST http://host/api/chat   301  Location: https://host/api/chat   not followed: the request would lose its body
//! POST http://host/api/chat   308  Location: http://other/api/chat   not followed: another host
//! ```
//!
//! Another host may be run by somebody else, who must not be told what was asked. Whoever wrote the base URL may write that
//! host there.

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::base::{AddressSetting, BaseUrl};
use super::fault;
use crate::error::Error;
use crate::excerpt::excerpt;

/// How many redirects are followed, one after the other.
pub(super) const MAX: usize = 10;

/// How many characters of a URL a message shows.
const SHOWN: usize = 200;

/// Where a request goes on that `method` sent to `from`, or why it does not. `endpoints` are the paths of all endpoints.
pub(super) fn target(
    method: &Method,
    from: &Url,
    status: StatusCode,
    headers: &HeaderMap,
    endpoints: &[String],
) -> Result<Url, Error> {
    let target = headers
        .get(LOCATION)
        .and_then(|location| from.join(str::from_utf8(location.as_bytes()).ok()?).ok())
        .map(|mut target| {
            // These fail for a URL that cannot have a user and a password, which then has none.
            let _ = target.set_username("");
            let _ = target.set_password(None);
            target.set_fragment(None);
            target
        });
    let Some(target) = target else {
        return Err(fault::protocol(format!(
            "{} redirects to no usable place (status {status}).",
            shown(from)
        )));
    };
    match obstacle(method, from, status, &target) {
        None => Ok(target),
        Some(why) => {
            let advice = BaseUrl::parse(&bare(&target), AddressSetting::BaseUrl)
                .ok()
                .map(|base| base.without_endpoint(endpoints).display())
                .filter(|base| base.len() <= SHOWN)
                .map(|base| {
                    format!(". Write {base} as the base URL if that is the server you mean")
                });
            let why = format!("{why}{}", advice.unwrap_or_default());
            Err(refused(from, status, &target, &why))
        }
    }
}

/// Why the redirect from `from` to `target` is not followed.
pub(super) fn refused(from: &Url, status: StatusCode, target: &Url, why: &str) -> Error {
    fault::protocol(format!(
        "{} redirects to {} (status {status}), which is not followed: {why}.",
        shown(from),
        shown(target)
    ))
    .with_location(target.as_str())
}

fn obstacle(method: &Method, from: &Url, status: StatusCode, target: &Url) -> Option<&'static str> {
    match status.as_u16() {
        307 | 308 => {}
        301..=303 if *method == Method::GET || *method == Method::HEAD => {}
        301..=303 => return Some("with this status the request would lose its body"),
        _ => return Some("the status leaves the choice to the user"),
    }
    if !matches!(target.scheme(), "http" | "https") {
        return Some("it is neither http nor https");
    }
    if host(from) != host(target) {
        return Some("it is another host");
    }
    (from.scheme() == "https" && target.scheme() == "http").then_some("it gives up TLS")
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_end_matches('.')
}

/// The beginning of a URL for messages.
pub(super) fn shown(url: &Url) -> String {
    excerpt(&bare(url), SHOWN)
}

/// A URL without its query, which may hold a token.
fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}
