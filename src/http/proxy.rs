//! When a proxy is used: an explicit one always, one of the environment for other machines only.
//!
//! reqwest's own reading of the environment is switched off, because it sends loopback traffic through `HTTP_PROXY`,
//! and a local Ollama behind a company's proxy is the usual victim.

use reqwest::{NoProxy, Proxy, Url};

use super::base::Base;
use crate::error::{Error, Kind};

/// Where requests go through.
#[derive(Clone, Default)]
pub enum ProxyRule {
    /// Straight to the server.
    #[default]
    Direct,
    /// Through this proxy, whatever the host: the user asked for it. May hold `user:password@`.
    Explicit(String),
    /// As the environment says, except to this machine.
    Environment(Environment),
}

/// The proxy variables of an environment.
#[derive(Clone, Default)]
pub struct Environment {
    pub http: Option<String>,
    pub https: Option<String>,
    pub all: Option<String>,
    pub no: Option<String>,
}

impl Environment {
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

impl ProxyRule {
    /// The rule of this process's environment, as it is now.
    pub fn from_env() -> Self {
        Self::Environment(Environment::read(|name| std::env::var(name).ok()))
    }

    /// The proxy for `base`, if there is one.
    pub(super) fn resolve(&self, base: &Base) -> Result<Option<Route>, Error> {
        match self {
            Self::Direct => Ok(None),
            Self::Explicit(text) => Route::new(text, "the proxy", None).map(Some),
            Self::Environment(_) if base.is_loopback() => Ok(None),
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
                Route::new(text, name, variables.no.as_deref()).map(Some)
            }
        }
    }
}

/// A usable proxy.
pub(super) struct Route {
    pub(super) proxy: Proxy,
    /// For messages: without credentials.
    pub(super) shown: String,
    /// The connection to the proxy itself needs certificates.
    pub(super) https: bool,
}

impl Route {
    fn new(text: &str, name: &str, no: Option<&str>) -> Result<Self, Error> {
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
        let https = url.scheme() == "https";
        let proxy = Proxy::all(url.as_str()).map_err(|_| wrong("it is no URL"))?;
        Ok(Self {
            proxy: proxy.no_proxy(no.and_then(NoProxy::from_string)),
            shown,
            https,
        })
    }
}
