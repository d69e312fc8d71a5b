//! What a client is made from: where, as whom, how long to wait, how much to accept.

use std::sync::Arc;

use super::base::BaseUrl;
use super::client_certificate::ClientCertificate;
use super::policy::{Retry, Timeouts};
use super::proxy::ProxyRule;
use super::trust::Trust;
use crate::wire::MAX_LINE;

/// The default limit of the length of a body that is read whole (`/api/embed` and a verbose `/api/show` reach 100 MB).
pub const MAX_BODY: usize = 1 << 30;

/// A client's settings.
#[derive(Clone)]
pub struct Config {
    pub base: BaseUrl,
    /// The paths of all endpoints: an address that ends in one of them was copied together with it, and is no base URL.
    pub endpoints: Arc<[String]>,
    /// Headers that are sent with every request; one of the same name replaces what the client would send.
    pub headers: Vec<(String, String)>,
    /// The key that is sent as `Authorization: Bearer …`: see [`resolve_key`].
    pub api_key: Option<String>,
    pub proxy: ProxyRule,
    pub trust: Trust,
    /// With which the client proves who it is, where a server asks for it.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether redirects are followed; otherwise a redirect is an error.
    pub follow_redirects: bool,
    pub timeouts: Timeouts,
    pub retry: Retry,
    /// The longest line of a stream, in bytes.
    pub max_line: usize,
    /// The longest body of a reply that is read whole, in bytes.
    pub max_body: usize,
}

impl Config {
    /// The defaults for `base`.
    pub fn new(base: BaseUrl) -> Self {
        Self {
            base,
            endpoints: Arc::default(),
            headers: Vec::new(),
            api_key: None,
            proxy: ProxyRule::Direct,
            trust: Trust::default(),
            client_certificate: None,
            follow_redirects: true,
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            max_line: MAX_LINE,
            max_body: MAX_BODY,
        }
    }
}

/// What people write where a key is demanded and none exists.
const PLACEHOLDERS: [&str; 16] = [
    "sk-",
    "sk",
    "ollama",
    "none",
    "null",
    "empty",
    "dummy",
    "test",
    "key",
    "api_key",
    "api-key",
    "your_api_key",
    "your-api-key",
    "not-needed",
    "not_needed",
    "no-key",
];

/// `key` without white space around it, unless it is empty or a placeholder such as `sk-` or `YOUR_API_KEY`.
pub fn real_key(key: &str) -> Option<&str> {
    let key = key.trim();
    let lower = key.to_ascii_lowercase();
    let filler = lower
        .strip_prefix("sk-")
        .unwrap_or(&lower)
        .chars()
        .all(|c| matches!(c, 'x' | '.' | '*' | '-' | '…'));
    let bracketed = (key.starts_with('<') && key.ends_with('>'))
        || (key.starts_with("${") && key.ends_with('}'));
    (!filler && !bracketed && !PLACEHOLDERS.contains(&lower.as_str())).then_some(key)
}

/// The key to send: an explicit one always; `OLLAMA_API_KEY` (given as `environment`) to Ollama's cloud only, because no other
/// server may learn it; placeholders such as `sk-` never.
///
/// ```
/// use metagpt_ollama_rs::http::config::resolve_key;
/// use metagpt_ollama_rs::http::{AddressSetting, BaseUrl};
///
/// let cloud = BaseUrl::parse("ollama.com", AddressSetting::Host)?;
/// assert_eq!(resolve_key(Some("sk-"), Some("secret"), &cloud).as_deref(), Some("secret"));
/// assert_eq!(resolve_key(None, Some("secret"), &BaseUrl::default()), None);
/// # Ok::<(), metagpt_ollama_rs::error::Error>(())
/// ```
pub fn resolve_key(
    explicit: Option<&str>,
    environment: Option<&str>,
    base: &BaseUrl,
) -> Option<String> {
    explicit
        .and_then(real_key)
        .or_else(|| environment.filter(|_| base.is_cloud()).and_then(real_key))
        .map(str::to_owned)
}
