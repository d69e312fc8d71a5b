//! An endpoint of a server: where it is, how it is asked, and what follows from that.
//!
//! The table of endpoints is Python's (`python/metagpt_ollama_rs/endpoints.py`). Each request carries its row, so that
//! nothing here knows an endpoint by its path: whether a request may be sent twice, and which lines its streamed reply may
//! have, are read from the row. Of two of them:
//!
//! ```text
//! POST /api/chat    changes nothing    its lines are parts of an answer
//! POST /api/pull    may be sent twice  its lines report progress    goes on where it stopped
//! ```

/// The verbs that Ollama's routes use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Delete,
    Head,
}

/// What the lines of a streamed reply are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyLines {
    /// Parts of an answer in one of Ollama's own shapes. Any other line is an error.
    Answer,
    /// Reports of progress, the last of which has the status `success` instead of `done`.
    Progress,
    /// Whatever the server sends.
    Any,
}

/// An endpoint, as far as a client has to know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub method: Method,
    /// Such as `/api/chat`; it comes after the base URL's prefix.
    pub path: String,
    /// What the lines of its streamed reply are; `None` where the reply is always one object.
    pub lines: Option<ReplyLines>,
    /// Whether a request may change something on the server. Such a request is not sent twice when the server may have
    /// carried it out already.
    pub changes: bool,
    /// Whether it is a transfer that goes on where it stopped when it is asked for again.
    pub resumes: bool,
}

impl Endpoint {
    /// An endpoint of which nothing is known but its method and its path: anything but a GET or a HEAD may change
    /// something there, and its lines may be anything.
    pub fn unknown(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            lines: Some(ReplyLines::Any),
            changes: method.may_change(),
            resumes: false,
        }
    }

    /// The path with one slash before it and without a query, which may hold a token: for records and messages.
    pub fn route(&self) -> String {
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        format!("/{}", path.trim_start_matches('/'))
    }
}

impl Method {
    /// The method that is called `name` (`POST` for any other than the four).
    pub fn named(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "DELETE" => Self::Delete,
            "HEAD" => Self::Head,
            _ => Self::Post,
        }
    }

    /// As it stands in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }

    /// Whether an endpoint that is asked with this method may change something, if nothing else is known of it.
    pub fn may_change(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }
}

impl ReplyLines {
    /// What Python's table calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Answer, Self::Progress, Self::Any]
            .into_iter()
            .find(|lines| lines.name() == name)
    }

    /// The name in Python's table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Progress => "progress",
            Self::Any => "any",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, Method, ReplyLines};

    #[test]
    fn what_is_not_known_may_change_something_unless_it_is_only_read() {
        for (method, changes) in [
            (Method::Get, false),
            (Method::Head, false),
            (Method::Post, true),
            (Method::Delete, true),
        ] {
            let endpoint = Endpoint::unknown(method, "/api/new");
            assert_eq!(
                (endpoint.changes, endpoint.lines),
                (changes, Some(ReplyLines::Any))
            );
        }
    }

    #[test]
    fn a_route_has_one_slash_and_no_query() {
        for path in [
            "/api/chat",
            "api/chat",
            "//api/chat",
            "/api/chat?key=a",
            "api/chat#a",
        ] {
            assert_eq!(Endpoint::unknown(Method::Post, path).route(), "/api/chat");
        }
    }

    #[test]
    fn names_are_read_back() {
        for method in [Method::Get, Method::Post, Method::Delete, Method::Head] {
            assert_eq!(Method::named(method.name()), method);
        }
        for lines in [ReplyLines::Answer, ReplyLines::Progress, ReplyLines::Any] {
            assert_eq!(ReplyLines::named(lines.name()), Some(lines));
        }
        assert_eq!(ReplyLines::named("anything"), None);
    }
}
