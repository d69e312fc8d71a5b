//! The one error type of the crate: what kind of failure, where, and what had arrived before it.
//!
//! Python maps each [`Kind`] to one exception class (`python/metagpt_ollama_rs/errors.py`), in one place.

use std::ops::{Deref, DerefMut};

/// What went wrong. `Kind::name` is the key of the table of exception classes in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A base URL, a proxy, a header or a key that cannot be used. Nothing was sent.
    Config,
    /// No connection: refused, reset before the first byte of a reply, name not found, TLS failure.
    Connect,
    /// One of the four time limits ran out; the context says which.
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
    /// It will fail again, or an answer had begun.
    #[default]
    Never,
    /// The server did nothing: the connection was refused, or the server said that it is too busy.
    Safe,
    /// The server may have done what was asked, and the answer was lost.
    Unsure,
}

/// A failure. What is known of it are the fields of [`Context`]: `error.kind`, `error.status`, and so on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Error(Box<Context>);

/// Everything that a person needs to understand a failure.
#[derive(Clone, Debug)]
pub struct Context {
    pub kind: Kind,
    /// One sentence for people, without secrets.
    pub message: String,
    /// The URL asked, without user and password.
    pub url: Option<String>,
    /// The HTTP status, where a reply had begun.
    pub status: Option<u16>,
    /// The text of the server's error (`error` of its JSON), or an excerpt of a body that is no JSON.
    pub server_text: Option<String>,
    /// The whole body of a refusal (at most 64 KiB of it), for what the text alone does not say.
    pub body: Option<Vec<u8>>,
    /// For `Timeout`: `connect`, `first_token`, `idle` or `total`.
    pub phase: Option<&'static str>,
    /// For `Timeout`: the limit that ran out, in seconds.
    pub seconds: Option<f64>,
    /// For `Status`: seconds of a `Retry-After` header.
    pub retry_after: Option<f64>,
    /// Whether any byte of the reply had arrived: then a retry would repeat output.
    pub began: bool,
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
    /// For `Protocol`, `line` if a line is no part of the answer, `vectors` if vectors are none. For `Connect`, as far as
    /// the cure depends on it: `unknown_name`, `closed` (before a reply), or of a TLS handshake `untrusted`, `expired`,
    /// `early`, `wrong_name`, `plain` (what answers does not speak TLS), `handshake` (any other).
    pub cause: Option<&'static str>,
    /// For an answer that repeats itself without end: which text of it, and with which period.
    pub repetition: Option<RepeatedText>,
}

/// What of an answer ends with one block over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedText {
    /// Its thinking, not its text.
    pub thinking: bool,
    /// The length of the block in bytes.
    pub period: usize,
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
    /// A failure of `kind` described by `message`, with no context yet.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Context {
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
        }))
    }

    /// The same failure at `url`, which must not hold a user or a password, unless it is known where it was. A query may
    /// hold a token, and is left out.
    #[must_use]
    pub fn at(mut self, url: &str) -> Self {
        self.url.get_or_insert_with(|| {
            let shown = url.split(['?', '#']).next().unwrap_or_default();
            shown.to_owned()
        });
        self
    }

    /// The same failure after a reply with `status` had begun.
    #[must_use]
    pub fn after(mut self, status: u16) -> Self {
        self.status = Some(status);
        self.began = true;
        self
    }
}

impl Deref for Error {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut Context {
        &mut self.0
    }
}
