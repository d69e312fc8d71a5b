//! Secrets stay out of errors, even where a server or a proxy repeats what it was sent, and in whatever writing.
//!
//! ```text
//! the client's key:  sk-abc"def
//! a server's text:   no such key: {"key": "sk-abc\\"def"}, sk-abc%22def
//! in the error:      no such key: {"key": "***"}, ***
//! ```

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;

use super::config::{Config, real_key};
use super::percent::percent_decoded;
use super::proxy::ProxyRule;
use crate::error::Error;
use crate::excerpt::{MESSAGE, excerpt};

/// What stands in the place of a secret.
const SHOWN: &str = "***";

/// How many bytes a secret has at least. Shorter texts occur by chance; taking them out would spoil messages and hide nothing.
const SHORTEST: usize = 6;

/// The secrets that a client sends: its key, passwords, values of headers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Arc<[String]>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl Secrets {
    /// The secrets in the settings of a client.
    pub fn of(config: &Config) -> Self {
        let key = config.api_key.as_deref().and_then(real_key);
        let mut secrets: Vec<String> = key.map(str::to_owned).into_iter().collect();
        if let Some((user, password)) = config.base.credentials() {
            secrets.extend(login(user, password));
        }
        secrets.extend(of_headers(&config.headers));
        let proxies = match &config.proxy {
            ProxyRule::Direct => [None, None, None],
            ProxyRule::Explicit(proxy) => [Some(proxy), None, None],
            ProxyRule::Environment(variables) => {
                [&variables.http, &variables.https, &variables.all].map(Option::as_ref)
            }
        };
        secrets.extend(proxies.into_iter().flatten().flat_map(|url| of_url(url)));
        Self::sorted(secrets)
    }

    /// These, and those in the `headers` of a call.
    #[must_use]
    pub fn with_headers(&self, headers: &[(String, String)]) -> Self {
        let mut more = of_headers(headers).peekable();
        match more.peek() {
            None => self.clone(),
            Some(_) => Self::sorted(self.0.iter().cloned().chain(more).collect()),
        }
    }

    fn sorted(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.len() >= SHORTEST && !secret.starts_with("application/"));
        // A secret that contains another one goes first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets.into())
    }

    /// `error` as others may see it: it holds no secrets, its message is on one line, and the server's own words are no
    /// longer than is of use.
    pub fn redact(&self, error: Error) -> Error {
        let error = error.with_clean_texts(|text| {
            let mut clean = None;
            for secret in self.0.iter() {
                clean = without(clean.as_deref().unwrap_or(text), secret).or(clean);
            }
            clean
        });
        let message = excerpt(&error.message, MESSAGE);
        error.with_message(message)
    }
}

/// The secrets of a login: the password, and what user and password become in a header.
fn login(user: &str, password: &str) -> [String; 2] {
    let both = BASE64.encode(format!("{user}:{password}"));
    [password.to_owned(), both.trim_end_matches('=').to_owned()]
}

/// The secrets in the values of `headers`.
fn of_headers(headers: &[(String, String)]) -> impl Iterator<Item = String> {
    headers
        .iter()
        .filter(|(name, _)| is_sensitive(name))
        .flat_map(|(name, value)| of_header(name, value))
}

/// The secrets in the value of a header: all of it, what follows a word such as `Bearer`, the values of cookies, the
/// password of a basic authorization.
fn of_header(name: &str, value: &str) -> Vec<String> {
    let last = value.rsplit(' ').next().unwrap_or_default();
    let mut secrets = vec![value.to_owned(), last.to_owned()];
    if name.to_ascii_lowercase().contains("cookie") {
        let values = value.split(';').filter_map(|pair| pair.split_once('='));
        secrets.extend(values.map(|(_, value)| value.trim().to_owned()));
    }
    if let Ok(decoded) = BASE64.decode(last)
        && let Ok(decoded) = String::from_utf8(decoded)
        && let Some((_, password)) = decoded.split_once(':')
    {
        secrets.push(password.to_owned());
    }
    secrets
}

/// The password in the URL of a proxy.
fn of_url(text: &str) -> Vec<String> {
    let text = text.trim();
    let url = Url::parse(text).ok().filter(Url::has_host);
    let Some(url) = url.or_else(|| Url::parse(&format!("http://{text}")).ok()) else {
        return Vec::new();
    };
    let Some(written) = url.password() else {
        return Vec::new();
    };
    let mut secrets = vec![written.to_owned()];
    secrets.extend(login(
        &percent_decoded(url.username()),
        &percent_decoded(written),
    ));
    secrets
}

/// Whether a header of this name holds a secret. Other values are ordinary words, such as an application's name,
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

/// `text` with each `secret` in it replaced, or `None` if there is none. A secret is found as it is, in other case, with
/// escapes of JSON (also nested), of URLs and of HTML. A beginning of the secret at the end of the text, where something was cut, goes, too.
fn without(text: &[u8], secret: &str) -> Option<Vec<u8>> {
    let mut clean = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if let Some(length) = occurrence(rest, secret) {
            clean.extend_from_slice(text.get(from..at).unwrap_or_default());
            clean.extend_from_slice(SHOWN.as_bytes());
            at += length;
            from = at;
        } else {
            at += 1;
        }
    }
    if from == 0 {
        return None;
    }
    clean.extend_from_slice(text.get(from..).unwrap_or_default());
    Some(clean)
}

/// How many bytes at the start of `text` are `secret`, or as much of it as stands before the end.
fn occurrence(text: &[u8], secret: &str) -> Option<usize> {
    // What may follow: a `%` may stand for itself, or begin `%25`.
    let mut rests = vec![text];
    for (count, c) in secret.chars().enumerate() {
        let mut next: Vec<&[u8]> = rests.iter().flat_map(|rest| after(rest, c)).collect();
        next.dedup_by_key(|rest| rest.len());
        if next.is_empty() {
            let is_cut = |rest: &&[u8]| rest.is_empty() || rest.starts_with("…".as_bytes());
            rests.retain(|rest| count >= SHORTEST && is_cut(rest));
            break;
        }
        rests = next;
    }
    rests.first().map(|rest| text.len() - rest.len())
}

/// What follows `wanted` at the start of `text`, in each way in which that can be read.
fn after(text: &[u8], wanted: char) -> impl Iterator<Item = &[u8]> {
    let written = match text.first() {
        Some(b'\\') => escaped(text, wanted),
        Some(b'%') => percent(text, wanted),
        Some(b'&') => entity(text, wanted),
        Some(b'+') if wanted == ' ' => text.get(1..),
        _ => None,
    };
    raw(text, wanted).into_iter().chain(written)
}

/// `text` without the backslashes at its start.
fn bare(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| **byte == b'\\').count();
    text.get(count..).unwrap_or_default()
}

/// What follows `wanted` where it stands as it is, in upper or lower case.
fn raw(text: &[u8], wanted: char) -> Option<&[u8]> {
    let mut buffer = [0; 4];
    let bytes = wanted.encode_utf8(&mut buffer).as_bytes();
    let (head, rest) = text.split_at_checked(bytes.len())?;
    head.eq_ignore_ascii_case(bytes).then_some(rest)
}

/// What follows `wanted` where JSON escapes it, as in `\"` or `\u0022`, after any number of backslashes: JSON in JSON doubles
/// them.
fn escaped(text: &[u8], wanted: char) -> Option<&[u8]> {
    let text = bare(text);
    if let Some(rest) = raw(text, wanted) {
        return Some(rest);
    }
    if let Some(rest) = text.strip_prefix(b"x") {
        return digits(rest, 2, u32::from(wanted));
    }
    let mut units = [0; 2];
    let mut rest = text;
    for (count, unit) in wanted.encode_utf16(&mut units).iter().enumerate() {
        if count > 0 {
            rest = bare(rest);
        }
        rest = digits(rest.strip_prefix(b"u")?, 4, u32::from(*unit))?;
    }
    Some(rest)
}

/// What follows `wanted` where a URL escapes it: each byte as `%41`, or as `%2541` where it was escaped twice.
fn percent(text: &[u8], wanted: char) -> Option<&[u8]> {
    let mut buffer = [0; 4];
    let mut rest = text;
    for byte in wanted.encode_utf8(&mut buffer).bytes() {
        rest = rest.strip_prefix(b"%")?;
        while let Some(next) = rest.strip_prefix(b"25")
            && (byte != b'%' || next.starts_with(b"25"))
        {
            rest = next;
        }
        rest = digits(rest, 2, u32::from(byte))?;
    }
    Some(rest)
}

/// What follows `wanted` where HTML escapes it, as in `&quot;` or `&#34;`.
fn entity(text: &[u8], wanted: char) -> Option<&[u8]> {
    let end = text.iter().take(12).position(|byte| *byte == b';')?;
    let (name, rest) = text.split_at_checked(end)?;
    let name = std::str::from_utf8(name.get(1..)?).ok()?;
    let number = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(number) => u32::from_str_radix(number, 16).ok()?,
            None => number.parse().ok()?,
        },
        None => u32::from(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        }),
    };
    (number == u32::from(wanted)).then(|| rest.get(1..))?
}

/// What follows `count` hexadecimal digits that say `value`.
fn digits(text: &[u8], count: usize, value: u32) -> Option<&[u8]> {
    let (digits, rest) = text.split_at_checked(count)?;
    let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (number == value).then_some(rest)
}
