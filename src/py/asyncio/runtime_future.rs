//! Work of the tokio runtime as an asyncio future, through pyo3-async-runtimes: for work that has no reply, so that it
//! needs neither an inbox nor a record of a call, and that is too rare for the price of a future to matter.
//!
//! The library's `generic` module is used with this process's own runtime, because its `tokio` module keeps one runtime
//! for ever, which can neither be keyed by process nor shut down.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt, JoinError, Runtime};
use tokio::runtime::Handle;
use tokio::task;

tokio::task_local! {
    /// The event loop and the context variables of the task that is under way.
    static LOCALS: RefCell<Option<TaskLocals>>;
}

/// The runtime whose context the calling thread has entered (`Handle::enter`).
struct TokioRuntime;

/// Why a spawned task has no result, with the trait that pyo3-async-runtimes asks for.
struct TaskFailure(task::JoinError);

impl JoinError for TaskFailure {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.0.into_panic()
    }
}

/// A spawned task, whose failure is a [`TaskFailure`].
struct SpawnedTask(task::JoinHandle<()>);

impl Future for SpawnedTask {
    type Output = Result<(), TaskFailure>;

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(TaskFailure)
    }
}

impl Runtime for TokioRuntime {
    type JoinError = TaskFailure;
    type JoinHandle = SpawnedTask;

    fn spawn<F>(future: F) -> Self::JoinHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        SpawnedTask(task::spawn(future))
    }

    fn spawn_blocking<F>(work: F) -> Self::JoinHandle
    where
        F: FnOnce() + Send + 'static,
    {
        SpawnedTask(task::spawn_blocking(work))
    }
}

impl ContextExt for TokioRuntime {
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

/// `work`, done by `runtime`, as an asyncio future of the running loop. Cancelling the future drops `work`.
pub fn spawn<'py>(
    py: Python<'py>,
    runtime: &Handle,
    work: impl Future<Output = ()> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let locals = TaskLocals::with_running_loop(py)?.copy_context(py)?;
    // `TokioRuntime::spawn` spawns on the runtime that the thread has entered.
    let _entered = runtime.enter();
    generic::future_into_py_with_locals::<TokioRuntime, _, _>(py, locals, async move {
        work.await;
        Ok(())
    })
}
