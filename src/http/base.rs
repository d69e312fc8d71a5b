//! Base URLs: every form that users write, brought to one canonical form.
//!
//! ```
//! use metagpt_ollama_rs::http::{AddressSetting, BaseUrl};
//!
//! let base = BaseUrl::parse("http://user:secret@HOST:80/proxied/api/chat", AddressSetting::BaseUrl)?
//!     .without_endpoint(&["/api/chat".to_owned()]);
//! assert_eq!(base.display(), "http://host/proxied");
//! assert_eq!(base.url("/api/chat"), "http://host/proxied/api/chat");
//! assert_eq!(BaseUrl::parse("0.0.0.0", AddressSetting::Host)?.display(), "http://127.0.0.1:11434");
//! # Ok::<(), metagpt_ollama_rs::error::Error>(())
//! ```
//!
//! Accepted: `host`, `host:port`, `:port`, `http(s)://…`, IPv6 with or without brackets, a path, a trailing slash, white
//! space and quotes around it all. A path that ends in an endpoint (`/api`, `/v1`, `/api/chat`, `/v1/chat/completions`, …)
//! was copied from somewhere, and loses that; what stands before the endpoint is a reverse proxy's prefix and is kept.
//! `user:password@` is kept for basic authentication and never shown. A server that listens on a Unix socket is
//! `unix:///path/to.sock` ([`UnixSocket`]). Anything else is an error that says what to write.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use reqwest::Url;

use super::percent::percent_decoded;
use super::unix_socket::{self, UnixSocket};
use crate::error::{Error, Kind};
use crate::excerpt::excerpt;

/// How many characters of a scheme or a host a message shows.
const SHOWN: usize = 60;

/// Where Ollama listens unless told otherwise.
pub const DEFAULT_PORT: u16 = 11434;

/// Which setting a text comes from. That decides the port of `http://host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSetting {
    /// A `base_url` of a configuration: `http://host` means port 80, as everywhere on the web.
    BaseUrl,
    /// `OLLAMA_HOST`, or a host given alone: the port is 11434 unless it is written, and an empty text means the default.
    Host,
}

/// A canonical base URL: scheme, host, port, the prefix of a reverse proxy, credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    https: bool,
    /// The host as it stands in a URL: lower case, punycode, IPv6 in brackets.
    host: String,
    port: u16,
    /// The prefix of a reverse proxy: empty, or `/prefix` without a slash at its end.
    prefix: String,
    credentials: Option<(String, String)>,
    /// The socket on which the server listens, if it does not listen on a port: then the host is `localhost`, for the header
    /// `Host`.
    socket: Option<UnixSocket>,
}

impl BaseUrl {
    /// Reads `text`. Errors are `Kind::Config` and never contain a password.
    pub fn parse(text: &str, setting: AddressSetting) -> Result<Self, Error> {
        let text = trim(text);
        if text.is_empty() {
            return match setting {
                AddressSetting::Host => Ok(Self::default()),
                AddressSetting::BaseUrl => Err(wrong("it is empty")),
            };
        }
        if let Some(bad) = text.chars().find(|c| c.is_control()) {
            return Err(wrong(&format!(
                "it contains the control character U+{:04X}",
                u32::from(bad)
            )));
        }
        if let Some(address) = unix_socket::address(text) {
            return Self::on_socket(&address?);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let https = match scheme.as_deref() {
            None | Some("http") => false,
            Some("https") => true,
            Some(other) if other.chars().all(|c| c.is_ascii_alphanumeric()) => {
                return Err(wrong(&format!(
                    "its scheme is {:?}, not http or https",
                    excerpt(other, SHOWN)
                )));
            }
            // What stands before `://` may be part of a password, and is not quoted.
            Some(_) => return Err(wrong("what stands before its :// is not http or https")),
        };
        if scheme.is_none() && rest.starts_with('/') {
            return Err(wrong("it names no host"));
        }
        let cut = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(cut);
        if path.contains('@') {
            // The text is not quoted: what stands before the @ may be part of a password.
            return Err(Error::new(
                Kind::Config,
                "The base URL has an @ after its host. If that belongs to a password, write / as %2F, ? as %3F, # as \
                 %23 and @ as %40 in it.",
            ));
        }
        if let Some(mark) = path.chars().find(|c| matches!(c, '?' | '#' | '\\')) {
            return Err(wrong(&format!("it has a {mark:?} after the host")));
        }
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(credentials(user)), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address)?;
        if host.is_empty()
            && (port.is_none() && !(scheme.is_none() || setting == AddressSetting::Host))
        {
            return Err(wrong("it names no host"));
        }
        if scheme.is_none()
            && port.is_none()
            && matches!(host.to_ascii_lowercase().as_str(), "http" | "https")
        {
            return Err(wrong("its scheme is not followed by ://"));
        }
        let cloud = scheme.is_none() && port.is_none() && host.eq_ignore_ascii_case("ollama.com");
        let https = https || cloud;
        let port = port.unwrap_or(match (https, setting, scheme.is_some()) {
            (true, _, _) => 443,
            (false, AddressSetting::BaseUrl, true) => 80,
            (false, _, _) => DEFAULT_PORT,
        });
        Self::assemble(https, &host, port, path, credentials)
    }

    /// The base URL of a server that listens on a Unix socket.
    fn on_socket(address: &unix_socket::UnixAddress<'_>) -> Result<Self, Error> {
        let credentials = address.user.map(credentials);
        let base = Self::assemble(false, "localhost", 80, address.prefix, credentials)?;
        Ok(Self {
            socket: Some(UnixSocket::at(&address.path)?),
            ..base
        })
    }

    /// This base URL without the endpoint with which somebody has copied it: without one of the paths `endpoints`, or the
    /// beginning of one, at the end of its own path. What stands before it is the prefix of a reverse proxy, and is kept.
    #[must_use]
    pub fn without_endpoint(mut self, endpoints: &[String]) -> Self {
        let mut kept: Vec<&str> = segments(&self.prefix).collect();
        while let Some(count) = (0..kept.len()).find(|&count| {
            kept.get(count..)
                .is_some_and(|tail| begins_an_endpoint(tail, endpoints))
        }) {
            kept.truncate(count);
        }
        self.prefix = path_of(kept);
        self
    }

    /// The URL of `path` (such as `/api/chat`) on this server, without credentials, as messages show it.
    pub fn url(&self, path: &str) -> String {
        let slash = if path.starts_with('/') { "" } else { "/" };
        // What follows the path of a socket is told from it by a colon.
        let colon = if self.socket.is_some() && self.prefix.is_empty() {
            ":"
        } else {
            ""
        };
        format!("{self}{colon}{slash}{path}")
    }

    /// The URL of `path` as it is requested: that of [`BaseUrl::url`], but for a Unix socket, which is no part of a request.
    pub(super) fn request_url(&self, path: &str) -> String {
        match &self.socket {
            Some(_) => {
                let slash = if path.starts_with('/') { "" } else { "/" };
                format!("http://{}{}{slash}{path}", self.host, self.prefix)
            }
            None => self.url(path),
        }
    }

    /// The socket on which the server listens, if it does not listen on a port.
    pub(super) fn socket(&self) -> Option<&UnixSocket> {
        self.socket.as_ref()
    }

    /// The canonical form, without credentials.
    pub fn display(&self) -> String {
        self.to_string()
    }

    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// User and password for basic authentication.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.credentials
            .as_ref()
            .map(|(user, password)| (user.as_str(), password.as_str()))
    }

    /// Whether this is the same scheme, host and port as `other`.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port, &self.socket)
            == (other.https, &other.host, other.port, &other.socket)
    }

    /// This place with the user and password of `other`.
    pub(super) fn with_credentials_of(mut self, other: &Self) -> Self {
        self.credentials.clone_from(&other.credentials);
        self
    }

    /// Whether this is the machine itself: such traffic never goes through a proxy of the environment.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_end_matches('.');
        match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_loopback(),
            Ok(IpAddr::V6(address)) => {
                address.is_loopback()
                    || address
                        .to_ipv4_mapped()
                        .is_some_and(|address| address.is_loopback())
            }
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }

    /// Whether this is Ollama's own cloud, the one host that gets `OLLAMA_API_KEY` unasked.
    pub fn is_cloud(&self) -> bool {
        self.https
            && self.port == 443
            && matches!(
                self.host(),
                "ollama.com" | "www.ollama.com" | "api.ollama.com"
            )
    }

    fn assemble(
        https: bool,
        host: &str,
        port: u16,
        path: &str,
        credentials: Option<(String, String)>,
    ) -> Result<Self, Error> {
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        let scheme = if https { "https" } else { "http" };
        // What follows a colon or an @ may be part of a password.
        let quotable = credentials.is_none() && (host.starts_with('[') || !host.contains(':'));
        let nameless = || {
            wrong(&if quotable {
                format!("{:?} is no host name or address", excerpt(host, SHOWN))
            } else {
                "what it has for a host is no host name or address".to_owned()
            })
        };
        let url = Url::parse(&format!("{scheme}://{host}:{port}{path}")).map_err(|_| nameless())?;
        let host = match url.host_str() {
            Some("0.0.0.0") => "127.0.0.1",
            Some("[::]") => "[::1]",
            Some(host) if host.chars().all(is_host_character) => host,
            _ => return Err(nameless()),
        };
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
            prefix: path_of(segments(url.path())),
            credentials,
            socket: None,
        })
    }
}

impl Default for BaseUrl {
    fn default() -> Self {
        Self {
            https: false,
            host: "127.0.0.1".to_owned(),
            port: DEFAULT_PORT,
            prefix: String::new(),
            credentials: None,
            socket: None,
        }
    }
}

/// The canonical form, without credentials.
impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            write!(f, "unix://{}", socket.shown())?;
            if !self.prefix.is_empty() {
                write!(f, ":{}", self.prefix)?;
            }
            return Ok(());
        }
        let (scheme, usual) = if self.https {
            ("https", 443)
        } else {
            ("http", 80)
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.prefix)
    }
}

/// The canonical form as `Display` has it, so that credentials appear nowhere.
impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

/// An error that says what is wrong and what to write.
fn wrong(what: &str) -> Error {
    Error::new(
        Kind::Config,
        format!(
            "The base URL cannot be used: {what}. Write it as http://HOST:PORT, for example http://127.0.0.1:11434."
        ),
    )
}

/// What names and bracketed addresses consist of. URLs allow more, such as quotes, which no name server knows.
fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '[' | ':' | ']')
}

fn trim(mut text: &str) -> &str {
    loop {
        let trimmed = text.trim().trim_matches(['"', '\'']);
        if trimmed.len() == text.len() {
            return text;
        }
        text = trimmed;
    }
}

fn credentials(text: &str) -> (String, String) {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    (percent_decoded(user), percent_decoded(password))
}

/// Splits `host:port`, `[v6]:port`, a bare IPv6 address, or a host alone.
fn host_and_port(address: &str) -> Result<(Cow<'_, str>, Option<u16>), Error> {
    let (host, port) = if let Some(end) = address.strip_prefix('[').and_then(|rest| rest.find(']'))
    {
        let (host, tail) = address.split_at(end + 2);
        match tail.strip_prefix(':') {
            Some(port) => (host, port),
            None if tail.is_empty() => (host, ""),
            None => {
                return Err(wrong(
                    "more than a port stands after the brackets of its address",
                ));
            }
        }
    } else if address.parse::<Ipv6Addr>().is_ok() {
        return Ok((Cow::Owned(format!("[{address}]")), None));
    } else {
        address.rsplit_once(':').unwrap_or((address, ""))
    };
    if port.is_empty() {
        return Ok((Cow::Borrowed(host), None));
    }
    let number = Some(port)
        .filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|port| port.parse().ok());
    match number {
        Some(0) | None if port.len() <= 6 && port.parse::<i64>().is_ok() => {
            Err(wrong(&format!("{port:?} is no port (1 to 65535)")))
        }
        // What follows the colon may be a password, and is not quoted.
        Some(0) | None => Err(wrong(
            "what follows its last colon is no port (1 to 65535); @HOST has to follow a password",
        )),
        port => Ok((Cow::Borrowed(host), port)),
    }
}

/// The segments of a path that are not empty.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// `segments` as a path without a slash at its end: empty if there are none.
fn path_of<'s>(segments: impl IntoIterator<Item = &'s str>) -> String {
    segments
        .into_iter()
        .flat_map(|segment| ["/", segment])
        .collect()
}

/// Whether `tail` is the path of an endpoint, such as `/api/chat`, or begins like one: `/api`.
fn begins_an_endpoint(tail: &[&str], endpoints: &[String]) -> bool {
    endpoints.iter().any(|endpoint| {
        let mut rest = segments(endpoint);
        tail.iter().all(|segment| rest.next() == Some(segment))
    })
}
