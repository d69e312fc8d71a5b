//! What became of each call: a record of its times, tokens, retries and end, kept for whoever looks.
//!
//! A [`Trace`] accompanies a call and becomes a [`CallRecord`] when the call ends, however it ends. The last records of
//! the process stand in a bounded ring; with a [`Journal`] each is also written where other processes can read it, and
//! before it, when the call begins, what is known then: of a process that is killed, only that is left. Nothing
//! happens per token: a trace notes the time of the first byte and what the last line says. Of a call, the journal has two
//! lines of JSON (here without half of their members), and a third one if whoever read the answer had to repair it:
//!
//! ```json
//! {"id":"71-1787331605104512000","state":"begun","model":"qwen3:8b","endpoint":"/api/chat","streamed":true}
//! {"id":"71-1787331605104512000","state":"ended","model":"qwen3:8b","endpoint":"/api/chat","streamed":true,"seconds":2.5}
//! {"id":"71-1787331605104512000","state":"repaired","repaired":"prose, trailing comma"}
//! ```
//!
//! Each process has its own book of records and of calls under way: a forked child begins with an empty one.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::{Error, Kind, Phase};
use crate::per_process::PerProcess;
use crate::sync::lock;
use crate::wire::Counters;

/// How many records are kept unless told otherwise.
pub const DEFAULT_CAPACITY: usize = 1000;

/// What is known of a call from its beginning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallStart {
    /// Unlike that of any other call, also of other processes.
    pub id: String,
    /// `begun` for a call under way, `ended` in its [`CallRecord`].
    pub state: &'static str,
    /// Unix time.
    pub started: f64,
    pub process: u32,
    pub model: Option<String>,
    /// The base URL, without user and password.
    pub host: String,
    pub endpoint: String,
    pub streamed: bool,
}

/// A call that has ended. Times are in seconds; what the server did not say is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRecord {
    #[serde(flatten)]
    pub start: CallStart,
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
    /// Whether the answer stopped at its token limit.
    pub truncated: bool,
    /// The name of the [`Kind`], if the call failed; `closed` if nobody waited for its end.
    pub error: Option<&'static str>,
    /// Which limit ran out, for `timeout`.
    pub phase: Option<Phase>,
    pub status: Option<u16>,
    /// Whether this is no call of its own: the reply of a call that ended well, which has a record, was found to be no
    /// answer.
    pub rejected: bool,
    /// What was repaired in the answer by whoever took JSON out of it, in words. See [`note_repairs`].
    pub repaired: Option<String>,
}

/// Which call it is: what whoever makes it knows.
#[derive(Clone, Debug, Default)]
pub struct CallInfo {
    /// Empty where no model is asked.
    pub model: String,
    pub host: String,
    pub endpoint: String,
    pub streamed: bool,
}

/// What the end of a reply says about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplyEnd {
    pub counters: Counters,
    /// Why the answer ended, such as `stop`.
    pub done_reason: Option<String>,
    /// The model that answered, by its own account.
    pub model: Option<String>,
}

/// Something that happened in a call, in words for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceNote {
    pub text: String,
    /// For a request that was sent again: how long after the start of the call.
    pub retried_at: Option<Duration>,
}

/// What is known of a call that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedCall {
    pub record: CallRecord,
    pub done_reason: Option<String>,
    /// The model that answered, by its own account.
    pub model: Option<String>,
}

/// A call under way.
#[derive(Debug)]
pub struct Trace {
    number: u64,
    call: CallInfo,
    rejected: bool,
    process: u32,
    started: SystemTime,
    clock: Instant,
    journal: Option<Arc<Journal>>,
    /// How long after the start the first byte of the reply's body came.
    first_byte: OnceLock<Duration>,
    /// Whether there are notes that nobody has taken. Asked for each piece of a stream, so without the lock.
    has_notes: AtomicBool,
    /// Whether somebody will ask for the record when the call has ended.
    keeps_end: AtomicBool,
    state: Mutex<TraceState>,
}

#[derive(Debug, Default)]
struct TraceState {
    retries: usize,
    notes: Vec<TraceNote>,
    reply_end: ReplyEnd,
    /// Whether the answer is all there.
    complete: bool,
    /// Whether the record was made.
    finished: bool,
    /// The end, if it was to be kept.
    ended: Option<Box<EndedCall>>,
}

impl Trace {
    /// A call that begins now. It is noted as under way, here and in `journal`.
    pub fn new(call: CallInfo, journal: Option<Arc<Journal>>) -> Arc<Self> {
        let trace = Self::build(call, journal, false);
        if let Some(journal) = &trace.journal
            && let Some(complaint) = journal.write(&trace.start("begun"))
        {
            trace.note(&mut lock(&trace.state), complaint, None);
        }
        let trace = Arc::new(trace);
        lock(&CALLS.get().open).insert(trace.number, Arc::downgrade(&trace));
        trace
    }

    /// What is not under way: a call that was refused before anything was sent, or with `rejected` none of its own
    /// (see [`CallRecord::rejected`]).
    pub fn not_under_way(call: CallInfo, journal: Option<Arc<Journal>>, rejected: bool) -> Self {
        Self::build(call, journal, rejected)
    }

    fn build(call: CallInfo, journal: Option<Arc<Journal>>, rejected: bool) -> Self {
        Self {
            number: unique_number(),
            call,
            rejected,
            process: std::process::id(),
            started: SystemTime::now(),
            clock: Instant::now(),
            journal,
            first_byte: OnceLock::new(),
            has_notes: AtomicBool::new(false),
            keeps_end: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    fn start(&self, state: &'static str) -> CallStart {
        let since = self.started.duration_since(UNIX_EPOCH);
        CallStart {
            id: self.id(),
            state,
            started: since.unwrap_or_default().as_secs_f64(),
            process: self.process,
            model: Some(self.call.model.clone()).filter(|model| !model.is_empty()),
            host: self.call.host.clone(),
            endpoint: self.call.endpoint.clone(),
            streamed: self.call.streamed,
        }
    }

    /// The `id` in the record.
    pub fn id(&self) -> String {
        format!("{}-{}", self.process, self.number)
    }

    /// Which call it is.
    pub fn call(&self) -> &CallInfo {
        &self.call
    }

    /// Notes that the first byte of the reply's body has come.
    pub fn note_first_byte(&self) {
        self.first_byte.get_or_init(|| self.clock.elapsed());
    }

    /// Notes that the request goes out once more; `reason` is a sentence for the log.
    pub fn note_retry(&self, reason: String) {
        let mut state = lock(&self.state);
        state.retries += 1;
        self.note(&mut state, reason, Some(self.clock.elapsed()));
    }

    fn note(&self, state: &mut TraceState, text: String, retried_at: Option<Duration>) {
        state.notes.push(TraceNote { text, retried_at });
        self.has_notes.store(true, Ordering::Release);
    }

    /// Notes what the last line of the reply says. `complete` means that the answer is all there, whatever happens to its
    /// connection now.
    pub fn note_answer(&self, end: ReplyEnd, complete: bool) {
        let mut state = lock(&self.state);
        let known = &mut state.reply_end;
        known.counters.update(&end.counters);
        known.done_reason = end.done_reason.or_else(|| known.done_reason.take());
        known.model = end.model.or_else(|| known.model.take());
        state.complete |= complete;
    }

    /// Keeps what is known at the end of the call for [`Trace::ended`].
    pub fn keep_end(&self) {
        self.keeps_end.store(true, Ordering::Release);
    }

    /// What is known of the call, if it has ended and [`Trace::keep_end`] was called before.
    pub fn ended(&self) -> Option<EndedCall> {
        lock(&self.state).ended.as_deref().cloned()
    }

    /// How long after the start the first byte of the reply's body came.
    pub fn first_byte(&self) -> Option<Duration> {
        self.first_byte.get().copied()
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
            .and_then(|journal| journal.write(&record));
        if let Some(complaint) = complaint {
            self.note(&mut state, complaint, None);
        }
        if self.keeps_end.load(Ordering::Acquire) {
            let ReplyEnd {
                done_reason, model, ..
            } = state.reply_end.clone();
            state.ended = Some(Box::new(EndedCall {
                record: record.clone(),
                done_reason,
                model,
            }));
        }
        drop(state);
        lock(&CALLS.get().open).remove(&self.number);
        push_record(record);
    }

    /// The notes that were not handed out before.
    pub fn take_notes(&self) -> Vec<TraceNote> {
        if !self.has_notes.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut state = lock(&self.state);
        self.has_notes.store(false, Ordering::Release);
        std::mem::take(&mut state.notes)
    }

    fn record(&self, state: &TraceState, failure: Option<&Error>) -> CallRecord {
        // A reader that leaves after the last line has missed nothing.
        let error = failure.filter(|error| !(state.complete && error.kind == Kind::Closed));
        // Each counter is named here, so that the compiler asks whether a new one belongs into the records.
        let Counters {
            total_duration: _,
            load_duration,
            prompt_eval_count,
            prompt_eval_cached_count,
            prompt_eval_duration,
            eval_count,
            eval_duration,
        } = state.reply_end.counters;
        let seconds =
            |nanoseconds: Option<u64>| nanoseconds.map(|n| Duration::from_nanos(n).as_secs_f64());
        let answer_seconds = seconds(eval_duration);
        let count = eval_count.and_then(|count| u32::try_from(count).ok());
        CallRecord {
            start: self.start("ended"),
            first_token_seconds: self
                .first_byte
                .get()
                .filter(|_| self.call.streamed)
                .map(Duration::as_secs_f64),
            seconds: self.clock.elapsed().as_secs_f64(),
            prompt_tokens: prompt_eval_count,
            answer_tokens: eval_count,
            cached_tokens: prompt_eval_cached_count,
            load_seconds: seconds(load_duration),
            prompt_seconds: seconds(prompt_eval_duration),
            answer_seconds,
            tokens_per_second: match (count, answer_seconds) {
                (Some(count), Some(seconds)) if seconds > 0.0 => Some(f64::from(count) / seconds),
                _ => None,
            },
            retries: state.retries,
            truncated: state.reply_end.done_reason.as_deref() == Some("length"),
            error: error.map(|error| error.kind.name()),
            phase: error.and_then(|error| error.phase),
            status: error.and_then(|error| error.status),
            rejected: self.rejected,
            repaired: None,
        }
    }
}

/// A number that no other call of this process has, and that a later process of the same id has not either: the
/// nanoseconds since 1970, or the next number that is free.
fn unique_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(0);
    let next = |last: u64| now.max(last.saturating_add(1));
    let taken = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        Some(next(last))
    });
    taken.map_or(now, next)
}

/// A call that nobody waited for has a record, too; a forked child's copy of one has not.
impl Drop for Trace {
    fn drop(&mut self) {
        let open = !lock(&self.state).finished;
        if open && self.process == std::process::id() {
            self.finish(Some(&Error::new(Kind::Closed, "nobody waited for the end")));
        }
    }
}

/// Where records are written for other processes: a file, or the socket of a monitor.
#[derive(Debug)]
pub struct Journal {
    target: JournalTarget,
    /// Whether somebody was told that the target cannot be written to, which happens once.
    complained: AtomicBool,
}

/// What a journal writes to.
#[derive(Debug)]
enum JournalTarget {
    File(PathBuf),
    #[cfg(unix)]
    Socket(PathBuf),
}

impl Journal {
    /// A journal for the target that `text` names: a file, or `unix:/path` for a datagram socket. `None` for an empty text.
    pub fn at(text: &str) -> Option<Arc<Self>> {
        let target = match text.strip_prefix("unix:") {
            #[cfg(unix)]
            Some(path) => JournalTarget::Socket(path.into()),
            _ if text.is_empty() => return None,
            _ => JournalTarget::File(text.into()),
        };
        let complained = AtomicBool::new(false);
        Some(Arc::new(Self { target, complained }))
    }

    /// Writes `entry` as one line of JSON. Returns the first failure in words.
    fn write(&self, entry: &impl Serialize) -> Option<String> {
        let written = serde_json::to_vec(entry)
            .map_err(std::io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.target.write(&line)
            });
        let error = written.err()?;
        let first = !self.complained.swap(true, Ordering::Relaxed);
        first.then(|| format!("METAGPT_OLLAMA_STATS cannot be written to: {error}."))
    }
}

impl JournalTarget {
    /// One write for one line, so that the lines of several processes do not mix. The target is opened anew each time:
    /// that costs microseconds a call, and a file that was moved away or a monitor that was restarted does no harm.
    fn write(&self, line: &[u8]) -> std::io::Result<()> {
        match self {
            Self::File(path) => {
                let mut options = std::fs::OpenOptions::new();
                options.append(true).create(true);
                #[cfg(unix)]
                {
                    use std::os::unix::fs::OpenOptionsExt;
                    // Other users of the machine may not read a new file; one that is there keeps its mode.
                    options.mode(0o600);
                    // To open a pipe that has no reader must not block a call.
                    options.custom_flags(libc::O_NONBLOCK);
                }
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

/// The calls of one process.
#[derive(Default)]
struct ProcessCalls {
    records: Mutex<VecDeque<CallRecord>>,
    /// Those under way, by their numbers.
    open: Mutex<BTreeMap<u64, Weak<Trace>>>,
}

static CALLS: PerProcess<ProcessCalls> = PerProcess::new(ProcessCalls::default);
static CAPACITY: AtomicUsize = AtomicUsize::new(DEFAULT_CAPACITY);

fn push_record(record: CallRecord) {
    let mut records = lock(&CALLS.get().records);
    records.push_back(record);
    trim(&mut records);
}

fn trim(records: &mut VecDeque<CallRecord>) {
    let surplus = records
        .len()
        .saturating_sub(CAPACITY.load(Ordering::Relaxed));
    records.drain(..surplus);
}

/// Notes that the answer of the call `id`, which has ended, was `repaired`: in its record, if that is still kept, and in
/// a line of the journal. That the journal cannot be written to was said when the call began.
pub fn note_repairs(id: &str, repaired: &str, journal: Option<&Journal>) {
    // The newest records are the last ones, and repairs follow the end of their call at once.
    let mut records = lock(&CALLS.get().records);
    if let Some(record) = records
        .iter_mut()
        .rev()
        .find(|record| record.start.id == id)
    {
        record.repaired = Some(repaired.to_owned());
    }
    drop(records);
    if let Some(journal) = journal {
        let _ = journal.write(&RepairLine {
            id,
            state: "repaired",
            repaired,
        });
    }
}

/// The line of a journal that follows the record of a call whose answer was repaired.
#[derive(Serialize)]
struct RepairLine<'a> {
    id: &'a str,
    state: &'static str,
    repaired: &'a str,
}

/// The records of this process, the oldest first.
pub fn records() -> Vec<CallRecord> {
    lock(&CALLS.get().records).iter().cloned().collect()
}

/// The calls of this process that are under way, in the order in which they began.
pub fn pending() -> Vec<CallStart> {
    let open = lock(&CALLS.get().open);
    let traces: Vec<_> = open.values().filter_map(Weak::upgrade).collect();
    // A trace that ends here, as the last one that knows it, needs the lock.
    drop(open);
    traces.iter().map(|trace| trace.start("begun")).collect()
}

/// Forgets the records of this process.
pub fn clear() {
    lock(&CALLS.get().records).clear();
}

/// Keeps the last `capacity` records from now on.
pub fn resize(capacity: usize) {
    CAPACITY.store(capacity, Ordering::Relaxed);
    trim(&mut lock(&CALLS.get().records));
}
