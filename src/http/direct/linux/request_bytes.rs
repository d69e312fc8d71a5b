//! The bytes of a request, as they go over the wire: of a `POST` of `{}` to `http://127.0.0.1:11434/api/chat`
//!
//! ```text
//! POST /api/chat HTTP/1.1\r\n
//! content-type: application/json\r\n        the headers of the prepared request
//! host: 127.0.0.1:11434\r\n
//! content-length: 2\r\n                     added here
//! \r\n
//! {}
//! ```

use bytes::Bytes;
use reqwest::Method;

use crate::http::request::Prepared;
use crate::http::upload::UploadFile;

/// From this length on a body is written from where it is. A shorter one is copied behind its head, so that both take
/// one system call.
const LONG_BODY: usize = 64 << 10;

/// The bytes of a request.
pub(super) struct RequestBytes<'a> {
    /// The head, and the body if that is short.
    pub(super) head: Vec<u8>,
    /// The body if it is long.
    pub(super) long_body: &'a [u8],
}

impl<'a> RequestBytes<'a> {
    pub(super) fn new(request: &'a Prepared) -> Self {
        let Prepared {
            head, body, upload, ..
        } = request;
        let length = body.as_ref().map_or(0, Bytes::len);
        let announced = upload.as_ref().map_or(length as u64, UploadFile::length);
        let body_bytes = body.as_deref().unwrap_or_default();
        let (short_body, long_body): (&[u8], &[u8]) = if length < LONG_BODY {
            (body_bytes, &[])
        } else {
            (&[], body_bytes)
        };
        let mut bytes = Vec::with_capacity(512 + short_body.len());
        let mut put = |parts: &[&[u8]]| {
            for part in parts {
                bytes.extend_from_slice(part);
            }
        };
        put(&[
            head.method.as_str().as_bytes(),
            b" ",
            head.url.path().as_bytes(),
        ]);
        if let Some(query) = head.url.query() {
            put(&[b"?", query.as_bytes()]);
        }
        put(&[b" HTTP/1.1\r\n"]);
        for (name, value) in &head.headers {
            put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        if body.is_some() || head.method == Method::POST {
            put(&[
                b"content-length: ",
                announced.to_string().as_bytes(),
                b"\r\n",
            ]);
        }
        put(&[b"\r\n", short_body]);
        Self {
            head: bytes,
            long_body,
        }
    }
}
