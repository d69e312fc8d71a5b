//! Interpreter exit, and the threads that are in frames of ours then.
//!
//! While it shuts down, CPython before 3.14 ends every daemon thread where that takes the GIL again. It does so by
//! `pthread_exit`, for which glibc unwinds the stack; and frames of Rust cannot be unwound by anything but a panic: the
//! process aborts, or destructors run Python code without the GIL. Any call of Python may lose the GIL, a garbage
//! collection too, so that no bound on how long such calls take would do.
//!
//! But before it unwinds a single frame, glibc runs the thread's cleanup handlers. So every thread that comes in gets one,
//! which does not return: the thread sleeps until the process is gone, as CPython itself has it since 3.14. Other C
//! libraries end a thread without unwinding it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a thread whose request was ended by the exit is kept from saying so.
const LINGER: Duration = Duration::from_secs(1);

static EXITING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread runs the exit handlers.
    static LEAVING: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread one that interpreter exit can end. Every entry from Python begins with it, and so does every
/// destructor that may be the first of our code in a thread; a test looks at the sources.
#[inline]
pub fn enter() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    held::hold();
}

/// Whether the exit handlers are running or have run.
pub fn is_exiting() -> bool {
    EXITING.load(Ordering::Acquire)
}

/// Keeps a daemon thread whose request was ended by interpreter exit from telling its user so, who would find it on the
/// screen: most often the thread is ended meanwhile. Not for ever, because an exit handler may be waiting for it.
/// To be called without the GIL.
pub fn linger() {
    if is_exiting() && !LEAVING.get() {
        std::thread::sleep(LINGER);
    }
}

/// The exit handlers have begun, in this thread.
pub fn begin() {
    LEAVING.set(true);
    EXITING.store(true, Ordering::Release);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod held {
    use std::cell::{Cell, OnceCell};
    use std::ffi::{c_int, c_void};
    use std::ptr::null_mut;

    use super::is_exiting;

    /// `struct _pthread_cleanup_buffer` of `pthread.h`.
    #[repr(C)]
    struct Buffer {
        routine: Option<unsafe extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut Buffer,
    }

    unsafe extern "C" {
        // Behind the `pthread_cleanup_push` of `pthread.h`, where that is not a feature of the compiler.
        fn _pthread_cleanup_push(
            buffer: *mut Buffer,
            routine: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        fn _pthread_cleanup_pop(buffer: *mut Buffer, execute: c_int);
    }

    thread_local! {
        static HELD: OnceCell<Held> = const { OnceCell::new() };
        /// Whether there is one: quicker to ask, because it has no destructor.
        static IS_HELD: Cell<bool> = const { Cell::new(false) };
    }

    /// The cleanup handler of one thread, registered until the thread's own end. It is on the heap because glibc compares
    /// addresses: what is not on the stack is run before any frame is left.
    struct Held(*mut Buffer);

    impl Held {
        fn new() -> Self {
            let buffer = Box::into_raw(Box::new(Buffer {
                routine: None,
                argument: null_mut(),
                cancel_type: 0,
                previous: null_mut(),
            }));
            // SAFETY: the buffer lives until it is taken off the thread's list again, in this thread.
            unsafe { _pthread_cleanup_push(buffer, sleep, null_mut()) };
            Self(buffer)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            // SAFETY: this runs at the thread's end, when whatever was put on the list later has been taken off. The
            // buffer came from a box, and nobody knows it any more.
            unsafe {
                _pthread_cleanup_pop(self.0, 0);
                drop(Box::from_raw(self.0));
            }
        }
    }

    #[inline]
    pub(super) fn hold() {
        if !IS_HELD.replace(true) {
            register();
        }
    }

    #[cold]
    fn register() {
        // A thread whose storage is gone has left Python.
        let _ = HELD.try_with(|held| held.get_or_init(Held::new).0);
    }

    /// Runs where a thread ends by `pthread_exit`.
    unsafe extern "C" fn sleep(_argument: *mut c_void) {
        while is_exiting() {
            // SAFETY: takes no argument. It returns when a signal was handled.
            unsafe { libc::pause() };
        }
    }
}
