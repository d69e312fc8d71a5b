//! Green threads: where gevent has patched the standard library, or eventlet, a wait that blocks the thread would stop every
//! other green thread. There, what is waited for writes to a descriptor, and their own loop watches that.

#[cfg(not(unix))]
pub use self::unknown::Green;
#[cfg(unix)]
pub use self::watched::Green;

#[cfg(unix)]
mod watched {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use pyo3::intern;
    use pyo3::prelude::*;
    use pyo3::types::IntoPyDict;

    use crate::inbox::Wake;
    use crate::py::asyncio::loop_waker::{descriptor, unwatched};

    /// How a green thread waits.
    pub struct Green {
        /// Called with a descriptor, lets others run until that is readable.
        wait: Py<PyAny>,
        read: File,
        bell: Arc<Bell>,
    }

    struct Bell {
        write: File,
        /// It has rung since the last wait, and need not again.
        rung: AtomicBool,
    }

    impl Wake for Bell {
        fn wake(&self) {
            if !self.rung.swap(true, Ordering::AcqRel) {
                let _ = (&self.write).write(&1_u64.to_ne_bytes());
            }
        }
    }

    impl Green {
        /// `None` where threads are threads.
        pub fn here(py: Python<'_>) -> PyResult<Option<Self>> {
            let Some(wait) = waiter(py)? else {
                return Ok(None);
            };
            let (read, write) = descriptor().map_err(|error| unwatched(py, &error))?;
            let bell = Bell {
                write,
                rung: AtomicBool::new(false),
            };
            Ok(Some(Self {
                wait: wait.unbind(),
                read,
                bell: Arc::new(bell),
            }))
        }

        /// What wakes it; from the I/O thread, without the GIL.
        pub fn bell(&self) -> Arc<dyn Wake> {
            Arc::<Bell>::clone(&self.bell)
        }

        /// Lets others run until the bell has rung since the last wait. Raises what is thrown into this green thread.
        pub fn wait(&self, py: Python<'_>) -> PyResult<()> {
            self.wait.call1(py, (self.read.as_raw_fd(),))?;
            let _ = (&self.read).read(&mut [0; 8]);
            self.bell.rung.store(false, Ordering::Release);
            Ok(())
        }
    }

    /// The function that waits until a descriptor is readable, of whichever library has patched sockets or threads.
    fn waiter(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
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
mod unknown {
    use std::sync::Arc;

    use pyo3::prelude::*;

    use crate::inbox::Wake;

    pub enum Green {}

    impl Green {
        #[expect(clippy::unnecessary_wraps, reason = "as where there are some")]
        pub fn here(_py: Python<'_>) -> PyResult<Option<Self>> {
            Ok(None)
        }

        pub fn bell(&self) -> Arc<dyn Wake> {
            match *self {}
        }

        pub fn wait(&self, _py: Python<'_>) -> PyResult<()> {
            match *self {}
        }
    }
}
