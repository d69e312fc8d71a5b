//! Secrets stay out of errors, even where a server or a proxy repeats what it was sent.

use std::borrow::Cow;

use memchr::memmem;
use reqwest::Url;

use super::config::{Config, real_key};
use super::proxy::ProxyRule;
use crate::error::Error;

const SHOWN: &str = "***";

/// Shorter texts occur by chance; taking them out would spoil messages and hide nothing.
const SHORTEST: usize = 6;

/// What a client sends and nobody may read: its key, passwords, values of headers.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(config: &Config) -> Self {
        let key = config.api_key.as_deref().and_then(real_key);
        let password = config.base.credentials().map(|(_, password)| password);
        let values = config.headers.iter().flat_map(|(_, value)| {
            // A repeated `Bearer` value often comes without that word.
            [value.as_str(), value.rsplit(' ').next().unwrap_or_default()]
        });
        let mut secrets: Vec<String> = key
            .into_iter()
            .chain(password)
            .chain(values)
            .map(str::to_owned)
            .collect();
        if let ProxyRule::Explicit(proxy) = &config.proxy {
            let url = Url::parse(proxy).ok();
            secrets.extend(url.as_ref().and_then(Url::password).map(str::to_owned));
        }
        secrets.retain(|secret| secret.len() >= SHORTEST && !secret.starts_with("application/"));
        // A secret that contains another one goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// `error` with the secrets replaced.
    pub(super) fn redact(&self, mut error: Error) -> Error {
        for secret in &self.0 {
            if error.message.contains(secret) {
                error.message = error.message.replace(secret, SHOWN);
            }
            if let Some(text) = &mut error.server_text
                && text.contains(secret)
            {
                *text = text.replace(secret, SHOWN);
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
