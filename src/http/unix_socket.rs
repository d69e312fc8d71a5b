//! Unix sockets as addresses of servers.
//!
//! ```text
//! unix:///run/ollama.sock                 the socket /run/ollama.sock
//! unix:/run/ollama.sock                   the same
//! http+unix://%2Frun%2Follama.sock        the same
//! unix:///run/ollama.sock:/ollama         the same, with the prefix /ollama of a reverse proxy
//! http+unix://%2Frun%2Follama.sock/ollama the same
//! unix:///srv/my%20models/ü.sock          `%20` is a space, which may stand there as it is, too
//! ```

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::percent::percent_decoded;
use crate::error::{Cause, Error, Kind, Repeat};
use crate::excerpt::excerpt;

/// How many characters of a path a message shows.
const SHOWN: usize = 120;

/// The path of a socket. Clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket(Arc<str>);

/// What the address of a server on a Unix socket says.
pub(super) struct UnixAddress<'a> {
    /// The path of the socket.
    pub(super) path: String,
    /// The prefix of a reverse proxy; empty, or with a slash at its beginning.
    pub(super) prefix: &'a str,
    /// `user:password`, percent-encoded.
    pub(super) user: Option<&'a str>,
}

/// What `text` says, if it is the address of a Unix socket.
pub(super) fn address(text: &str) -> Option<Result<UnixAddress<'_>, Error>> {
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    if let Some(rest) = after("http+unix://") {
        return Some(encoded(rest));
    }
    let rest = after("unix:")?;
    Some(match rest.strip_prefix("//") {
        // What stands before the path would be a host, which a socket does not have, and may be a login.
        Some(rest) => {
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(at);
            plain(authority, path)
        }
        None => plain("", rest),
    })
}

/// An address whose path stands there as it is, and whose prefix follows a colon.
fn plain<'a>(authority: &'a str, path: &'a str) -> Result<UnixAddress<'a>, Error> {
    let user = authority.strip_suffix('@');
    if !(authority.is_empty() || user.is_some()) || !path.starts_with('/') {
        return Err(wrong("it has no absolute path after unix://"));
    }
    let (path, prefix) = match path.find(":/") {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (path, ""),
    };
    Ok(UnixAddress {
        path: percent_decoded(path),
        prefix,
        user,
    })
}

/// An address whose path is percent-encoded, in the place of a host.
fn encoded(rest: &str) -> Result<UnixAddress<'_>, Error> {
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, prefix) = rest.split_at(at);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let path = percent_decoded(host);
    if !path.starts_with('/') {
        return Err(wrong(
            "http+unix:// is not followed by an absolute path whose slashes are written as %2F",
        ));
    }
    Ok(UnixAddress { path, prefix, user })
}

/// An error that says what is wrong and what to write.
fn wrong(what: &str) -> Error {
    let message = format!(
        "The base URL cannot be used: {what}. Write a Unix socket as unix:///PATH, for example unix:///run/ollama.sock."
    );
    Error::new(Kind::Config, message)
}

/// How many bytes the path of a socket may have.
#[cfg(unix)]
fn longest() -> usize {
    let whole = size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path);
    // The last byte ends the path.
    whole - 1
}

impl UnixSocket {
    /// The socket at `path`. Nothing is looked at there. Errors are `Kind::Config`.
    #[cfg(unix)]
    pub(super) fn at(path: &str) -> Result<Self, Error> {
        if path.contains('\0') {
            return Err(wrong("the path of its socket contains a NUL"));
        }
        if path.len() > longest() {
            return Err(wrong(&format!(
                "the path of its socket has {} bytes, and the system takes {} at most",
                path.len(),
                longest()
            )));
        }
        Ok(Self(path.into()))
    }

    #[cfg(not(unix))]
    pub(super) fn at(_path: &str) -> Result<Self, Error> {
        Err(Error::new(
            Kind::Config,
            "The base URL cannot be used: Unix sockets are not supported on this system. Write it as http://HOST:PORT.",
        ))
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(&*self.0)
    }

    /// The path as it stands in a base URL, from which it is read back.
    pub(super) fn shown(&self) -> String {
        let mut shown = self.0.replace('%', "%25").replace('?', "%3F");
        shown = shown.replace('#', "%23").replace(":/", "%3A/");
        shown
    }

    /// The failure to connect there.
    pub(super) fn unreachable(&self, error: &io::Error) -> Error {
        let path = excerpt(&self.0, SHOWN);
        let is_socket = self.path().metadata().ok().map(|found| is_socket(&found));
        let what = match (error.kind(), is_socket) {
            (io::ErrorKind::NotFound, _) => format!("there is no file {path}"),
            (io::ErrorKind::PermissionDenied, _) => {
                format!("this user may not connect to {path} (permission denied)")
            }
            (_, Some(false)) => format!("{path} is no socket"),
            (io::ErrorKind::ConnectionRefused, _) => {
                format!("nothing listens on {path} (connection refused)")
            }
            (io::ErrorKind::WouldBlock, _) => {
                format!("too many wait for a connection to {path}")
            }
            _ => format!("{path}: {error}"),
        };
        let failure = Error::new(
            Kind::Connect,
            format!("The server cannot be reached: {what}."),
        )
        .with_cause(Cause::UnixSocket);
        match error.kind() {
            // A server that starts makes its socket anew.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock
                if is_socket != Some(false) =>
            {
                failure.with_repeat(Repeat::Safe, None)
            }
            _ => failure,
        }
    }
}

#[cfg(unix)]
fn is_socket(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())
}

#[cfg(not(unix))]
fn is_socket(_found: &std::fs::Metadata) -> bool {
    false
}
