//! A static value of which each process has its own.
//!
//! A forked child inherits the memory of its parent and none of its threads: work that another thread had begun will
//! never end there, and a lock that another thread held will never be released. So a child leaves what it has inherited
//! alone and makes a value of its own when it first needs one.
#![allow(
    unsafe_code,
    reason = "OnceLock keeps one value for ever; to replace one while others may read it takes a pointer"
)]

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that is made when a process first asks for it, and lives as long as the process.
pub struct PerProcess<T> {
    current: AtomicPtr<ProcessValue<T>>,
    make: fn() -> T,
}

struct ProcessValue<T> {
    /// The number of the process that has made the value.
    process: u32,
    value: T,
}

impl<T> PerProcess<T> {
    pub const fn new(make: fn() -> T) -> Self {
        Self {
            current: AtomicPtr::new(null_mut()),
            make,
        }
    }
}

impl<T: Send + Sync + 'static> PerProcess<T> {
    /// The value of this process.
    pub fn get(&self) -> &'static T {
        self.of(std::process::id())
    }

    fn of(&self, process: u32) -> &'static T {
        let mut current = self.current.load(Ordering::Acquire);
        let mut spare = None;
        loop {
            // SAFETY: the pointer has to be null, or to point to a value that lives for ever and that nobody changes.
            // Only this function sets it: to what `Box::into_raw` gave, which is freed below only if it was not set.
            if let Some(made) = unsafe { current.as_ref() }
                && made.process == process
            {
                return &made.value;
            }
            let made = Box::into_raw(spare.take().unwrap_or_else(|| {
                Box::new(ProcessValue {
                    process,
                    value: (self.make)(),
                })
            }));
            match self
                .current
                .compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => current = made,
                Err(other) => {
                    current = other;
                    // SAFETY: the pointer has to come from `Box::into_raw` and to be used nowhere else. It was made
                    // above and has not been stored.
                    spare = Some(unsafe { Box::from_raw(made) });
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    #[test]
    fn each_process_has_one_value() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static NUMBER: PerProcess<usize> = PerProcess::new(|| COUNT.fetch_add(1, Ordering::SeqCst));
        let parent = NUMBER.get();
        assert!(std::ptr::eq(parent, NUMBER.get()));
        // As after a fork, when the number of the process is another one.
        let child = NUMBER.of(0);
        assert!(std::ptr::eq(child, NUMBER.of(0)));
        assert_eq!((*parent, *child), (0, 1));
    }

    #[test]
    fn threads_that_ask_at_once_get_one_value() {
        static VALUE: PerProcess<String> = PerProcess::new(String::new);
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| VALUE.get())).collect();
        for thread in threads {
            assert!(std::ptr::eq(thread.join().unwrap(), VALUE.get()));
        }
    }
}
