//! Single futures for asyncio, through pyo3-async-runtimes on this crate's own runtime.
//!
//! Its `generic` module is used because its tokio module keeps one runtime for ever, which can neither be keyed by
//! process nor shut down.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use tokio::task;

tokio::task_local! {
    static LOCALS: RefCell<Option<TaskLocals>>;
}

struct Tokio;

struct Failure(task::JoinError);

impl JoinError for Failure {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.0.into_panic()
    }
}

/// A spawned task whose failure has the type that pyo3-async-runtimes asks for.
struct Spawned(task::JoinHandle<()>);

impl Future for Spawned {
    type Output = Result<(), Failure>;

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(Failure)
    }
}

impl Runtime for Tokio {
    type JoinError = Failure;
    type JoinHandle = Spawned;

    fn spawn<F>(future: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Spawned(task::spawn(future))
    }

    fn spawn_blocking<F>(work: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        Spawned(task::spawn_blocking(work))
    }
}

impl ContextExt for Tokio {
    fn scope<F, R>(locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(RefCell::new(Some(locals)), future))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS
            .try_with(|locals| locals.borrow().clone())
            .ok()
            .flatten()
    }
}

/// A result that is turned into Python's when the GIL is held.
pub struct Late<F>(pub F);

impl<'py, F> IntoPyObject<'py> for Late<F>
where
    F: FnOnce(Python<'_>) -> PyResult<Py<PyAny>>,
{
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        (self.0)(py).map(|value| value.into_bound(py))
    }
}

/// `future` as a future of the running loop. Cancelling it drops `future`, and with it the request.
pub fn into_python<'py, F, T>(py: Python<'py>, future: F) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'any> IntoPyObject<'any> + Send + 'static,
{
    let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
    let handle = crate::py::interpreter::runtime::handle(py)?;
    let _inside = handle.enter();
    generic::future_into_py_with_locals::<Tokio, F, T>(py, locals, future)
}
