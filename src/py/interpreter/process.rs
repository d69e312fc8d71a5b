//! Values that must not cross a fork: the child leaks what it inherits, because dropping it would join threads that do
//! not exist in the child, or close sockets that the parent still uses.

#![allow(
    unsafe_code,
    reason = "a value that may be leaked is dropped by hand, and libc tells of a fork"
)]

use std::mem::ManuallyDrop;
use std::ops::Deref;

use crate::error::{Error, Kind};

/// The number of this process. Asking the system costs as much as everything else about an item that is ready, so the
/// answer is kept, and a fork forgets it.
#[cfg(unix)]
fn process() -> u32 {
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    static WATCH: Once = Once::new();
    static WATCHED: AtomicBool = AtomicBool::new(false);
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    extern "C" fn forget() {
        KNOWN.store(0, Ordering::Relaxed);
    }
    let known = KNOWN.load(Ordering::Relaxed);
    if known != 0 {
        return known;
    }
    WATCH.call_once(|| {
        // SAFETY: `pthread_atfork` requires handlers that may run in a forked child, where only async-signal-safe calls
        // are allowed: `forget` calls nothing.
        if unsafe { libc::pthread_atfork(None, None, Some(forget)) } == 0 {
            WATCHED.store(true, Ordering::Relaxed);
        }
    });
    let process = std::process::id();
    if WATCHED.load(Ordering::Relaxed) {
        KNOWN.store(process, Ordering::Relaxed);
    }
    process
}

#[cfg(not(unix))]
fn process() -> u32 {
    std::process::id()
}

/// A value that belongs to the process that made it: in any other process it is leaked instead of dropped.
pub struct ProcessOwned<T> {
    value: ManuallyDrop<T>,
    process: u32,
}

impl<T> ProcessOwned<T> {
    pub fn new(value: T) -> Self {
        Self {
            value: ManuallyDrop::new(value),
            process: process(),
        }
    }

    /// Whether the value was made in this process.
    pub fn is_here(&self) -> bool {
        self.process == process()
    }

    /// The value, or the error that tells a forked child what happened.
    pub fn get(&self) -> Result<&T, Error> {
        if self.is_here() {
            Ok(&self.value)
        } else {
            Err(Error::new(
                Kind::Closed,
                "this request was made before the process forked and belongs to the parent; make a new one in the child",
            ))
        }
    }

    pub fn into_inner(mut self) -> T {
        // SAFETY: `take` requires that the value is neither used nor dropped afterwards: `self` is forgotten right
        // below.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        std::mem::forget(self);
        value
    }
}

impl<T> Deref for ProcessOwned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for ProcessOwned<T> {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: `drop` requires that the value was not dropped before and is not used afterwards: this runs at
            // the end of `self` only, and not at all after `into_inner`, which forgets `self`.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
