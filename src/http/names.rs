//! Looking up the addresses of names, for both lanes and all clients of a process: of `localhost`, `127.0.0.1` and
//! `::1`.
//!
//! The system's resolver blocks its thread, and nothing stops it: a lookup that nobody waits for any more still keeps
//! its thread. So a few threads do all lookups, and all who ask for a name while it is looked up get the one answer. A
//! name that finds every thread busy waits for one, at most as long as the system takes to give up on another name;
//! whoever waits has a limit of its own, the one for connecting.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::per_process::PerProcess;
use crate::sync::lock;

/// How many names are looked up at a time. `localhost` may take a thread beyond these: its answer is on this machine
/// and comes at once.
const MAX_THREADS: usize = 8;

/// The result of a lookup; `None` until there is one.
type LookupAnswer = Option<Result<Arc<[SocketAddr]>, Arc<io::Error>>>;

/// Asks the system for the addresses of a name, and blocks until it answers.
type BlockingLookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// The addresses of `name`, with port 0.
pub(super) async fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    static RESOLVER: PerProcess<ResolverThreads> = PerProcess::new(|| {
        ResolverThreads::new(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
    });
    RESOLVER.get().resolve(name).await
}

/// Threads that look up names.
struct ResolverThreads {
    lookup: BlockingLookup,
    lookups: Mutex<Lookups>,
}

#[derive(Default)]
struct Lookups {
    /// How many threads there are.
    threads: usize,
    /// The names that a thread looks up and those that wait for a thread. An answer has as many receivers as there are
    /// calls that wait for it.
    answers: HashMap<String, watch::Sender<LookupAnswer>>,
    /// The names that wait for a thread.
    waiting: VecDeque<String>,
}

impl ResolverThreads {
    fn new(lookup: BlockingLookup) -> Self {
        Self {
            lookup,
            lookups: Mutex::default(),
        }
    }

    async fn resolve(&'static self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut answer = self.subscribe(name)?;
        let answer = answer.wait_for(Option::is_some).await;
        match answer.as_deref() {
            Ok(Some(Ok(addresses))) => Ok(addresses.to_vec()),
            Ok(Some(Err(error))) => Err(io::Error::new(error.kind(), error.to_string())),
            _ => Err(io::Error::other("the lookup was given up")),
        }
    }

    /// Where the answer for `name` will be. Fails if no thread can be started and none is at work.
    fn subscribe(&'static self, name: &str) -> io::Result<watch::Receiver<LookupAnswer>> {
        let mut guard = lock(&self.lookups);
        let lookups = &mut *guard;
        if let Some(answer) = lookups.answers.get(name) {
            return Ok(answer.subscribe());
        }
        lookups.drop_unwanted();
        let (sender, receiver) = watch::channel(None);
        lookups.answers.insert(name.to_owned(), sender);
        if lookups.threads < MAX_THREADS || name.eq_ignore_ascii_case("localhost") {
            match self.start_thread(name.to_owned()) {
                Ok(()) => {
                    lookups.threads += 1;
                    return Ok(receiver);
                }
                Err(error) if lookups.threads == 0 => {
                    lookups.answers.remove(name);
                    return Err(error);
                }
                // One of the threads that are there will look it up.
                Err(_) => {}
            }
        }
        lookups.waiting.push_back(name.to_owned());
        Ok(receiver)
    }

    /// Starts a thread that looks up `first`, then the names that wait, and ends when none is left.
    fn start_thread(&'static self, first: String) -> io::Result<()> {
        let work = move || {
            let mut next = Some(first);
            while let Some(name) = next {
                let found = (self.lookup)(&name);
                let mut lookups = lock(&self.lookups);
                let answer = lookups.answers.remove(&name);
                next = lookups.next_name();
                drop(lookups);
                if let Some(answer) = answer {
                    answer.send_replace(Some(found.map(Arc::from).map_err(Arc::new)));
                }
            }
        };
        std::thread::Builder::new()
            .name("metagpt-ollama-dns".to_owned())
            .spawn(work)
            .map(drop)
    }
}

impl Lookups {
    /// What a thread looks up next; `None` ends the thread.
    fn next_name(&mut self) -> Option<String> {
        self.drop_unwanted();
        let next = if self.threads <= MAX_THREADS {
            self.waiting.pop_front()
        } else {
            None
        };
        if next.is_none() {
            self.threads -= 1;
        }
        next
    }

    /// Drops the names without a thread for which no call waits any more.
    fn drop_unwanted(&mut self) {
        let answers = &mut self.answers;
        self.waiting.retain(|name| {
            let is_wanted = answers
                .get(name)
                .is_some_and(|answer| answer.receiver_count() > 0);
            if !is_wanted {
                answers.remove(name);
            }
            is_wanted
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::sync::{Condvar, LazyLock};
    use std::task::Poll;
    use std::time::Duration;

    use super::*;

    /// A lookup that hangs until it is released, and remembers the names that it was asked for.
    #[derive(Default)]
    struct HangingLookup {
        state: Mutex<HangingState>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct HangingState {
        asked: Vec<String>,
        released: bool,
    }

    impl HangingLookup {
        fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
            let mut state = self.state.lock().unwrap();
            state.asked.push(name.to_owned());
            self.changed.notify_all();
            drop(
                self.changed
                    .wait_while(state, |state| !state.released)
                    .unwrap(),
            );
            if name.starts_with("unknown") {
                return Err(io::Error::other("no such name"));
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        }

        fn asked(&self) -> Vec<String> {
            self.state.lock().unwrap().asked.clone()
        }

        fn wait_asked(&self, count: usize) {
            let limit = Duration::from_secs(20);
            let (state, _) = self
                .changed
                .wait_timeout_while(self.state.lock().unwrap(), limit, |state| {
                    state.asked.len() < count
                })
                .unwrap();
            assert_eq!(state.asked.len(), count);
        }

        fn release(&self) {
            self.state.lock().unwrap().released = true;
            self.changed.notify_all();
        }
    }

    /// A lookup that hangs, and a resolver that uses it. Each test has its own, because a function pointer captures
    /// nothing.
    macro_rules! hanging {
        () => {{
            static HANGING: LazyLock<HangingLookup> = LazyLock::new(HangingLookup::default);
            let resolver = Box::leak(Box::new(ResolverThreads::new(|name| HANGING.look_up(name))));
            (&*HANGING, &*resolver)
        }};
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    /// Waits until every thread has ended.
    fn wait_idle(resolver: &ResolverThreads) {
        let mut patience = 20_000;
        while lock(&resolver.lookups).threads > 0 {
            patience -= 1;
            assert!(patience > 0, "a thread is still at work");
            std::thread::sleep(Duration::from_millis(1));
        }
        let lookups = lock(&resolver.lookups);
        assert!(lookups.answers.is_empty() && lookups.waiting.is_empty());
    }

    #[test]
    fn all_who_ask_for_a_name_share_one_lookup() {
        let (hanging, resolver) = hanging!();
        let runtime = runtime();
        let waiting: Vec<_> = (0..100)
            .map(|_| runtime.spawn(resolver.resolve("ollama.lan")))
            .collect();
        // The lookup hangs until all of them have asked: the scheduler polls only some of them at a time.
        runtime.block_on(async {
            while lock(&resolver.lookups)
                .answers
                .get("ollama.lan")
                .is_none_or(|answer| answer.receiver_count() < waiting.len())
            {
                tokio::task::yield_now().await;
            }
        });
        hanging.wait_asked(1);
        assert_eq!(lock(&resolver.lookups).threads, 1);
        hanging.release();
        for answer in waiting {
            let found = runtime.block_on(answer).unwrap().unwrap();
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 0))]);
        }
        assert_eq!(hanging.asked(), ["ollama.lan"]);
        wait_idle(resolver);
        // Nothing is kept: who asks later asks the system.
        runtime.block_on(resolver.resolve("ollama.lan")).unwrap();
        assert_eq!(hanging.asked().len(), 2);
    }

    #[test]
    fn lookups_that_were_given_up_leave_few_threads_and_nothing_to_do() {
        let (hanging, resolver) = hanging!();
        let runtime = runtime();
        runtime.block_on(async {
            for number in 0..1000 {
                let name = format!("host{number}.lan");
                let mut lookup = pin!(resolver.resolve(&name));
                let first =
                    poll_fn(|context| Poll::Ready(lookup.as_mut().poll(context).is_pending()));
                assert!(first.await);
            }
        });
        hanging.wait_asked(MAX_THREADS);
        assert_eq!(lock(&resolver.lookups).threads, MAX_THREADS);
        assert!(lock(&resolver.lookups).waiting.len() <= 1);
        let wanted = runtime.spawn(resolver.resolve("wanted.lan"));
        let local = runtime.spawn(resolver.resolve("localhost"));
        runtime.block_on(tokio::task::yield_now());
        // What is on this machine does not wait for what hangs.
        hanging.wait_asked(MAX_THREADS + 1);
        assert_eq!(hanging.asked().last().unwrap(), "localhost");
        hanging.release();
        runtime.block_on(wanted).unwrap().unwrap();
        runtime.block_on(local).unwrap().unwrap();
        wait_idle(resolver);
        assert_eq!(hanging.asked().len(), MAX_THREADS + 2);
    }

    #[test]
    fn a_failure_reaches_everybody() {
        let (hanging, resolver) = hanging!();
        hanging.release();
        let runtime = runtime();
        let waiting: Vec<_> = (0..3)
            .map(|_| runtime.spawn(resolver.resolve("unknown.lan")))
            .collect();
        for answer in waiting {
            let error = runtime.block_on(answer).unwrap().unwrap_err();
            assert_eq!(error.to_string(), "no such name");
        }
        wait_idle(resolver);
    }
}
