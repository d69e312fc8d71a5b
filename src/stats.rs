//! What became of each call: a record of its times, tokens, retries and end, kept for whoever looks.
//!
//! A [`Trace`] accompanies a call and becomes a [`Record`] when the call ends, however it ends. The last records of the
//! process stand in a bounded ring; with a [`Journal`] each is also written where other processes can read it. Nothing
//! happens per token: a trace notes the time of the first byte and what the last line says.
//!
//! The ring is keyed by process, because another thread may hold its lock at the moment of a fork: the child starts
//! with an empty one and leaks the other.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::{Error, Kind};
use crate::wire::Counters;

/// How many records are kept unless told otherwise.
pub const KEPT: usize = 1000;

/// A call that has ended. Times are in seconds; what the server did not say is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Unix time.
    pub started: f64,
    pub process: u32,
    pub model: Option<String>,
    /// The base URL, without user and password.
    pub host: String,
    pub endpoint: String,
    pub streamed: bool,
    /// Until the first byte of a stream.
    pub first_token_seconds: Option<f64>,
    /// From the request to its end, retries included.
    pub seconds: f64,
    pub prompt_tokens: Option<u64>,
    pub answer_tokens: Option<u64>,
    /// Tokens of the prompt that the server had in its cache.
    pub cached_tokens: Option<u64>,
    pub load_seconds: Option<f64>,
    pub prompt_seconds: Option<f64>,
    pub answer_seconds: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub retries: usize,
    /// The answer stopped at its token limit.
    pub truncated: bool,
    /// The name of the [`Kind`], if the call failed; `closed` if nobody waited for its end.
    pub error: Option<&'static str>,
    /// Which limit ran out, for `timeout`.
    pub phase: Option<&'static str>,
    pub status: Option<u16>,
    /// No call of its own: the reply of a call that ended well, which has a record, was found to be no answer.
    pub rejected: bool,
}

/// Which call it is.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Empty where none is asked.
    pub model: String,
    pub host: String,
    pub endpoint: String,
    pub streamed: bool,
}

/// A call under way.
#[derive(Debug)]
pub struct Trace {
    about: About,
    rejected: bool,
    process: u32,
    started: SystemTime,
    clock: Instant,
    journal: Option<Arc<Journal>>,
    first: OnceLock<Duration>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    retries: usize,
    notes: Vec<String>,
    counters: Counters,
    truncated: bool,
    complete: bool,
    finished: bool,
}

impl Trace {
    /// A call that begins now.
    pub fn new(about: About, journal: Option<Arc<Journal>>) -> Arc<Self> {
        Self::begun(about, journal, false)
    }

    /// What stands for no call of its own (see [`Record::rejected`]).
    pub fn rejecting(about: About, journal: Option<Arc<Journal>>) -> Arc<Self> {
        Self::begun(about, journal, true)
    }

    fn begun(about: About, journal: Option<Arc<Journal>>, rejected: bool) -> Arc<Self> {
        Arc::new(Self {
            about,
            rejected,
            process: std::process::id(),
            started: SystemTime::now(),
            clock: Instant::now(),
            journal,
            first: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    pub fn about(&self) -> &About {
        &self.about
    }

    /// The first byte of the reply's body is there.
    pub fn begin(&self) {
        self.first.get_or_init(|| self.clock.elapsed());
    }

    /// The request goes out once more; `note` says why, for the log.
    pub fn retry(&self, note: String) {
        let mut state = lock(&self.state);
        state.retries += 1;
        state.notes.push(note);
    }

    /// What the reply's last line says. `complete`: the answer is all there, whatever happens to its connection now.
    pub fn answer(&self, counters: &Counters, done_reason: Option<&str>, complete: bool) {
        let mut state = lock(&self.state);
        state.counters.update(counters);
        state.truncated |= done_reason == Some("length");
        state.complete |= complete;
    }

    /// Makes the record of a call that ended well or with `failure`. Only the first call counts.
    pub fn finish(&self, failure: Option<&Error>) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.finished, true) {
            return;
        }
        let record = self.record(&state, failure);
        let complaint = self
            .journal
            .as_ref()
            .and_then(|journal| journal.add(&record));
        state.notes.extend(complaint);
        drop(state);
        keep(record);
    }

    /// What is to be logged and was not handed out before.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).notes)
    }

    fn record(&self, state: &State, failure: Option<&Error>) -> Record {
        // A reader that leaves after the last line has missed nothing.
        let error = failure.filter(|error| !(state.complete && error.kind == Kind::Closed));
        let counters = &state.counters;
        let seconds =
            |nanoseconds: Option<u64>| nanoseconds.map(|n| Duration::from_nanos(n).as_secs_f64());
        let answer_seconds = seconds(counters.eval_duration);
        let count = counters
            .eval_count
            .and_then(|count| u32::try_from(count).ok());
        Record {
            started: self
                .started
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64(),
            process: self.process,
            model: Some(self.about.model.clone()).filter(|model| !model.is_empty()),
            host: self.about.host.clone(),
            endpoint: self.about.endpoint.clone(),
            streamed: self.about.streamed,
            first_token_seconds: self
                .first
                .get()
                .filter(|_| self.about.streamed)
                .map(Duration::as_secs_f64),
            seconds: self.clock.elapsed().as_secs_f64(),
            prompt_tokens: counters.prompt_eval_count,
            answer_tokens: counters.eval_count,
            cached_tokens: counters.prompt_eval_cached_count,
            load_seconds: seconds(counters.load_duration),
            prompt_seconds: seconds(counters.prompt_eval_duration),
            answer_seconds,
            tokens_per_second: match (count, answer_seconds) {
                (Some(count), Some(seconds)) if seconds > 0.0 => Some(f64::from(count) / seconds),
                _ => None,
            },
            retries: state.retries,
            truncated: state.truncated,
            error: error.map(|error| error.kind.name()),
            phase: error.and_then(|error| error.phase),
            status: error.and_then(|error| error.status),
            rejected: self.rejected,
        }
    }
}

/// A call that nobody waited for has a record, too; a forked child's copy of one has not.
impl Drop for Trace {
    fn drop(&mut self) {
        let open = !self
            .state
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .finished;
        if open && self.process == std::process::id() {
            self.finish(Some(&Error::new(Kind::Closed, "nobody waited for the end")));
        }
    }
}

/// Where records are written for other processes: a file, or the socket of a monitor.
#[derive(Debug)]
pub struct Journal {
    place: Place,
    /// A place that cannot be written to is told once.
    told: AtomicBool,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    #[cfg(unix)]
    Socket(PathBuf),
}

impl Journal {
    /// The place that `text` names: a file, or `unix:/path` for a datagram socket. `None` for an empty text.
    pub fn at(text: &str) -> Option<Arc<Self>> {
        let place = match text.strip_prefix("unix:") {
            #[cfg(unix)]
            Some(path) => Place::Socket(path.into()),
            _ if text.is_empty() => return None,
            _ => Place::File(text.into()),
        };
        let told = AtomicBool::new(false);
        Some(Arc::new(Self { place, told }))
    }

    /// Writes `record` as one line of JSON. Returns the first failure in words.
    fn add(&self, record: &Record) -> Option<String> {
        let written = serde_json::to_vec(record)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.place.write(&line)
            });
        let error = written.err()?;
        let first = !self.told.swap(true, Ordering::Relaxed);
        first.then(|| format!("METAGPT_OLLAMA_STATS cannot be written to: {error}."))
    }
}

impl Place {
    /// One write for one line, so that the lines of several processes do not mix. The place is opened anew each time:
    /// that costs microseconds a call, and a file that was moved away or a monitor that was restarted does no harm.
    fn write(&self, line: &[u8]) -> std::io::Result<()> {
        match self {
            Self::File(path) => {
                let mut options = std::fs::OpenOptions::new();
                options.append(true).create(true);
                // A pipe that nobody reads must not stop the calls.
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
                std::io::Write::write_all(&mut options.open(path)?, line)
            }
            #[cfg(unix)]
            Self::Socket(path) => {
                let socket = std::os::unix::net::UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                socket.send_to(line, path).map(drop)
            }
        }
    }
}

/// The ring of one process.
struct Ring {
    process: u32,
    records: Mutex<VecDeque<Record>>,
}

static RING: AtomicPtr<Ring> = AtomicPtr::new(std::ptr::null_mut());
static CAPACITY: AtomicUsize = AtomicUsize::new(KEPT);

fn ring() -> &'static Ring {
    let process = std::process::id();
    let known = RING.load(Ordering::Acquire);
    // SAFETY: the pointer is null or comes from the `Box` below, which is never freed once it is stored.
    if let Some(ring) = unsafe { known.as_ref() }
        && ring.process == process
    {
        return ring;
    }
    let fresh = Box::into_raw(Box::new(Ring {
        process,
        records: Mutex::default(),
    }));
    match RING.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: as above.
        Ok(_) => unsafe { &*fresh },
        Err(other) => {
            // SAFETY: `fresh` was not stored, so nobody else has it; `other` is of another thread that came first.
            unsafe {
                drop(Box::from_raw(fresh));
                &*other
            }
        }
    }
}

fn keep(record: Record) {
    let mut records = lock(&ring().records);
    records.push_back(record);
    trim(&mut records);
}

fn trim(records: &mut VecDeque<Record>) {
    let surplus = records
        .len()
        .saturating_sub(CAPACITY.load(Ordering::Relaxed));
    records.drain(..surplus);
}

/// The records of this process, the oldest first.
pub fn records() -> Vec<Record> {
    lock(&ring().records).iter().cloned().collect()
}

/// Forgets the records of this process.
pub fn clear() {
    lock(&ring().records).clear();
}

/// Keeps the last `capacity` records from now on.
pub fn resize(capacity: usize) {
    CAPACITY.store(capacity, Ordering::Relaxed);
    trim(&mut lock(&ring().records));
}

/// What a panic elsewhere left is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
