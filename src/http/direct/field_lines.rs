//! Field lines (RFC 9112, 5), of which heads and trailers consist: `Connection: keep-alive, Upgrade`.

use reqwest::header::{HeaderName, HeaderValue};

/// How many field lines a head may have, and how many the trailers of a chunked body.
pub(super) const MAX_FIELD_LINES: usize = 100;

/// The name and the value of `line`, which httparse has cut at its colon. A header map takes fewer characters than
/// httparse.
pub(super) fn parse_field(
    line: &httparse::Header<'_>,
) -> Result<(HeaderName, HeaderValue), httparse::Error> {
    let name = HeaderName::from_bytes(line.name.as_bytes());
    let value = HeaderValue::from_bytes(line.value);
    Ok((
        name.map_err(|_| httparse::Error::HeaderName)?,
        value.map_err(|_| httparse::Error::HeaderValue)?,
    ))
}

/// The members of a comma-separated list: of `keep-alive, Upgrade` these two. None if `value` has other characters than
/// those of ASCII.
pub(super) fn list_members(value: &HeaderValue) -> impl DoubleEndedIterator<Item = &str> {
    let value = value.to_str().ok();
    value
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
}
