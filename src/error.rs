//! The one error type of the crate: what kind of failure, where, and what had arrived before it.
//!
//! Whoever fails makes an [`Error`] of a [`Kind`] and a sentence, and adds what it knows with the `with_…` methods:
//!
//! ```
//! use metagpt_ollama_rs::error::{Cause, Error, Kind};
//!
//! let error = Error::new(Kind::Connect, "The server cannot be reached: its name is not known.")
//!     .with_cause(Cause::UnknownName)
//!     .at("http://ollama.lan:11434/api/chat");
//! assert_eq!(error.cause, Some(Cause::UnknownName));
//! ```
//!
//! Everybody may read what is known (the fields of [`ErrorDetails`]); nobody can change it but by these methods. What tells two
//! failures apart are values ([`Kind`], [`Phase`], [`Cause`], [`Repeat`]) and never the words of a message.
//!
//! Python maps each [`Kind`] to one exception class (`python/metagpt_ollama_rs/failures.py`), in one place.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

/// How many bytes of a server's own words an error keeps.
pub const MAX_BODY: usize = 64 << 10;

/// What went wrong. `Kind::name` is the key of the table of exception classes in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A base URL, a proxy, a header or a key that cannot be used. Nothing was sent.
    Config,
    /// No connection: refused, reset before the first byte of a reply, name not found, TLS failure.
    Connect,
    /// One of the four time limits ran out; `phase` says which.
    Timeout,
    /// The peer does not speak HTTP correctly, or answered with something that is not an Ollama reply
    /// (bad framing, compression nobody asked for, a redirect, an HTML page, an empty body).
    Protocol,
    /// An HTTP status of 400 or more; `status` holds it. Python chooses the class by status and text.
    Status,
    /// An error line in the middle of a stream of status 200.
    MidStream,
    /// A stream that ended without `done: true` (or `[DONE]`), or a reply with `done: false`.
    Incomplete,
    /// The connection broke off after the reply had begun: reset, or closed before the promised end.
    Interrupted,
    /// A line that is no JSON, or longer than the cap, or not UTF-8.
    Decode,
    /// A whole reply without an answer in it: the model stopped at its token limit before it said anything.
    EmptyAnswer,
    /// The client or the stream was closed, or belongs to another process (fork) or loop.
    Closed,
}

/// Whether the same request may do better in a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// The request will fail again, or an answer had begun.
    #[default]
    Never,
    /// The server did nothing: the connection was refused, or the server said that it is too busy.
    Safe,
    /// The server may have done what was asked, and the answer was lost.
    Unsure,
}

/// Which of the four time limits ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The time for a connection, TLS included.
    Connect,
    /// The time from the request to the first byte of the reply's body.
    FirstToken,
    /// The time between two reads of the body.
    Idle,
    /// The time for the whole exchange.
    Total,
}

impl Phase {
    /// The name in messages, in Python and in the records of calls.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Total => "total",
        }
    }
}

/// Why it failed, as far as the cure depends on it: what tells apart failures of one [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// `Protocol`: a line of a stream is no part of the answer.
    ForeignLine,
    /// `Protocol` or `Decode`: the vectors of a reply of embeddings are none.
    Vectors,
    /// `Status` 404: the server does not have the model.
    MissingModel,
    /// `Connect`: the name of the server cannot be resolved on this machine.
    UnknownName,
    /// `Connect`: the name of the proxy cannot be resolved.
    UnknownProxyName,
    /// `Connect`: the connection was closed before a reply.
    Closed,
    /// `Connect`: the Unix socket of the server cannot be connected to.
    UnixSocket,
    /// `Connect`, TLS: nobody whom this machine trusts has signed the certificate.
    Untrusted,
    /// `Connect`, TLS: the certificate has expired.
    Expired,
    /// `Connect`, TLS: the certificate is not valid yet.
    NotYetValid,
    /// `Connect`, TLS: the certificate is for another name.
    WrongName,
    /// `Connect`, TLS: what answers does not speak TLS.
    NoTls,
    /// `Connect`, TLS: the server wants a certificate of the client, or another one.
    ClientCertificate,
    /// `Connect`, TLS: the handshake failed for another reason.
    Handshake,
}

impl Cause {
    /// The name under which Python looks up a hint.
    pub fn name(self) -> &'static str {
        match self {
            Self::ForeignLine => "foreign_line",
            Self::Vectors => "vectors",
            Self::MissingModel => "missing_model",
            Self::UnknownName => "unknown_name",
            Self::UnknownProxyName => "unknown_proxy_name",
            Self::Closed => "closed",
            Self::UnixSocket => "unix_socket",
            Self::Untrusted => "untrusted",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongName => "wrong_name",
            Self::NoTls => "no_tls",
            Self::ClientCertificate => "client_certificate",
            Self::Handshake => "handshake",
        }
    }
}

/// What of an answer ends with one block over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedText {
    /// Its thinking, not its text.
    pub thinking: bool,
    /// The length of the block in bytes.
    pub period: usize,
}

/// A failure. What is known of it are the fields of [`ErrorDetails`]: `error.kind`, `error.status`, and so on.
#[derive(Clone, Debug)]
pub struct Error(Box<ErrorDetails>);

/// Everything that a person needs to understand a failure.
#[derive(Clone, Debug)]
pub struct ErrorDetails {
    pub kind: Kind,
    /// One sentence for people, without secrets.
    pub message: String,
    /// The URL asked, without user and password.
    pub url: Option<String>,
    /// The HTTP status, where a reply had begun.
    pub status: Option<u16>,
    /// The text of the server's error (`error` of its JSON), or an excerpt of a body that is no JSON.
    pub server_text: Option<String>,
    /// The whole body of a refusal (at most [`MAX_BODY`] of it), for what the text alone does not say.
    pub body: Option<Vec<u8>>,
    /// For `Timeout`: which limit ran out.
    pub phase: Option<Phase>,
    /// For `Timeout`: the limit that ran out, in seconds.
    pub seconds: Option<f64>,
    /// For `Status`: seconds of a `Retry-After` header.
    pub retry_after: Option<f64>,
    /// Whether any byte of the reply had arrived: then a retry would repeat output.
    pub began: bool,
    /// Whether the same request may do better in a moment.
    pub repeat: Repeat,
    /// For `Timeout` while waiting for the first token: whether the server had the model in memory, if it said.
    pub loaded: Option<bool>,
    /// For a model that is missing: those that are there, if the server said.
    pub available: Option<Vec<String>>,
    /// For `Status` 429: the account's quota is used up, so that asking again in a moment is useless.
    pub quota: bool,
    /// The proxy, without credentials, where it failed or answered itself.
    pub proxy: Option<String>,
    /// For a redirect that is not followed: where it leads, without user and password.
    pub location: Option<String>,
    /// Why it failed, as far as the cure depends on it.
    pub cause: Option<Cause>,
    /// For an answer that repeats itself without end: which text of it, and with which period.
    pub repetition: Option<RepeatedText>,
    /// The error of a library. Shared, because errors are cloned.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Config,
        Self::Connect,
        Self::Timeout,
        Self::Protocol,
        Self::Status,
        Self::MidStream,
        Self::Incomplete,
        Self::Interrupted,
        Self::Decode,
        Self::EmptyAnswer,
        Self::Closed,
    ];

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name under which Python looks up the exception class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::MidStream => "mid_stream",
            Self::Incomplete => "incomplete",
            Self::Interrupted => "interrupted",
            Self::Decode => "decode",
            Self::EmptyAnswer => "empty_answer",
            Self::Closed => "closed",
        }
    }
}

impl Error {
    /// A failure of `kind` described by `message`, of which nothing else is known yet.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorDetails {
            kind,
            message: message.into(),
            url: None,
            status: None,
            server_text: None,
            body: None,
            phase: None,
            seconds: None,
            retry_after: None,
            began: false,
            repeat: Repeat::Never,
            loaded: None,
            available: None,
            quota: false,
            proxy: None,
            location: None,
            cause: None,
            repetition: None,
            source: None,
        }))
    }

    /// The limit of `phase` ran out: there was no sign of `what` within `limit`.
    pub fn timeout(phase: Phase, limit: Duration, what: &str) -> Self {
        let seconds = limit.as_secs_f64();
        let name = phase.name();
        let message = format!("Timed out ({name}): no sign of {what} within {seconds} s.");
        let mut error = Self::new(Kind::Timeout, message);
        error.0.phase = Some(phase);
        error.0.seconds = Some(seconds);
        error
    }

    /// The same failure at `url`, which must not hold a user or a password, unless it is known where it was. A query may
    /// hold a token, and is left out.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.0.url.get_or_insert_with(|| {
            let shown = url.split(['?', '#']).next().unwrap_or_default();
            shown.to_owned()
        });
        self
    }

    /// The same failure after a reply with `status` had begun.
    #[must_use]
    pub fn after(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self.with_reply_begun()
    }

    /// The same failure after something of a reply had arrived.
    #[must_use]
    pub fn with_reply_begun(mut self) -> Self {
        self.0.began = true;
        self
    }

    /// The same failure with `status`, of which nothing else is known.
    #[must_use]
    pub fn with_status(mut self, status: Option<u16>) -> Self {
        self.0.status = status;
        self
    }

    /// The same failure with another message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The same failure with `sentence` behind its message.
    #[must_use]
    pub fn with_sentence(mut self, sentence: &str) -> Self {
        self.0.message.push(' ');
        self.0.message.push_str(sentence);
        self
    }

    /// The same failure in the server's own words, and the body that they stood in.
    #[must_use]
    pub fn with_server_text(mut self, text: Option<String>, body: Vec<u8>) -> Self {
        self.0.server_text = text;
        self.0.body = Some(body);
        self
    }

    /// The same failure with what is known of repeating the request: whether it may help, and after how many seconds the
    /// server wants it.
    #[must_use]
    pub fn with_repeat(mut self, repeat: Repeat, retry_after: Option<f64>) -> Self {
        self.0.repeat = repeat;
        self.0.retry_after = retry_after;
        self
    }

    /// The same failure, which the account's quota is the reason for.
    #[must_use]
    pub fn with_quota_used_up(mut self) -> Self {
        self.0.quota = true;
        self
    }

    /// The same failure with what the server said of the model: whether it is in memory.
    #[must_use]
    pub fn with_model_loaded(mut self, loaded: bool) -> Self {
        self.0.loaded = Some(loaded);
        self
    }

    /// The same failure with the models that the server has, if it said.
    #[must_use]
    pub fn with_available_models(mut self, models: Option<Vec<String>>) -> Self {
        self.0.available = models;
        self
    }

    /// The same failure at `proxy` (without credentials), or in what `proxy` may have answered in the server's place.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Option<&str>) -> Self {
        self.0.proxy = proxy.map(str::to_owned);
        self
    }

    /// The same failure with the place that a redirect leads to.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.0.location = Some(location.into());
        self
    }

    /// The same failure with what the cure depends on.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// The same failure with what of the answer repeats itself.
    #[must_use]
    pub fn with_repetition(mut self, repeated: RepeatedText) -> Self {
        self.0.repetition = Some(repeated);
        self
    }

    /// The same failure with the error of a library that it came from, which must show no user, no password and no query.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same failure with each text that may hold words of strangers changed by `clean`, which returns `None` for a
    /// text that stays as it is; of the server's own words no more than [`MAX_BODY`].
    #[must_use]
    pub fn with_clean_texts(mut self, clean: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        let details = &mut *self.0;
        // Cut first, because a line that tells of an error may be long; what was cut is cut off a secret, too.
        if let Some(body) = &mut details.body {
            body.truncate(MAX_BODY);
            if let Some(cleaned) = clean(body) {
                *body = cleaned;
            }
        }
        if let Some(text) = &mut details.server_text {
            let fits = |at: &usize| text.is_char_boundary(*at);
            let end = (0..=MAX_BODY.min(text.len())).rev().find(fits);
            text.truncate(end.unwrap_or(0));
        }
        let texts = std::iter::once(&mut details.message)
            .chain(&mut details.server_text)
            .chain(&mut details.location)
            .chain(details.available.iter_mut().flatten());
        for text in texts {
            if let Some(cleaned) = clean(text.as_bytes()) {
                *text = String::from_utf8_lossy(&cleaned).into_owned();
            }
        }
        self
    }
}

impl Deref for Error {
    type Target = ErrorDetails;

    fn deref(&self) -> &ErrorDetails {
        &self.0
    }
}

/// The message alone: neither the URL nor the sources, which whoever shows the error may add.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_source_is_what_it_was_made_with() {
        let plain = Error::new(Kind::Connect, "no.");
        assert!(plain.source().is_none());
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = plain.with_source(refused).clone();
        let source = error
            .source()
            .and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(
            source.map(std::io::Error::kind),
            Some(std::io::ErrorKind::ConnectionRefused)
        );
        assert_eq!(error.to_string(), "no.");
    }

    #[test]
    fn a_phase_has_one_name() {
        for phase in [Phase::Connect, Phase::FirstToken, Phase::Idle, Phase::Total] {
            let json = serde_json::to_value(phase).ok();
            assert_eq!(json, Some(phase.name().into()));
        }
    }
}
