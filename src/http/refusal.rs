//! Refusals: replies with a status of 400 or more, and what their bodies say.
//!
//! Ollama's own have an error in JSON, others anything:
//!
//! ```text
//! 404 application/json  {"error":"model 'qwen9' not found"}   ->  model 'qwen9' not found
//! 502 text/html         <html><title>502 Bad Gateway</title>  ->  502 Bad Gateway
//! 503 text/plain        busy                                  ->  busy
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use serde_json::Value;

use crate::error::{Cause, Error, Kind, Repeat};
use crate::excerpt::excerpt;
use crate::wire::error_text;

/// The longest server text that is put into a message.
const MAX_SHOWN: usize = 600;

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
