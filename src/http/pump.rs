//! From a reply to an inbox: reads, decodes, pushes once per network read, and says how it ended.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use memchr::memchr_iter;

use super::client::{Client, Mode, Request};
use super::exchange::{Exchange, Ready};
use super::fault;
use crate::error::{Error, Kind};
use crate::inbox::Inbox;
use crate::wire::{Batch, Decoder, Delta, Framing, Item, WireError};

/// How long the end of the body is waited for after `done: true`, so that the connection can be used again.
const AFTERMATH: Duration = Duration::from_millis(100);

/// How many pieces that are there already are taken together before the reader gets them.
const AT_ONCE: usize = 64;

/// Routes whose streams report progress: their last line has the status `success` instead of `done`.
const PROGRESS: [&str; 3] = ["/api/pull", "/api/push", "/api/create"];

/// Closes the inbox even if the pump is dropped half-way, so that no reader waits for ever.
struct Closing<'a>(&'a Inbox);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close(Err(Error::new(
            Kind::Closed,
            "The client was closed while a reply was being read.",
        )));
    }
}

/// Runs one stream. See [`Client::pump`].
pub(super) async fn run(client: &Client, request: Request, inbox: &Arc<Inbox>, mode: Mode) {
    let _closing = Closing(inbox);
    let url = client.config().base.url(&request.path);
    let end = tokio::select! {
        biased;
        () = inbox.aborted() => Err(Error::new(Kind::Closed, "The stream was closed by its reader.")),
        end = stream(client, request, inbox, mode, &url) => end,
    };
    inbox.close(end.map_err(|error| error.at(&url)));
}

async fn stream(
    client: &Client,
    request: Request,
    inbox: &Inbox,
    mode: Mode,
    url: &str,
) -> Result<(), Error> {
    let max_line = client.config().max_line;
    let mut sink = match mode {
        Mode::Deltas => Sink::Deltas(Deltas::new(
            max_line,
            PROGRESS.contains(&request.path.as_str()),
        )),
        Mode::Lines => Sink::Lines(Lines {
            max_line,
            partial: Vec::new(),
            whole: Vec::new(),
        }),
    };
    let mut exchange = Exchange::open(client, request, url).await?;
    let status = exchange.status();
    relay(&mut exchange, &mut sink, inbox)
        .await
        .map_err(|error| error.after(status))
}

/// Moves the body through `sink` into `inbox`.
async fn relay(exchange: &mut Exchange, sink: &mut Sink, inbox: &Inbox) -> Result<(), Error> {
    let mut checked = is_json(&exchange.media_type())?;
    let mut empty = true;
    loop {
        let mut read = exchange.next().await.map(Ready::from);
        for taken in 1..=AT_ONCE {
            let Ok(Ready::Piece(piece)) = &read else {
                break;
            };
            empty = false;
            let result = if checked {
                Ok(())
            } else {
                looks_like_json(piece).map(|seen| checked = seen)
            };
            if let Err(error) = result.and_then(|()| sink.feed(piece)) {
                read = Err(error);
            } else if sink.is_done() || taken == AT_ONCE {
                read = Ok(Ready::Nothing);
            } else {
                read = exchange.ready().await;
            }
        }
        if let Ok(Ready::End) = read {
            read = sink.finish().map(|()| Ready::End);
        }
        sink.flush(inbox);
        match read? {
            Ready::End if empty => return Err(fault::protocol("The reply is empty.")),
            Ready::End => return sink.verdict(),
            _ if sink.is_done() => return aftermath(exchange, sink).await,
            _ => {}
        }
        inbox.room().await;
        exchange.tick();
    }
}

/// Reads on to the end of a body whose last line has come. Only an error line still counts: a server that breaks off
/// now has said everything.
async fn aftermath(exchange: &mut Exchange, sink: &mut Sink) -> Result<(), Error> {
    let rest = async {
        while let Ok(Some(piece)) = exchange.next().await {
            sink.feed(&piece)?;
        }
        sink.finish()
    };
    match tokio::time::timeout(AFTERMATH, rest).await {
        Ok(Err(error)) if error.kind == Kind::MidStream => Err(error),
        _ => Ok(()),
    }
}

/// Where the pieces of a body go.
enum Sink {
    Deltas(Deltas),
    Lines(Lines),
}

impl Sink {
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        match self {
            Self::Deltas(sink) => sink.feed(|decoder, batch| decoder.feed(piece, batch)),
            Self::Lines(sink) => sink.feed(piece),
        }
    }

    /// The body has ended: what stands after the last newline is a line, too.
    fn finish(&mut self) -> Result<(), Error> {
        match self {
            Self::Deltas(sink) => sink.feed(Decoder::finish),
            Self::Lines(sink) => sink.cut(),
        }
    }

    fn flush(&mut self, inbox: &Inbox) {
        match self {
            Self::Deltas(sink) => inbox.push(&mut sink.batch),
            Self::Lines(sink) => inbox.push_lines(&mut sink.whole),
        }
    }

    /// Whether the last line has come.
    fn is_done(&self) -> bool {
        matches!(self, Self::Deltas(sink) if sink.done)
    }

    /// Whether a body that ended here was complete. Raw lines are judged by their reader.
    fn verdict(&self) -> Result<(), Error> {
        match self {
            Self::Deltas(sink) if !sink.done && !sink.succeeded => Err(Error::new(
                Kind::Incomplete,
                "The reply ended without a last line (`done: true`): it is cut short.",
            )),
            _ => Ok(()),
        }
    }
}

/// Decoded items.
struct Deltas {
    decoder: Decoder,
    batch: Batch,
    progress: bool,
    done: bool,
    /// The last line of a report of progress said so.
    succeeded: bool,
}

impl Deltas {
    fn new(max_line: usize, progress: bool) -> Self {
        let decoder = Decoder::new(Framing::Auto, max_line);
        Self {
            decoder,
            batch: Batch::default(),
            progress,
            done: false,
            succeeded: false,
        }
    }

    /// Decodes, then looks for the last line and for error lines among what is new.
    fn feed(
        &mut self,
        work: impl FnOnce(&mut Decoder, &mut Batch) -> Result<(), WireError>,
    ) -> Result<(), Error> {
        let before = self.batch.items.len();
        let result = work(&mut self.decoder, &mut self.batch);
        let mut keep = self.batch.items.len();
        let mut failure = None;
        for (at, item) in self.batch.items.iter().enumerate().skip(before) {
            let Item::Full(delta) = item else {
                if self.done {
                    keep = keep.min(at);
                }
                continue;
            };
            if let Some(text) = &delta.error {
                keep = keep.min(at);
                failure = Some(error_line(text, &delta.line));
                break;
            }
            if self.done {
                keep = keep.min(at);
            }
            self.done |= delta.done;
            self.succeeded = self.progress && is_success(delta);
        }
        if keep < self.batch.items.len() {
            self.keep(keep);
        }
        match (failure, result) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) if !self.done => Err(undecodable(&error)),
            _ => Ok(()),
        }
    }

    /// Drops all items but the first `count`: what stands after the last line, or is an error, is no item.
    fn keep(&mut self, count: usize) {
        self.batch.items.truncate(count);
        let text = self.batch.items.iter().rev().find_map(|item| match item {
            Item::Text { end, .. } => Some(*end),
            Item::Full(_) => None,
        });
        self.batch.text.truncate(text.unwrap_or(0));
    }
}

/// Raw lines.
struct Lines {
    max_line: usize,
    partial: Vec<u8>,
    whole: Vec<Vec<u8>>,
}

impl Lines {
    fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut start = 0;
        for end in memchr_iter(b'\n', piece) {
            self.extend(piece.get(start..end).unwrap_or_default())?;
            self.cut()?;
            start = end + 1;
        }
        self.extend(piece.get(start..).unwrap_or_default())
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.partial.len() + bytes.len() > self.max_line {
            let message = format!(
                "A line of the reply is longer than {} bytes.",
                self.max_line
            );
            return Err(Error::new(Kind::Decode, message));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn cut(&mut self) -> Result<(), Error> {
        if self.partial.iter().all(u8::is_ascii_whitespace) {
            self.partial.clear();
        } else {
            self.whole.push(mem::take(&mut self.partial));
        }
        Ok(())
    }
}

fn error_line(text: &str, line: &[u8]) -> Error {
    let mut error = Error::new(
        Kind::MidStream,
        format!(
            "The server reported an error in the stream: {}",
            fault::shortened(text)
        ),
    );
    error.server_text = Some(text.to_owned());
    error.body = Some(line.to_vec());
    error
}

fn undecodable(error: &WireError) -> Error {
    Error::new(
        Kind::Decode,
        format!("The reply cannot be decoded: {error}."),
    )
}

/// Whether a line of progress is the last one.
fn is_success(delta: &Delta) -> bool {
    let line: Option<serde_json::Value> = serde_json::from_slice(&delta.line).ok();
    line.as_ref()
        .and_then(|line| line.get("status"))
        .and_then(serde_json::Value::as_str)
        == Some("success")
}

/// Whether a media type promises JSON. `false` means that the body has to show it; a type that rules it out is an error.
fn is_json(media_type: &str) -> Result<bool, Error> {
    let subtype = media_type.rsplit('/').next().unwrap_or_default();
    let json = matches!(
        subtype,
        "json" | "x-ndjson" | "ndjson" | "jsonl" | "x-jsonlines" | "event-stream"
    ) || subtype.ends_with("+json");
    match media_type {
        _ if json => Ok(true),
        "" | "text/plain" | "application/octet-stream" => Ok(false),
        _ => Err(fault::protocol(format!(
            "The reply is {media_type}, not JSON: no Ollama server is there."
        ))),
    }
}

/// Whether the body's first piece shows JSON lines or events (`false`: nothing but white space yet).
fn looks_like_json(piece: &[u8]) -> Result<bool, Error> {
    let piece = piece
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(piece)
        .trim_ascii_start();
    match piece.first() {
        None => Ok(false),
        Some(b'{' | b'd' | b':' | b'e') => Ok(true),
        Some(_) => {
            let excerpt: String = String::from_utf8_lossy(piece).chars().take(80).collect();
            Err(fault::protocol(format!(
                "The reply is not JSON: {excerpt:?}."
            )))
        }
    }
}
