//! What went wrong on a connection, as the crate's own error: its kind follows from the type of what went wrong. From words it
//! follows in one case: a proxy that answers CONNECT with 407, which hyper tells in words only ([`UNAUTHORIZED`]).
//!
//! ```text
//! reqwest::Error: connect: io::Error(ConnectionRefused)  ->  Kind::Connect, Repeat::Safe
//! reqwest::Error: connect: rustls::Error(UnknownIssuer)  ->  Kind::Connect, Cause::Untrusted
//! reqwest::Error: request: hyper::Error(parse)           ->  Kind::Protocol
//! ```

use std::error::Error as StdError;
use std::io::ErrorKind;

use reqwest::StatusCode;

use super::attempt::{ConnectTimeout, UnresolvedName};
use super::proxy::ProxyInfo;
use super::refusal::{refusal, shortened};
use super::unix_socket::UnixSocket;
use super::upload::UnreadableFile;
use crate::error::{Cause, Error, Kind, Phase, Repeat};

/// A file that cannot be sent to its end.
pub(super) fn unreadable_file(file: &UnreadableFile) -> Error {
    Error::new(Kind::Config, format!("The request cannot be sent: {file}."))
}

/// A violation of HTTP or of Ollama's API.
pub(super) fn protocol(message: impl Into<String>) -> Error {
    Error::new(Kind::Protocol, message)
}

/// A request that got no reply head, in the general lane. `socket` is that of the server, if it has one; `unresolved` is the
/// name whose lookup failed, if one has.
pub(super) fn send_error(
    error: reqwest::Error,
    https: bool,
    proxy: Option<&ProxyInfo>,
    socket: Option<&UnixSocket>,
    unresolved: Option<&UnresolvedName>,
) -> Error {
    if let Some(socket) = socket.filter(|_| error.is_connect())
        && cause::<ConnectTimeout>(&error).is_none()
        && let Some(io) = innermost_io(&error)
    {
        return socket.unreachable(io).with_source(error.without_url());
    }
    let mut failure = describe_send_error(&error, https, proxy, unresolved);
    // What a certificate says is the server's matter; only one of an unknown issuer may be that of a proxy that opens TLS.
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

/// How a message says that a request went through a proxy.
fn through(proxy: Option<&ProxyInfo>) -> String {
    proxy
        .map(|proxy| format!(" through the proxy {}", proxy.shown))
        .unwrap_or_default()
}

fn describe_send_error(
    error: &reqwest::Error,
    https: bool,
    proxy: Option<&ProxyInfo>,
    unresolved: Option<&UnresolvedName>,
) -> Error {
    let through = through(proxy);
    if let Some(ConnectTimeout(limit)) = cause(error) {
        return Error::timeout(Phase::Connect, *limit, &format!("a connection{through}"));
    }
    let root = root_cause(error);
    if let Some(file) = cause::<UnreadableFile>(error) {
        return unreadable_file(file);
    }
    if error.is_builder() {
        let message = format!("The request cannot be sent: {root}.");
        return Error::new(Kind::Config, message);
    }
    if error.is_connect() {
        return connect_error(error, &root, https, proxy, unresolved);
    }
    let who = match proxy.filter(|proxy| proxy.http && !https) {
        Some(proxy) => format!("The proxy {}", proxy.shown),
        None => "The server".to_owned(),
    };
    // A server may refuse a client's certificate, or its lack, only after the client's part of the handshake has ended.
    if let Some(refused) = cause::<rustls::Error>(error).filter(|tls| is_of_client(tls)) {
        return handshake_error(refused, &through);
    }
    match cause::<hyper::Error>(error) {
        Some(http) if http.is_parse() => no_http(&root, &through),
        _ => closed(&root, &who),
    }
}

/// The connection could not be made, for the reason `root`.
fn connect_error(
    error: &reqwest::Error,
    root: &str,
    https: bool,
    proxy: Option<&ProxyInfo>,
    unresolved: Option<&UnresolvedName>,
) -> Error {
    let through = through(proxy);
    if let Some(tls) = cause::<rustls::Error>(error) {
        return handshake_error(tls, &through);
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

/// Whether a server refuses the client for its certificate, or for having none.
fn is_of_client(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;

    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
        )
    )
}

/// A TLS handshake that failed. The cure depends on the cause.
fn handshake_error(error: &rustls::Error, through: &str) -> Error {
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
                certificate_names(presented),
                expected.to_str()
            ),
        ),
        Tls::InvalidCertificate(Certificate::NotValidForName) => (
            Cause::WrongName,
            "its certificate is for another name".to_owned(),
        ),
        Tls::AlertReceived(rustls::AlertDescription::CertificateRequired) => (
            Cause::ClientCertificate,
            "it demands a certificate of the client".to_owned(),
        ),
        Tls::AlertReceived(alert) if is_of_client(error) => (
            Cause::ClientCertificate,
            format!("it refuses the certificate of the client, or its lack ({alert:?})"),
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
fn certificate_names(presented: &[String]) -> String {
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

/// A name cannot be resolved that a request through a proxy needs: the proxy's own, or the server's, whose address the
/// proxy wants.
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
        // hyper says so of a request that its connection has not taken.
        http.is_canceled()
            || http.is_closed()
            || !unsent && (http.is_incomplete_message() || io_kind(http).is_some_and(broke_off))
    })
}

/// A body that could not be read to its end, in the general lane.
pub(super) fn read_error(error: reqwest::Error) -> Error {
    let incomplete = cause::<hyper::Error>(&error).is_some_and(hyper::Error::is_incomplete_message);
    let failure = match io_kind(&error) {
        Some(ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            broken_framing(&root_cause(&error))
        }
        Some(kind) if !broke_off(kind) && !incomplete => interrupted(&root_cause(&error)),
        _ => cut_short(),
    };
    failure.with_source(error.without_url())
}

pub(super) fn broken_framing(cause: &str) -> Error {
    protocol(format!("The reply's framing is broken: {cause}."))
}

pub(super) fn interrupted(cause: &str) -> Error {
    Error::new(Kind::Interrupted, format!("The reply broke off: {cause}."))
}

pub(super) fn cut_short() -> Error {
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

/// The first cause of type `T`, the error itself included.
pub(super) fn cause<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
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

/// The innermost I/O error.
fn innermost_io<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    chain(error)
        .filter_map(<dyn StdError>::downcast_ref::<std::io::Error>)
        .last()
}

/// The kind of the innermost I/O error.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    innermost_io(error).map(std::io::Error::kind)
}

/// The innermost cause in words, without a full stop. Such words name no URL.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let text = chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default();
    text.trim_end_matches('.').to_owned()
}
