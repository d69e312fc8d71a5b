//! Secrets stay out of errors, even where a server or a proxy repeats what it was sent.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memmem;
use reqwest::Url;

use super::config::{Config, real_key};
use super::proxy::ProxyRule;
use crate::error::Error;

const SHOWN: &str = "***";

/// Shorter texts occur by chance; taking them out would spoil messages and hide nothing.
const SHORTEST: usize = 6;

/// What a client sends and nobody may read: its key, passwords, values of headers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<[String]>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl Secrets {
    pub(super) fn of(config: &Config) -> Self {
        let key = config.api_key.as_deref().and_then(real_key);
        let password = config.base.credentials().map(|(_, password)| password);
        let values = config
            .headers
            .iter()
            .filter(|(name, _)| is_sensitive(name))
            // A repeated `Bearer` value often comes without that word.
            .flat_map(|(_, value)| [value.as_str(), value.rsplit(' ').next().unwrap_or_default()]);
        let mut secrets: Vec<String> = key
            .into_iter()
            .chain(password)
            .chain(values)
            .map(str::to_owned)
            .collect();
        if let Some((user, password)) = config.base.credentials() {
            secrets.push(BASE64.encode(format!("{user}:{password}")));
        }
        if let ProxyRule::Explicit(proxy) = &config.proxy {
            let url = Url::parse(proxy).ok();
            secrets.extend(url.as_ref().and_then(Url::password).map(str::to_owned));
        }
        secrets.retain(|secret| secret.len() >= SHORTEST && !secret.starts_with("application/"));
        // A secret that contains another one goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets.into())
    }

    /// `error` with the secrets replaced.
    pub fn redact(&self, mut error: Error) -> Error {
        for secret in self.0.iter() {
            if error.message.contains(secret) {
                error.message = error.message.replace(secret, SHOWN);
            }
            if let Some(text) = &mut error.server_text
                && text.contains(secret)
            {
                *text = text.replace(secret, SHOWN);
            }
            if let Some(location) = &mut error.location
                && location.contains(secret)
            {
                *location = location.replace(secret, SHOWN);
            }
            if let Some(body) = &mut error.body
                && let Cow::Owned(clean) = without(body, secret.as_bytes())
            {
                *body = clean;
            }
        }
        error
    }
}

/// Whether a header of this name holds what nobody may read. Others are ordinary words, such as an application's name,
/// and taking those out would spoil messages.
fn is_sensitive(name: &str) -> bool {
    const SENSITIVE: [&str; 7] = [
        "auth",
        "cookie",
        "key",
        "token",
        "secret",
        "password",
        "signature",
    ];
    let name = name.to_ascii_lowercase();
    SENSITIVE.iter().any(|word| name.contains(word))
}

fn without<'a>(body: &'a [u8], secret: &[u8]) -> Cow<'a, [u8]> {
    let mut clean = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(body, secret) {
        clean.extend_from_slice(body.get(from..at).unwrap_or_default());
        clean.extend_from_slice(SHOWN.as_bytes());
        from = at + secret.len();
    }
    if from == 0 {
        return Cow::Borrowed(body);
    }
    clean.extend_from_slice(body.get(from..).unwrap_or_default());
    Cow::Owned(clean)
}
