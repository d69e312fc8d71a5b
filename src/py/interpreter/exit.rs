//! Interpreter exit, and the threads that are in frames of ours then.
//!
//! While it shuts down, CPython before 3.14 ends every daemon thread where that takes the GIL again. It does so by
//! `pthread_exit`, for which glibc unwinds the stack; and frames of Rust cannot be unwound by anything but a panic: the
//! process aborts, or destructors run Python code without the GIL. Any call of Python may lose the GIL, a garbage
//! collection too, so that no bound on how long such calls take would do.
//!
//! But before it unwinds a single frame, glibc runs the thread's cleanup handlers. So every thread that comes in gets
//! one, which does not return: the thread sleeps until the process is gone, as CPython itself has it since 3.14. Other
//! C libraries end a thread without unwinding it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long [`sleep_if_exiting`] sleeps.
const EXIT_DELAY: Duration = Duration::from_secs(1);

static EXITING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread runs the exit handlers.
    static RUNS_EXIT_HANDLERS: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread one that interpreter exit can end. Every entry from Python begins with it, and so does every
/// destructor that may be the first of our code in a thread; a test looks at the sources.
#[inline]
pub fn enter() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    cleanup::register_once();
}

/// Whether the exit handlers are running or have run.
pub fn is_exiting() -> bool {
    EXITING.load(Ordering::Acquire)
}

/// Sleeps for a second, in a thread whose request was ended by interpreter exit: the traceback of that would end on the
/// user's screen, and most often the interpreter ends the thread meanwhile. Not for ever, because an exit handler may
/// be waiting for the thread. To be called without the GIL.
pub fn sleep_if_exiting() {
    if is_exiting() && !RUNS_EXIT_HANDLERS.get() {
        std::thread::sleep(EXIT_DELAY);
    }
}

/// Notes that the exit handlers have begun, in this thread.
pub fn note_exit() {
    RUNS_EXIT_HANDLERS.set(true);
    EXITING.store(true, Ordering::Release);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(
    unsafe_code,
    reason = "cleanup handlers are glibc's, and registered by pointers"
)]
mod cleanup {
    use std::cell::{Cell, OnceCell};
    use std::ffi::{c_int, c_void};
    use std::ptr::null_mut;

    use super::is_exiting;

    /// `struct _pthread_cleanup_buffer` of `pthread.h`.
    #[repr(C)]
    struct PthreadCleanupBuffer {
        routine: Option<unsafe extern "C" fn(*mut c_void)>,
        argument: *mut c_void,
        cancel_type: c_int,
        previous: *mut PthreadCleanupBuffer,
    }

    unsafe extern "C" {
        // Behind the `pthread_cleanup_push` of `pthread.h`, where that is not a feature of the compiler.
        fn _pthread_cleanup_push(
            buffer: *mut PthreadCleanupBuffer,
            routine: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        fn _pthread_cleanup_pop(buffer: *mut PthreadCleanupBuffer, execute: c_int);
    }

    thread_local! {
        static HANDLER: OnceCell<CleanupHandler> = const { OnceCell::new() };
        /// Whether `HANDLER` is set: quicker to ask, because it has no destructor.
        static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
    }

    /// The cleanup handler of one thread, registered until the thread's own end. Its buffer is on the heap because
    /// glibc compares addresses: a handler that is not on the stack runs before any frame is left.
    struct CleanupHandler(*mut PthreadCleanupBuffer);

    impl CleanupHandler {
        fn register() -> Self {
            let buffer = Box::into_raw(Box::new(PthreadCleanupBuffer {
                routine: None,
                argument: null_mut(),
                cancel_type: 0,
                previous: null_mut(),
            }));
            // SAFETY: `_pthread_cleanup_push` requires a buffer that lives, at one address, until it is popped in the
            // same thread: it is leaked here, and freed in `drop`, which pops it and which a thread-local value gets at
            // the end of its thread.
            unsafe { _pthread_cleanup_push(buffer, sleep_while_exiting, null_mut()) };
            Self(buffer)
        }
    }

    impl Drop for CleanupHandler {
        fn drop(&mut self) {
            // SAFETY: `_pthread_cleanup_pop` requires the buffer that was pushed last: at the thread's end, where this
            // runs, all that were pushed later have been popped. `from_raw` requires a pointer of `into_raw` that is
            // not used any more: it is that of `register`, and was known to glibc only, which has popped it.
            unsafe {
                _pthread_cleanup_pop(self.0, 0);
                drop(Box::from_raw(self.0));
            }
        }
    }

    #[inline]
    pub(super) fn register_once() {
        if !IS_REGISTERED.replace(true) {
            register();
        }
    }

    #[cold]
    fn register() {
        // A thread whose thread-local values are gone already has left Python.
        let _ = HANDLER.try_with(|handler| handler.get_or_init(CleanupHandler::register).0);
    }

    /// Runs where a thread ends by `pthread_exit`.
    unsafe extern "C" fn sleep_while_exiting(_argument: *mut c_void) {
        while is_exiting() {
            // SAFETY: `pause` has no precondition. It returns when a signal was handled.
            unsafe { libc::pause() };
        }
    }
}
