//! From a reply to an inbox: reads, has a sink decode, pushes once per network read, and closes the inbox with how it ended.
//!
//! ```text
//! one read:  {"response":"Hel","done":false}\n{"response":"lo","done":false}\n  ->  a batch of "Hel" and "lo"
//! one read:  {"response":"","done":true}\n                                     ->  a batch of one delta; the inbox ends
//! ```

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::endpoint::ReplyLines;
use super::exchange::Exchange;
use super::explain::explain;
use super::fault;
use super::request::Request;
use super::resumption::{Completed, Resumption};
use super::sink::{DeltaSink, ExpectedLines, PumpMode, RawLineSink, Sink};
use super::transport::Transport;
use super::upload::UploadFile;
use crate::error::{Error, Kind};
use crate::excerpt::excerpt;
use crate::inbox::Inbox;
use crate::stats::Trace;

/// How long the end of the body is waited for after `done: true`, so that the connection can be used again.
const END_PATIENCE: Duration = Duration::from_millis(100);

/// Closes the inbox even if the pump is dropped half-way, so that no reader waits for ever.
struct CloseOnDrop<'a>(&'a Inbox);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close(Err(Error::new(
            Kind::Closed,
            "The client was closed while a reply was being read.",
        )));
    }
}

/// Sends `request` and moves the reply into `inbox`, which is closed at the end: see [`super::Client::pump`].
pub(super) async fn run(
    transport: &Transport,
    request: Request,
    inbox: &Arc<Inbox>,
    mode: PumpMode,
) {
    let _closing = CloseOnDrop(inbox);
    let url = transport.config().base.url(&request.endpoint.path);
    let trace = request.trace.clone();
    let secrets = transport.secrets_of(&request);
    let end = tokio::select! {
        biased;
        () = inbox.aborted() => Err(Error::new(Kind::Closed, "The stream was closed by its reader.")),
        end = stream_and_explain(transport, request, inbox, mode) => end,
    };
    let end = end.map_err(|error| secrets.redact(error.at(&url)));
    if let Some(trace) = trace {
        trace.finish(end.as_ref().err());
    }
    inbox.close(end);
}

/// As [`stream`], with what the server says about a failure.
async fn stream_and_explain(
    transport: &Transport,
    request: Request,
    inbox: &Inbox,
    mode: PumpMode,
) -> Result<(), Error> {
    let trace = request.trace.clone();
    let headers = request.headers.clone();
    match Box::pin(stream(transport, request, inbox, mode)).await {
        Ok(()) => Ok(()),
        Err(error) => Err(Box::pin(explain(transport, trace.as_deref(), headers, error)).await),
    }
}

/// Sends `request` and moves the reply into `inbox` until it ends or fails. A transfer goes on where it broke off: its reader
/// sees the reports of the next reply after those of the one before. A reader of raw lines decides on that itself.
async fn stream(
    transport: &Transport,
    mut request: Request,
    inbox: &Inbox,
    mode: PumpMode,
) -> Result<(), Error> {
    let config = transport.config();
    let resumption = Resumption::of(&request, config.retry, config.timeouts);
    let Some(mut resumption) = resumption.filter(|_| mode != PumpMode::RawLines) else {
        return stream_once(transport, request, inbox, mode, None).await;
    };
    let secrets = transport.secrets_of(&request);
    loop {
        let mut completed = Completed::new();
        let once = stream_once(transport, request, inbox, mode, Some(&mut completed));
        let error = match Box::pin(once).await {
            Ok(()) => return Ok(()),
            Err(error) => secrets.redact(error),
        };
        resumption.note_completed(completed);
        request = resumption
            .wait_for_next(error, transport.lane(), || inbox.nudge())
            .await?;
    }
}

/// Sends `request` and moves the reply into `inbox` until it ends or fails. How far a transfer comes goes into `completed`.
async fn stream_once(
    transport: &Transport,
    request: Request,
    inbox: &Inbox,
    mode: PumpMode,
    completed: Option<&mut Completed>,
) -> Result<(), Error> {
    let max_line = transport.config().max_line;
    let expected = match (request.endpoint.lines, mode) {
        (Some(ReplyLines::Progress), _) => ExpectedLines::Progress,
        (_, PumpMode::Records(shape)) => ExpectedLines::Answer(Some(shape)),
        (Some(ReplyLines::Answer), _) => ExpectedLines::Answer(None),
        (Some(ReplyLines::Any) | None, _) => ExpectedLines::Any,
    };
    let guarded = request.repetition_guard;
    let trace = request.trace.clone();
    let trace = trace.as_deref();
    if let Some(file) = request.upload.clone() {
        return upload(transport, request, &file, inbox).await;
    }
    let mut exchange = Exchange::open(transport, request).await?;
    let status = exchange.status();
    let end = match mode {
        PumpMode::Deltas | PumpMode::Records(_) => {
            let mut sink = DeltaSink::new(max_line, expected, guarded);
            let end = relay(&mut exchange, &mut sink, inbox, trace).await;
            if let Some(completed) = completed {
                *completed = sink.into_completed();
            }
            end
        }
        PumpMode::RawLines => {
            relay(&mut exchange, &mut RawLineSink::new(max_line), inbox, trace).await
        }
    };
    end.map_err(|error| exchange.at_redirected_url(error.after(status)))
}

/// Sends `request`, whose body is `file`, and reports its progress to `inbox` as lines in the form of Ollama's own reports.
/// What a server answers to a file beside its status is of no interest.
async fn upload(
    transport: &Transport,
    request: Request,
    file: &UploadFile,
    inbox: &Inbox,
) -> Result<(), Error> {
    let max_line = transport.config().max_line;
    let mut sink = DeltaSink::new(max_line, ExpectedLines::Progress, false);
    let report = |sink: &mut DeltaSink| {
        let (total, completed) = (file.length(), file.sent());
        let line =
            format!("{{\"status\":\"uploading\",\"total\":{total},\"completed\":{completed}}}\n");
        sink.feed(line.as_bytes())
            .map(|()| Sink::flush(sink, inbox))
    };
    let mut opening = pin!(Exchange::open(transport, request));
    let mut exchange = loop {
        tokio::select! {
            biased;
            opened = &mut opening => break opened?,
            () = file.moved() => report(&mut sink)?,
        }
        // A reader that is busy gets the next report once it has taken those that wait.
        tokio::select! {
            biased;
            opened = &mut opening => break opened?,
            () = inbox.wait_for_room() => {}
        }
    };
    exchange.whole(transport.config().max_body).await?;
    report(&mut sink)?;
    sink.feed(b"{\"status\":\"success\"}\n")?;
    sink.flush(inbox);
    Ok(())
}

/// Moves the body through `sink` into `inbox`.
async fn relay(
    exchange: &mut Exchange,
    sink: &mut impl Sink,
    inbox: &Inbox,
    trace: Option<&Trace>,
) -> Result<(), Error> {
    let mut checked = is_json(&exchange.media_type())?;
    let mut empty = true;
    loop {
        let mut failure = None;
        let pulled = exchange.pull(|piece| {
            empty = false;
            let result = if checked {
                Ok(())
            } else {
                looks_like_json(piece).map(|seen| checked = seen)
            };
            failure = result.and_then(|()| sink.feed(piece)).err();
            failure.is_none() && !sink.is_done()
        });
        let mut read = pulled.await;
        if let Some(failure) = failure {
            read = Err(failure);
        }
        if let Ok(true) = read {
            read = sink.finish().map(|()| true);
        }
        // Before the reader has the last line: with that, it may leave at once.
        if let Some(trace) = trace
            && (sink.is_done() || !matches!(read, Ok(false)))
        {
            trace.note_answer(sink.reply_end(), sink.is_done());
        }
        sink.flush(inbox);
        match read {
            Ok(true) if empty => return Err(fault::protocol("The reply is empty.")),
            Ok(true) => return sink.check_complete(),
            Ok(false) if sink.is_done() => return read_to_end(exchange, sink).await,
            Ok(false) => {}
            // What is missing is the end of the body, which says nothing more.
            Err(error)
                if sink.has_succeeded()
                    && matches!(error.kind, Kind::Interrupted | Kind::Timeout) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        exchange.wait_for(inbox.wait_for_room()).await;
    }
}

/// Reads on to the end of a body whose last line has come. Only an error line still counts: a server that breaks off
/// after the last line has sent the whole answer.
async fn read_to_end(exchange: &mut Exchange, sink: &mut impl Sink) -> Result<(), Error> {
    let lane = exchange.lane().clone();
    let rest = async {
        let mut fed = Ok(());
        loop {
            let pulled = exchange.pull(|piece| {
                fed = sink.feed(piece);
                fed.is_ok()
            });
            let pulled = pulled.await;
            std::mem::replace(&mut fed, Ok(()))?;
            if !matches!(pulled, Ok(false)) {
                return sink.finish();
            }
        }
    };
    match lane.within(END_PATIENCE, rest).await {
        Some(Err(error)) if error.kind == Kind::MidStream => Err(error),
        _ => Ok(()),
    }
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
            "The reply is {}, not JSON: no Ollama server is there.",
            excerpt(media_type, 80)
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
            let text = String::from_utf8_lossy(piece.get(..400).unwrap_or(piece));
            let mut shown: String = text.chars().take(80).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            Err(fault::protocol(format!(
                "The reply is not JSON: {shown:?}."
            )))
        }
    }
}
