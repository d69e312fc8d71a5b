//! Green threads: where gevent has patched the standard library, or eventlet, a wait that blocks the thread would stop
//! every other green thread. There, the I/O thread writes to a descriptor, which the loop of green threads watches.

#[cfg(unix)]
pub use self::supported::GreenThread;
#[cfg(not(unix))]
pub use self::unsupported::GreenThread;

#[cfg(unix)]
mod supported {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use pyo3::intern;
    use pyo3::prelude::*;
    use pyo3::types::IntoPyDict;

    use crate::inbox::ReaderWaker;
    use crate::py::interpreter::errors;
    use crate::py::interpreter::process::ProcessOwned;
    use crate::py::interpreter::wake_descriptor::{WakeDescriptor, cannot_watch};

    /// How one green thread waits.
    pub struct GreenThread {
        /// A function of a descriptor: lets other green threads run until that is readable.
        wait_read: Py<PyAny>,
        waker: ProcessOwned<Arc<GreenWaker>>,
    }

    struct GreenWaker {
        descriptor: WakeDescriptor,
        /// The descriptor was written since the last wait, and need not be again.
        armed: AtomicBool,
    }

    impl ReaderWaker for GreenWaker {
        fn wake(&self) {
            if !self.armed.swap(true, Ordering::AcqRel) {
                self.descriptor.notify();
            }
        }
    }

    impl GreenThread {
        /// The green thread that runs; `None` where threads are the system's.
        pub fn current(py: Python<'_>) -> PyResult<Option<Self>> {
            let Some(wait_read) = wait_read(py)? else {
                return Ok(None);
            };
            let descriptor = WakeDescriptor::new().map_err(|error| cannot_watch(py, &error))?;
            let waker = GreenWaker {
                descriptor,
                armed: AtomicBool::new(false),
            };
            Ok(Some(Self {
                wait_read: wait_read.unbind(),
                waker: ProcessOwned::new(Arc::new(waker)),
            }))
        }

        /// What wakes it; from the I/O thread, without the GIL.
        pub fn waker(&self) -> Arc<dyn ReaderWaker> {
            Arc::<GreenWaker>::clone(&self.waker)
        }

        /// Lets other green threads run until this one has been woken since its last wait. Raises what is thrown into
        /// it. In a child, where green threads live on after a fork, it leaves the wake-up to the parent, with which it
        /// shares the descriptor, and raises the error of [`ProcessOwned::get`].
        pub fn wait(&self, py: Python<'_>) -> PyResult<()> {
            let descriptor = &self.waker.descriptor;
            self.wait_read.call1(py, (descriptor.as_raw_fd(),))?;
            self.waker
                .get()
                .map_err(|error| errors::to_python(py, error))?;
            descriptor.reset();
            self.waker.armed.store(false, Ordering::Release);
            Ok(())
        }
    }

    /// The function that waits until a descriptor is readable, of whichever library has patched sockets or threads.
    fn wait_read(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
        let modules = py
            .import(intern!(py, "sys"))?
            .getattr(intern!(py, "modules"))?;
        let loaded = |name| modules.call_method1(intern!(py, "get"), (name,));
        let monkey = loaded(intern!(py, "gevent.monkey"))?;
        if !monkey.is_none() {
            for name in ["socket", "threading"] {
                if monkey
                    .call_method1(intern!(py, "is_module_patched"), (name,))?
                    .is_truthy()?
                {
                    return Ok(Some(py.import("gevent.socket")?.getattr("wait_read")?));
                }
            }
        }
        let patcher = loaded(intern!(py, "eventlet.patcher"))?;
        if !patcher.is_none() {
            for name in ["socket", "thread"] {
                if patcher
                    .call_method1(intern!(py, "is_monkey_patched"), (name,))?
                    .is_truthy()?
                {
                    let trampoline = py.import("eventlet.hubs")?.getattr("trampoline")?;
                    let readable = [("read", true)].into_py_dict(py)?;
                    let partial = py.import("functools")?.getattr("partial")?;
                    return partial.call((trampoline,), Some(&readable)).map(Some);
                }
            }
        }
        Ok(None)
    }
}

/// Elsewhere their loops watch nothing but sockets.
#[cfg(not(unix))]
mod unsupported {
    use std::sync::Arc;

    use pyo3::prelude::*;

    use crate::inbox::ReaderWaker;

    pub enum GreenThread {}

    impl GreenThread {
        #[expect(
            clippy::unnecessary_wraps,
            reason = "where there are green threads, it can fail"
        )]
        pub fn current(_py: Python<'_>) -> PyResult<Option<Self>> {
            Ok(None)
        }

        pub fn waker(&self) -> Arc<dyn ReaderWaker> {
            match *self {}
        }

        pub fn wait(&self, _py: Python<'_>) -> PyResult<()> {
            match *self {}
        }
    }
}
