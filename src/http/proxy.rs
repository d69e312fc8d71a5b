//! When a proxy is used: an explicit one always, one of the environment for other machines only.
//!
//! ```text
//! HTTP_PROXY=http://proxy:3128  NO_PROXY=.lan,10.0.0.0/8
//! http://example.com:11434  ->  through http://proxy:3128
//! http://gpu.lan:11434      ->  directly, because NO_PROXY names it
//! http://127.0.0.1:11434    ->  directly, because it is this machine
//! ```
//!
//! reqwest's own reading of the environment is switched off, because it sends loopback traffic through `HTTP_PROXY`,
//! and a local Ollama behind a company's proxy is the usual victim.

use std::net::IpAddr;

use reqwest::Url;

use super::base::BaseUrl;
use crate::error::{Error, Kind};

/// Where requests go through.
#[derive(Clone, Default)]
pub enum ProxyRule {
    /// Requests go straight to the server.
    #[default]
    Direct,
    /// Requests go through this proxy, whatever the host, because the user asked for it. Its URL may hold `user:password@`.
    Explicit(String),
    /// Requests go where the environment says, except those to this machine, which go straight to it.
    Environment(ProxyVariables),
}

/// The proxy variables of an environment.
#[derive(Clone, Default)]
pub struct ProxyVariables {
    pub http: Option<String>,
    pub https: Option<String>,
    pub all: Option<String>,
    pub no: Option<String>,
}

impl ProxyVariables {
    /// Reads the variables through `lookup`, lower-case names first. In a CGI process (`REQUEST_METHOD` is set)
    /// `HTTP_PROXY` is a request header of a stranger and not believed.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let either = |lower: &str, upper: &str| find(lower).or_else(|| find(upper));
        Self {
            http: find("http_proxy")
                .or_else(|| find("HTTP_PROXY").filter(|_| find("REQUEST_METHOD").is_none())),
            https: either("https_proxy", "HTTPS_PROXY"),
            all: either("all_proxy", "ALL_PROXY"),
            no: either("no_proxy", "NO_PROXY"),
        }
    }
}

impl ProxyVariables {
    /// Whether `NO_PROXY` names the server: its host or a domain above it, an address, a network, `*` for everything,
    /// each with a port or without. Entries are separated by commas or white space.
    fn excludes(&self, base: &BaseUrl) -> bool {
        let target = NoProxyTarget::of(base);
        let entries = self.no.as_deref().unwrap_or_default();
        entries
            .split(|c: char| c == ',' || c.is_whitespace())
            .any(|entry| target.is_meant_by(entry))
    }
}

/// A server as entries of `NO_PROXY` see it.
struct NoProxyTarget {
    scheme: &'static str,
    /// The host's name in lower case, or its address without brackets; without the dot of the root at its end.
    host: String,
    address: Option<IpAddr>,
    port: u16,
}

impl NoProxyTarget {
    fn of(base: &BaseUrl) -> Self {
        let host = base.host().trim_end_matches('.').to_ascii_lowercase();
        Self {
            scheme: if base.is_https() { "https" } else { "http" },
            address: host
                .parse()
                .ok()
                .map(|address: IpAddr| address.to_canonical()),
            host,
            port: base.port(),
        }
    }

    fn is_meant_by(&self, entry: &str) -> bool {
        let rest = match entry.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(self.scheme) => {
                rest.trim_end_matches('/')
            }
            Some(_) => return false,
            None => entry,
        };
        let (name, port) = without_port(rest);
        if !matches!(port, None | Some("*"))
            && port.and_then(|port| port.parse().ok()) != Some(self.port)
        {
            return false;
        }
        if name == "*" {
            return true;
        }
        if let Some((network, length)) = name.split_once('/') {
            return self.is_in(network, length);
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.address == Some(address.to_canonical());
        }
        // An address has no domains above it.
        self.address.is_none() && self.is_below(name)
    }

    /// Whether the host is `name` or lies below it: `*.name` means what lies below only.
    fn is_below(&self, name: &str) -> bool {
        let (name, below_only) = match name.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (name.trim_start_matches('.'), false),
        };
        let Some(name) = canonical(name.trim_end_matches('.')) else {
            return false;
        };
        match self.host.strip_suffix(&name) {
            Some("") => !below_only,
            Some(rest) => rest.ends_with('.'),
            None => false,
        }
    }

    fn is_in(&self, network: &str, length: &str) -> bool {
        let network = network.trim_matches(['[', ']']).parse::<IpAddr>();
        let (Some(address), Ok(network), Ok(length)) =
            (self.address, network, length.parse::<u32>())
        else {
            return false;
        };
        match (address, network) {
            (IpAddr::V4(address), IpAddr::V4(network)) if length <= 32 => {
                let rest = 32 - length;
                (address.to_bits() ^ network.to_bits())
                    .checked_shr(rest)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(address), IpAddr::V6(network)) if length <= 128 => {
                let rest = 128 - length;
                (address.to_bits() ^ network.to_bits())
                    .checked_shr(rest)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

/// An entry's name, without brackets, and its port. A bare IPv6 address has colons of its own.
fn without_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((name, rest)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return match rest.strip_prefix(':') {
            Some(port) => (name, Some(port)),
            None if rest.is_empty() => (name, None),
            None => (entry, None),
        };
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (entry, None),
    }
}

/// A name as it stands in a base URL: lower case, punycode.
fn canonical(name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    if name.is_ascii() {
        return Some(name.to_ascii_lowercase());
    }
    let url = Url::parse(&format!("http://{name}/")).ok()?;
    url.host_str().map(str::to_owned)
}

impl ProxyRule {
    /// The rule of this process's environment, as it is now.
    pub fn from_env() -> Self {
        Self::Environment(ProxyVariables::read(|name| std::env::var(name).ok()))
    }

    /// The proxy for `base`, if there is one.
    pub(super) fn resolve(&self, base: &BaseUrl) -> Result<Option<UsableProxy>, Error> {
        match self {
            Self::Direct => Ok(None),
            Self::Explicit(text) => UsableProxy::new(text, "the proxy").map(Some),
            Self::Environment(variables) if base.is_loopback() || variables.excludes(base) => {
                Ok(None)
            }
            Self::Environment(variables) => {
                let (own, name) = if base.is_https() {
                    (&variables.https, "HTTPS_PROXY")
                } else {
                    (&variables.http, "HTTP_PROXY")
                };
                let (text, name) = match (own, &variables.all) {
                    (Some(text), _) => (text, name),
                    (None, Some(text)) => (text, "ALL_PROXY"),
                    (None, None) => return Ok(None),
                };
                UsableProxy::new(text, name).map(Some)
            }
        }
    }
}

/// A proxy that can be used.
pub(super) struct UsableProxy {
    /// The proxy as reqwest's client is given it.
    pub(super) setting: reqwest::Proxy,
    pub(super) info: ProxyInfo,
}

/// What is known of a proxy.
#[derive(Clone)]
pub(super) struct ProxyInfo {
    /// The URL of the proxy as messages show it: without credentials.
    pub(super) shown: String,
    /// The name of the proxy, as it is looked up.
    pub(super) host: String,
    /// Whether the connection to the proxy itself needs certificates.
    pub(super) https: bool,
    /// Whether the proxy speaks HTTP, and so may reply itself; one of the SOCKS family never does.
    pub(super) http: bool,
}

impl UsableProxy {
    fn new(text: &str, name: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::new(
                Kind::Config,
                format!(
                    "{name} cannot be used: {what}. Write it as http://HOST:PORT or socks5://HOST:PORT."
                ),
            )
        };
        let text = text.trim();
        let full = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&full).map_err(|_| wrong("it is no URL"))?;
        if !matches!(
            url.scheme(),
            "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h"
        ) {
            return Err(wrong(&format!("its scheme is {:?}", url.scheme())));
        }
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("it names no host"))?;
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let shown = format!("{}://{host}{port}", url.scheme());
        let setting = reqwest::Proxy::all(url.as_str()).map_err(|_| wrong("it is no URL"))?;
        let info = ProxyInfo {
            shown,
            host: host.to_owned(),
            https: url.scheme() == "https",
            http: url.scheme().starts_with("http"),
        };
        Ok(Self { setting, info })
    }
}
