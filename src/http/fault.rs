//! What went wrong, told in the crate's own error: kinds by the type of the cause, never by its wording.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use serde_json::Value;

use super::attempt::{ConnectTimeout, UnresolvedName};
use super::proxy::ProxyInfo;
use crate::error::{Cause, Error, Kind, Phase, Repeat};
use crate::excerpt::excerpt;
use crate::wire::error_text;

/// The longest server text that is put into a message.
const MAX_SHOWN: usize = 600;

/// A violation of HTTP or of Ollama's API.
pub(super) fn protocol(message: impl Into<String>) -> Error {
    Error::new(Kind::Protocol, message)
}

/// A request that got no reply head, in the general lane. `unresolved` is the name whose lookup failed, if one has.
pub(super) fn sending(
    error: reqwest::Error,
    https: bool,
    proxy: Option<&ProxyInfo>,
    unresolved: Option<&UnresolvedName>,
) -> Error {
    let mut failure = unsent(&error, https, proxy, unresolved);
    // Whose certificate it is, and what it says, is the server's matter; only an unknown issuer may be the proxy's own.
    let of_server = https
        && matches!(
            failure.cause,
            Some(Cause::Expired | Cause::NotYetValid | Cause::WrongName | Cause::NoTls)
        );
    if let Some(proxy) = proxy
        && !of_server
        && failure.kind != Kind::Config
    {
        failure = failure.with_proxy(Some(&proxy.shown));
    }
    failure.with_source(error.without_url())
}

fn unsent(
    error: &reqwest::Error,
    https: bool,
    proxy: Option<&ProxyInfo>,
    unresolved: Option<&UnresolvedName>,
) -> Error {
    let through = proxy
        .map(|proxy| format!(" through the proxy {}", proxy.shown))
        .unwrap_or_default();
    if let Some(ConnectTimeout(limit)) = cause(error) {
        return Error::timeout(Phase::Connect, *limit, &format!("a connection{through}"));
    }
    let root = root_cause(error);
    if error.is_builder() {
        let message = format!("The request cannot be sent: {root}.");
        return Error::new(Kind::Config, message);
    }
    if error.is_connect() {
        return unconnected(error, &root, https, proxy, unresolved);
    }
    let who = match proxy.filter(|proxy| proxy.http && !https) {
        Some(proxy) => format!("The proxy {}", proxy.shown),
        None => "The server".to_owned(),
    };
    match cause::<hyper::Error>(error) {
        Some(http) if http.is_parse() => no_http(&root, &through),
        _ => closed(&root, &who),
    }
}

/// The connection could not be made, for the reason `root`.
fn unconnected(
    error: &reqwest::Error,
    root: &str,
    https: bool,
    proxy: Option<&ProxyInfo>,
    unresolved: Option<&UnresolvedName>,
) -> Error {
    let through = proxy
        .map(|proxy| format!(" through the proxy {}", proxy.shown))
        .unwrap_or_default();
    if let Some(tls) = cause::<rustls::Error>(error) {
        return handshake(tls, &through);
    }
    if let Some(unresolved) = unresolved {
        return proxy.map_or_else(
            || unknown_server_name(&unresolved.reason),
            |proxy| unknown_name_with_proxy(unresolved, proxy),
        );
    }
    let io = io_kind(error);
    match (io, proxy) {
        (
            Some(
                ErrorKind::InvalidData
                | ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe,
            ),
            None,
        ) if https => unreachable(
            io,
            &format!("the TLS handshake failed ({root})"),
            "The server cannot be reached",
        )
        .with_cause(Cause::Handshake),
        (None, Some(proxy)) if root.ends_with(UNAUTHORIZED) => refusal(
            StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            "",
            Vec::new(),
            None,
            Some(&proxy.shown),
        ),
        (None, Some(proxy)) => {
            let shown = &proxy.shown;
            let message = format!("There is no connection through the proxy {shown} ({root}).");
            Error::new(Kind::Connect, message)
        }
        (Some(_), Some(proxy)) => unreachable(
            io,
            root,
            &format!("The proxy {} cannot be reached", proxy.shown),
        ),
        (_, None) => unreachable(io, root, "The server cannot be reached"),
    }
}

/// How hyper ends the error of a proxy that answers CONNECT with 407. Its type is private, and nothing else tells that
/// status from others.
const UNAUTHORIZED: &str = "proxy authorization required";

/// A TLS handshake that failed. The cure depends on the cause.
fn handshake(error: &rustls::Error, through: &str) -> Error {
    use rustls::CertificateError as Certificate;
    use rustls::Error as Tls;

    let (cause, what) = match error {
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => (
            Cause::Untrusted,
            "its certificate is signed by nobody whom this machine trusts".to_owned(),
        ),
        Tls::InvalidCertificate(Certificate::Other(reason)) => (
            Cause::Untrusted,
            format!("its certificate cannot be trusted ({reason})"),
        ),
        Tls::InvalidCertificate(Certificate::ExpiredContext { time, not_after }) => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            let ago = match days {
                0 => "today".to_owned(),
                1 => "yesterday".to_owned(),
                days => format!("{days} days ago"),
            };
            (Cause::Expired, format!("its certificate expired {ago}"))
        }
        Tls::InvalidCertificate(Certificate::Expired) => {
            (Cause::Expired, "its certificate expired".to_owned())
        }
        Tls::InvalidCertificate(
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. },
        ) => (
            Cause::NotYetValid,
            "its certificate is not valid yet by the clock of this machine".to_owned(),
        ),
        Tls::InvalidCertificate(Certificate::NotValidForNameContext {
            expected,
            presented,
        }) => (
            Cause::WrongName,
            format!(
                "its certificate is for {}, not for {}",
                names(presented),
                expected.to_str()
            ),
        ),
        Tls::InvalidCertificate(Certificate::NotValidForName) => (
            Cause::WrongName,
            "its certificate is for another name".to_owned(),
        ),
        Tls::InvalidMessage(_) => (
            Cause::NoTls,
            "what answers there does not speak TLS".to_owned(),
        ),
        other => (
            Cause::Handshake,
            format!("the TLS handshake failed ({other})"),
        ),
    };
    let message = format!("The server cannot be reached{through}: {what}.");
    Error::new(Kind::Connect, message).with_cause(cause)
}

/// The names of a certificate, which rustls gives in the form `DnsName("localhost")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all (it has no subjectAltName)".to_owned();
    }
    let bare = presented.iter().map(|name| {
        let inner = name
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"')
    });
    shortened(&bare.collect::<Vec<_>>().join(", "))
}

/// The name of the server cannot be resolved, for `reason`.
pub(super) fn unknown_server_name(reason: &str) -> Error {
    let message = format!("The server cannot be reached: its name is not known ({reason}).");
    Error::new(Kind::Connect, message).with_cause(Cause::UnknownName)
}

/// A name cannot be resolved that a request through a proxy needs: the proxy's own, or the server's, whose address the proxy wants.
fn unknown_name_with_proxy(unresolved: &UnresolvedName, proxy: &ProxyInfo) -> Error {
    let (UnresolvedName { name, reason }, shown) = (unresolved, &proxy.shown);
    let (cause, message) = if proxy.host == *name {
        (
            Cause::UnknownProxyName,
            format!("The proxy {shown} cannot be reached: its name is not known ({reason})."),
        )
    } else {
        (
            Cause::UnknownName,
            format!(
                "The server cannot be reached through the proxy {shown}: its name is not known here ({reason})."
            ),
        )
    };
    Error::new(Kind::Connect, message).with_cause(cause)
}

pub(super) fn unreachable(io: Option<ErrorKind>, cause: &str, what: &str) -> Error {
    let cause = match io {
        Some(ErrorKind::ConnectionRefused) => "nothing listens there (connection refused)",
        _ => cause,
    };
    let failure = Error::new(Kind::Connect, format!("{what}: {cause}."));
    match io {
        Some(
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted,
        ) => failure.with_repeat(Repeat::Safe, None),
        _ => failure,
    }
}

pub(super) fn closed(cause: &str, who: &str) -> Error {
    let message = format!("{who} closed the connection before it replied ({cause}).");
    Error::new(Kind::Connect, message)
        .with_cause(Cause::Closed)
        .with_repeat(Repeat::Unsure, None)
}

pub(super) fn no_http(cause: &str, through: &str) -> Error {
    protocol(format!(
        "The server's reply{through} is no valid HTTP: {cause}."
    ))
    .with_reply_begun()
}

/// Whether a pooled connection turned out to be dead before any byte of a reply, or with `unsent` before any byte of the
/// request.
pub(super) fn is_stale(error: &reqwest::Error, unsent: bool) -> bool {
    if error.is_connect() || error.is_builder() {
        return false;
    }
    cause::<hyper::Error>(error).is_some_and(|http| {
        // These two are of a request that its connection has not taken.
        http.is_canceled()
            || http.is_closed()
            || !unsent && (http.is_incomplete_message() || io_kind(http).is_some_and(broke_off))
    })
}

/// A body that could not be read to its end, in the general lane.
pub(super) fn reading(error: reqwest::Error) -> Error {
    let incomplete = cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_incomplete_message);
    let failure = match io_kind(&error) {
        Some(ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            broken_framing(&root_cause(&error))
        }
        Some(kind) if !broke_off(kind) && !incomplete => interrupted(&root_cause(&error)),
        _ => cut(),
    };
    failure.with_source(error.without_url())
}

pub(super) fn broken_framing(cause: &str) -> Error {
    protocol(format!("The reply's framing is broken: {cause}."))
}

pub(super) fn interrupted(cause: &str) -> Error {
    Error::new(Kind::Interrupted, format!("The reply broke off: {cause}."))
}

pub(super) fn cut() -> Error {
    Error::new(
        Kind::Interrupted,
        "The reply broke off: the server closed the connection before its end.",
    )
}

pub(super) fn broke_off(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof
    )
}

/// The error of a status of 400 or more. `proxy` may have replied in the server's place.
pub(super) fn refusal(
    status: StatusCode,
    media_type: &str,
    body: Vec<u8>,
    retry_after: Option<f64>,
    proxy: Option<&str>,
) -> Error {
    let text = server_text(media_type, &body);
    let proxy = proxy.filter(|_| is_of_proxy(status, &body));
    let who = proxy.map_or_else(
        || "The server".to_owned(),
        |proxy| format!("The proxy {proxy}"),
    );
    let shown = text
        .as_deref()
        .map(|text| format!(": {}", shortened(text)))
        .unwrap_or_default();
    let used_up =
        status == StatusCode::TOO_MANY_REQUESTS && text.as_deref().is_some_and(is_used_up);
    let repeat = match status {
        _ if used_up => Repeat::Never,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Repeat::Safe,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Repeat::Unsure,
        _ => Repeat::Never,
    };
    let missing = status == StatusCode::NOT_FOUND && is_about_a_model(text.as_deref(), &body);
    let error = Error::new(Kind::Status, format!("{who} answered {status}{shown}"))
        .after(status.as_u16())
        .with_proxy(proxy)
        .with_server_text(text, body)
        .with_repeat(repeat, retry_after);
    if used_up {
        error.with_quota_used_up()
    } else if missing {
        error.with_cause(Cause::MissingModel)
    } else {
        error
    }
}

/// Whether a 404 says that a model is missing. Its text differs by endpoint, but it stands in JSON; a path that does not
/// exist answers in plain text (docs/wire.md#14-paths-that-do-not-exist).
fn is_about_a_model(text: Option<&str>, body: &[u8]) -> bool {
    let names_it = text.is_some_and(|text| text.to_lowercase().contains("model"));
    names_it && body.trim_ascii_start().starts_with(b"{")
}

/// Whether the text of a 429 is about what an account may use in hours or days, not about too many requests at once.
fn is_used_up(text: &str) -> bool {
    const WORDS: [&str; 9] = [
        "usage limit",
        "quota",
        "upgrade",
        "billing",
        "credit",
        "hourly",
        "daily",
        "weekly",
        "monthly",
    ];
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// Whether a refusal that came through a proxy is the proxy's own. Ollama's have an error in JSON; only those of its
/// router (404, 405) and of a `Host` that it does not like (403, empty) have none, and proxies have these, too, for
/// what they forbid.
fn is_of_proxy(status: StatusCode, body: &[u8]) -> bool {
    match status.as_u16() {
        407 | 511 => true,
        403 | 500..=599 => error_of(body).is_none(),
        _ => false,
    }
}

/// The text of an error in JSON, in the body of a refusal.
fn error_of(body: &[u8]) -> Option<String> {
    let object: Value = serde_json::from_slice(body).ok()?;
    error_text(&object.get("error")?)
}

/// What the server says in the body of a refusal (`None` when it is empty): the text of Ollama's and `OpenAI`'s error
/// objects, nested JSON unwrapped; otherwise the body itself, of a web page the title only.
fn server_text(media_type: &str, body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    // A refusal that is labelled as a stream may have more than one line.
    let object = serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(text.lines().next().unwrap_or_default()));
    let object: Option<Value> = object.ok();
    let error = object.as_ref().and_then(|object| object.get("error"));
    if let Some(found) = error.as_ref().and_then(error_text) {
        return Some(found);
    }
    if media_type.contains("html") || text.starts_with('<') {
        return Some(web_page(text));
    }
    Some(text.to_owned())
}

/// A web page's title, or else the beginning of its text.
fn web_page(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = lower
        .find("<title>")
        .map(|at| at + "<title>".len())
        .and_then(|start| {
            let length = lower.get(start..)?.find("</title>")?;
            page.get(start..start + length)
        });
    let words = match title {
        Some(title) if !title.trim().is_empty() => title.to_owned(),
        _ => without_tags(page),
    };
    words
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(200)
        .collect()
}

fn without_tags(page: &str) -> String {
    let mut inside = false;
    page.chars()
        .filter_map(|c| match c {
            '<' => {
                inside = true;
                Some(' ')
            }
            '>' if inside => {
                inside = false;
                None
            }
            c => (!inside).then_some(c),
        })
        .collect()
}

/// A text as a message can bear it.
pub(super) fn shortened(text: &str) -> String {
    excerpt(text, MAX_SHOWN)
}

/// Seconds to wait: `Retry-After` is a number or an HTTP date.
pub(super) fn retry_after(value: &str) -> Option<f64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some(seconds);
    }
    let at = http_date(value)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    u32::try_from(at.saturating_sub(now)).ok().map(f64::from)
}

/// Seconds since 1970 of a date such as `Fri, 21 Aug 2026 17:00:05 GMT`, the one form that is still sent.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = u64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()?;
    let year: u64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..10_000).contains(year))?;
    let mut time = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok().filter(|part| *part < 61));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if words.next() != Some("GMT") {
        return None;
    }
    // Years are counted from March, so that a leap day is the last of its year.
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = year * 365 + leaps + (month * 153 + 2) / 5 + day - 1;
    (days * 86_400 + hour * 3600 + minute * 60 + second).checked_sub(719_468 * 86_400)
}

/// The first cause of type `T`, the error itself included.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(<dyn StdError>::downcast_ref)
}

/// The error and its causes. An `io::Error` passes the cause of what it wraps for its own; here nothing is left out.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

/// The kind of the innermost I/O error.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    chain(error)
        .filter_map(<dyn StdError>::downcast_ref)
        .map(std::io::Error::kind)
        .last()
}

/// The innermost cause in words, without a full stop. It names no URL.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let text = chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default();
    text.trim_end_matches('.').to_owned()
}
