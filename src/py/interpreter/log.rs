//! Log lines: where `MetaGPT` logs when it is loaded, otherwise through Python's `logging`.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

/// Logs where `MetaGPT` logs when it is loaded, otherwise through `logging`. A failure of the logger is
/// written to `sys.unraisablehook`, and spoils no answer.
pub fn log(py: Python<'_>, level: &str, message: &Bound<'_, PyAny>) -> PyResult<()> {
    let done = logger(py).and_then(|logger| logger.call_method1(level, (message,)));
    match done {
        Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, None),
        other => drop(other?),
    }
    Ok(())
}

fn logger(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let module = modules.call_method1("get", ("metagpt.logs",))?;
    // While the module is being imported, it has no logger yet.
    if let Some(logger) = module.getattr_opt("logger")? {
        return Ok(logger);
    }
    py.import("logging")?
        .call_method1("getLogger", ("metagpt_ollama_rs",))
}
