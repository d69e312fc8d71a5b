//! The beginning of a line, for error messages.
//!
//! ```text
//! {"response":          ->  {"response":
//! <a line of 10 kB>     ->  its first 200 characters, and a sign that more follows
//! ```

/// The first 200 characters of a line, made fit to be shown.
pub(crate) fn excerpt(line: &[u8]) -> String {
    // Enough bytes for one character more than is shown.
    crate::excerpt::excerpt(
        &String::from_utf8_lossy(line.get(..804).unwrap_or(line)),
        200,
    )
}
