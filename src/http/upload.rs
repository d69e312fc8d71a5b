//! A file as the body of a request: read piece by piece while it is sent, however large it is.
//!
//! ```text
//! on a reactor with a thread of its own:  the file, 3 GB  --pieces of 256 KiB-->  the socket
//! in the general lane:                    the file  --a thread reads, two pieces ahead-->  FileBody  -->  the socket
//! ```
//!
//! Either way [`UploadFile`] knows how much was taken, and when.
//!
//! Each try to send the request reads the file from its beginning, through one open descriptor: the file that was opened is
//! the one that is sent, whatever becomes of its name meanwhile.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::Builder;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::sync::lock;

/// How many bytes are read at once.
const PIECE: usize = 256 << 10;

/// How many pieces are read before the socket takes them.
const PIECES_AHEAD: usize = 2;

/// Who waits for progress is told of it at most so often.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// A file that is sent, and how far that is. Clones are the same.
#[derive(Clone, Debug)]
pub struct UploadFile(Arc<OpenFile>);

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    length: u64,
    sent: Mutex<Sent>,
    /// Tells who waits for progress that there is some.
    moved: Notify,
}

/// How far the sending is.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// How many bytes were taken from the file for the socket.
    bytes: u64,
    /// When the last of them were taken.
    at: Instant,
    /// When a part of a try was last reported.
    reported: Option<Instant>,
}

impl UploadFile {
    /// The file at `path`, as long as it is now. An error of the kind `InvalidInput` is for what is no file, such as a pipe.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Opening a pipe would wait until somebody opens it for writing.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = File::open(path)?;
        let now = Instant::now();
        let sent = Sent {
            bytes: 0,
            at: now,
            reported: None,
        };
        Ok(Self(Arc::new(OpenFile {
            path: path.to_owned(),
            length: file.metadata()?.len(),
            file,
            sent: Mutex::new(sent),
            moved: Notify::new(),
        })))
    }

    /// How many bytes are sent.
    pub fn length(&self) -> u64 {
        self.0.length
    }

    /// How many bytes were taken for the socket, whose buffers are small.
    pub(super) fn sent(&self) -> u64 {
        lock(&self.0.sent).bytes
    }

    /// Whether the socket has taken everything.
    pub(super) fn is_sent(&self) -> bool {
        self.sent() == self.0.length
    }

    /// When the socket has last taken something.
    pub(super) fn last_moved(&self) -> Instant {
        lock(&self.0.sent).at
    }

    /// Waits until more was taken.
    pub(super) async fn moved(&self) {
        self.0.moved.notified().await;
    }

    /// The body of one try, from the beginning of the file, which a thread of its own reads for as long as the body lives.
    pub(super) fn body(&self) -> FileBody {
        self.note(0);
        let (pieces, taken) = mpsc::channel(PIECES_AHEAD);
        let file = self.clone();
        // Without a thread, which drops the sender, the body is an error.
        let _ = Builder::new()
            .name("ollama-file".to_owned())
            .spawn(move || read_pieces(&file, &pieces));
        FileBody {
            file: self.clone(),
            pieces: taken,
            left: self.0.length,
        }
    }

    /// The next piece of the file, from `offset` on, which is less than its length.
    pub(super) fn read(&self, offset: u64) -> Result<Bytes, UnreadableFile> {
        read_piece(&self.0, offset)
    }

    /// Notes that the socket has taken so many bytes.
    pub(super) fn note(&self, bytes: u64) {
        let now = Instant::now();
        let mut sent = lock(&self.0.sent);
        sent.bytes = bytes;
        sent.at = now;
        let is_due = |reported| now.duration_since(reported) >= REPORT_INTERVAL;
        let report = bytes > 0 && (bytes == self.0.length || sent.reported.is_none_or(is_due));
        sent.reported = match (bytes, report) {
            (0, _) => None,
            (_, true) => Some(now),
            (_, false) => sent.reported,
        };
        drop(sent);
        if report {
            self.0.moved.notify_one();
        }
    }
}

/// Why a file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the file {} {what}", path.display())]
pub(super) struct UnreadableFile {
    path: PathBuf,
    what: String,
}

/// Reads the file until its announced length is reached, or nobody takes what was read.
fn read_pieces(file: &UploadFile, pieces: &mpsc::Sender<Result<Bytes, UnreadableFile>>) {
    let mut offset = 0;
    while offset < file.length() {
        let piece = file.read(offset);
        let failed = piece.is_err();
        offset += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if pieces.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

fn read_piece(open: &OpenFile, offset: u64) -> Result<Bytes, UnreadableFile> {
    let unreadable = |what: String| UnreadableFile {
        path: open.path.clone(),
        what,
    };
    let left = usize::try_from(open.length - offset).unwrap_or(PIECE);
    let mut piece = vec![0; left.min(PIECE)];
    loop {
        match read_at(&open.file, &mut piece, offset) {
            Ok(0) => {
                return Err(unreadable(format!(
                    "has become shorter while it was sent: it had {} bytes, and ends after {offset}",
                    open.length
                )));
            }
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(format!("cannot be read: {error}"))),
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// The body of one try to send a file. Its length is known, so that it is sent as `Content-Length`.
pub(super) struct FileBody {
    file: UploadFile,
    pieces: mpsc::Receiver<Result<Bytes, UnreadableFile>>,
    left: u64,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = UnreadableFile;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UnreadableFile>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| {
            let piece = piece.unwrap_or_else(|| {
                Err(UnreadableFile {
                    path: self.file.0.path.clone(),
                    what: "cannot be read: no thread can be started for it".to_owned(),
                })
            });
            if let Ok(piece) = &piece {
                self.left -= piece.len() as u64;
                self.file.note(self.file.0.length - self.left);
            }
            Some(piece.map(Frame::data))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
