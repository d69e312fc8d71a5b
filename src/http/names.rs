//! Looking up names, for both lanes and all clients of a process.
//!
//! The system's resolver blocks, and nothing stops it: whoever gives up leaves a thread behind. So a few threads do all of
//! it, and all who ask for a name while it is looked up get the one answer. A name that finds every thread busy waits for
//! one, at most as long as the system takes to give up on another; the connect limit counts meanwhile.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::sync::lock;

/// As many names are looked up at a time. `localhost` comes on top: its answer is on this machine.
const THREADS: usize = 8;

/// What a lookup has come to, once it has.
type Answer = Option<Result<Arc<[SocketAddr]>, Arc<io::Error>>>;

/// The addresses of `name`, with port 0.
pub(super) async fn resolve(name: &str) -> io::Result<Vec<SocketAddr>> {
    Names::here().resolve(name).await
}

/// The lookups under way.
struct Names {
    process: u32,
    find: fn(&str) -> io::Result<Vec<SocketAddr>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    threads: usize,
    /// Those that a thread is at and those that wait for one; each answer has as many receivers as there are waiting.
    lookups: HashMap<String, watch::Sender<Answer>>,
    waiting: VecDeque<String>,
}

impl Names {
    fn new(find: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self {
            process: std::process::id(),
            find,
            state: Mutex::default(),
        }
    }

    /// Those of this process. A forked child has none of the threads, and may have copied the lock while it was held: it
    /// leaves what it has inherited alone.
    fn here() -> &'static Self {
        static CURRENT: AtomicPtr<Names> = AtomicPtr::new(null_mut());
        let mut current = CURRENT.load(Ordering::Acquire);
        let mut new = None;
        loop {
            // SAFETY: it is null or was leaked below.
            if let Some(names) = unsafe { current.as_ref() }
                && names.process == std::process::id()
            {
                return names;
            }
            let made = new.take().unwrap_or_else(|| {
                let find = |name: &str| (name, 0).to_socket_addrs().map(Iterator::collect);
                Box::new(Self::new(find))
            });
            let made = Box::into_raw(made);
            match CURRENT.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => current = made,
                Err(other) => {
                    current = other;
                    // SAFETY: it came out of a box just now, and nobody else has seen it.
                    new = Some(unsafe { Box::from_raw(made) });
                }
            }
        }
    }

    async fn resolve(&'static self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut answer = self.ask(name)?;
        let answer = answer.wait_for(Option::is_some).await;
        match answer.as_deref() {
            Ok(Some(Ok(found))) => Ok(found.to_vec()),
            Ok(Some(Err(error))) => Err(io::Error::new(error.kind(), error.to_string())),
            _ => Err(io::Error::other("the lookup was given up")),
        }
    }

    fn ask(&'static self, name: &str) -> io::Result<watch::Receiver<Answer>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if let Some(answer) = state.lookups.get(name) {
            return Ok(answer.subscribe());
        }
        state.forget_unwanted();
        let (sender, receiver) = watch::channel(None);
        state.lookups.insert(name.to_owned(), sender);
        let free = state.threads < THREADS || name.eq_ignore_ascii_case("localhost");
        if free {
            match self.work_on(name.to_owned()) {
                Ok(()) => {
                    state.threads += 1;
                    return Ok(receiver);
                }
                Err(error) if state.threads == 0 => {
                    state.lookups.remove(name);
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        state.waiting.push_back(name.to_owned());
        Ok(receiver)
    }

    /// Starts a thread that looks up `first`, and then what waits.
    fn work_on(&'static self, first: String) -> io::Result<()> {
        let work = move || {
            let mut next = Some(first);
            while let Some(name) = next {
                let found = (self.find)(&name);
                let mut state = lock(&self.state);
                let answer = state.lookups.remove(&name);
                next = state.next();
                drop(state);
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

impl State {
    /// What a thread that is free looks up; `None` ends the thread.
    fn next(&mut self) -> Option<String> {
        self.forget_unwanted();
        let next = (self.threads <= THREADS)
            .then(|| self.waiting.pop_front())
            .flatten();
        if next.is_none() {
            self.threads -= 1;
        }
        next
    }

    /// Drops the waiting names for which nobody waits any more.
    fn forget_unwanted(&mut self) {
        let lookups = &mut self.lookups;
        self.waiting.retain(|name| {
            let wanted = lookups
                .get(name)
                .is_some_and(|answer| answer.receiver_count() > 0);
            if !wanted {
                lookups.remove(name);
            }
            wanted
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

    /// A resolver that hangs until it is let go, and remembers what it was asked.
    #[derive(Default)]
    struct Slow {
        asked: Mutex<Vec<String>>,
        released: Mutex<bool>,
        changed: Condvar,
    }

    impl Slow {
        fn find(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
            self.asked.lock().unwrap().push(name.to_owned());
            self.changed.notify_all();
            let mut released = self.released.lock().unwrap();
            while !*released {
                released = self.changed.wait(released).unwrap();
            }
            if name.starts_with("unknown") {
                return Err(io::Error::other("no such name"));
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }

        fn wait_asked(&self, count: usize) {
            let asked = self.asked.lock().unwrap();
            let limit = Duration::from_secs(20);
            let (asked, _) = self
                .changed
                .wait_timeout_while(asked, limit, |asked| asked.len() < count)
                .unwrap();
            assert_eq!(asked.len(), count);
        }

        fn release(&self) {
            *self.released.lock().unwrap() = true;
            self.changed.notify_all();
        }
    }

    /// A slow resolver, and names that it finds. Each test has its own, because a function pointer captures nothing.
    macro_rules! slow {
        () => {{
            static SLOW: LazyLock<Slow> = LazyLock::new(Slow::default);
            let names = Box::leak(Box::new(Names::new(|name| SLOW.find(name))));
            (&*SLOW, &*names)
        }};
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    /// Waits until every thread has ended.
    fn wait_idle(names: &Names) {
        let mut patience = 20_000;
        while lock(&names.state).threads > 0 {
            patience -= 1;
            assert!(patience > 0, "a thread is still at work");
            std::thread::sleep(Duration::from_millis(1));
        }
        let state = lock(&names.state);
        assert!(state.lookups.is_empty() && state.waiting.is_empty());
    }

    #[test]
    fn all_who_ask_for_a_name_share_one_lookup() {
        let (slow, names) = slow!();
        let runtime = runtime();
        let waiting: Vec<_> = (0..100)
            .map(|_| runtime.spawn(names.resolve("ollama.lan")))
            .collect();
        // The resolver hangs until all of them have asked: the scheduler polls only some of them in one turn.
        runtime.block_on(async {
            while lock(&names.state)
                .lookups
                .get("ollama.lan")
                .is_none_or(|answer| answer.receiver_count() < waiting.len())
            {
                tokio::task::yield_now().await;
            }
        });
        slow.wait_asked(1);
        assert_eq!(lock(&names.state).threads, 1);
        slow.release();
        for answer in waiting {
            let found = runtime.block_on(answer).unwrap().unwrap();
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 0))]);
        }
        assert_eq!(slow.asked(), ["ollama.lan"]);
        wait_idle(names);
        // Nothing is kept: who asks later asks the system.
        runtime.block_on(names.resolve("ollama.lan")).unwrap();
        assert_eq!(slow.asked().len(), 2);
    }

    #[test]
    fn lookups_that_were_given_up_leave_few_threads_and_nothing_to_do() {
        let (slow, names) = slow!();
        let runtime = runtime();
        runtime.block_on(async {
            for number in 0..1000 {
                let name = format!("host{number}.lan");
                let mut lookup = pin!(names.resolve(&name));
                let first =
                    poll_fn(|context| Poll::Ready(lookup.as_mut().poll(context).is_pending()));
                assert!(first.await);
            }
        });
        slow.wait_asked(THREADS);
        assert_eq!(lock(&names.state).threads, THREADS);
        assert!(lock(&names.state).waiting.len() <= 1);
        let wanted = runtime.spawn(names.resolve("wanted.lan"));
        let local = runtime.spawn(names.resolve("localhost"));
        runtime.block_on(tokio::task::yield_now());
        // What is on this machine does not wait for what hangs.
        slow.wait_asked(THREADS + 1);
        assert_eq!(slow.asked().last().unwrap(), "localhost");
        slow.release();
        runtime.block_on(wanted).unwrap().unwrap();
        runtime.block_on(local).unwrap().unwrap();
        wait_idle(names);
        assert_eq!(slow.asked().len(), THREADS + 2);
    }

    #[test]
    fn a_failure_reaches_everybody() {
        let (slow, names) = slow!();
        slow.release();
        let runtime = runtime();
        let waiting: Vec<_> = (0..3)
            .map(|_| runtime.spawn(names.resolve("unknown.lan")))
            .collect();
        for answer in waiting {
            let error = runtime.block_on(answer).unwrap().unwrap_err();
            assert_eq!(error.to_string(), "no such name");
        }
        wait_idle(names);
    }
}
