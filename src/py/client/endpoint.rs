//! A row of the table of endpoints, as the core takes it. Python's `endpoints.py` makes one of each row, once.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::http::{Endpoint, Method, ReplyLines};
use crate::py::interpreter::exit::enter;

/// An endpoint of a server: its path and method, and what the core has to know of it.
///
/// `lines` is what the lines of its streamed reply are: `"answer"`, `"progress"`, `"any"`, or None where it has no
/// streamed reply. `changes` says whether a request may change something on the server, so that it must not be sent
/// twice; None: unless the method is GET or HEAD. `resumes` says that it is a transfer that goes on where it stopped when
/// it is asked for again. A method that is none of GET, POST, DELETE and HEAD counts as POST.
/// Raises `ValueError` for other lines.
#[pyclass(
    frozen,
    subclass,
    name = "Endpoint",
    module = "metagpt_ollama_rs._core"
)]
pub struct EndpointRow {
    endpoint: Arc<Endpoint>,
}

impl EndpointRow {
    /// The row, for a request.
    pub fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint)
    }
}

#[pymethods]
impl EndpointRow {
    #[new]
    #[pyo3(signature = (path, method="POST", lines=None, changes=None, resumes=false))]
    fn new(
        path: String,
        method: &str,
        lines: Option<&str>,
        changes: Option<bool>,
        resumes: bool,
    ) -> PyResult<Self> {
        enter();
        let method = Method::named(method);
        let lines = lines.map(|name| {
            ReplyLines::named(name).ok_or_else(|| {
                let message = format!("lines must be answer, progress or any, and is {name:?}");
                PyValueError::new_err(message)
            })
        });
        let endpoint = Endpoint {
            method,
            path,
            lines: lines.transpose()?,
            changes: changes.unwrap_or(method.may_change()),
            resumes,
        };
        Ok(Self {
            endpoint: Arc::new(endpoint),
        })
    }

    /// Where the endpoint is, such as `/api/chat`.
    #[getter]
    fn path(&self) -> &str {
        enter();
        &self.endpoint.path
    }

    /// `GET`, `POST`, `DELETE` or `HEAD`.
    #[getter]
    fn method(&self) -> &'static str {
        enter();
        self.endpoint.method.name()
    }

    /// What the lines of its streamed reply are; None where it has none.
    #[getter]
    fn lines(&self) -> Option<&'static str> {
        enter();
        self.endpoint.lines.map(ReplyLines::name)
    }

    /// Whether a request may change something on the server.
    #[getter]
    fn changes(&self) -> bool {
        enter();
        self.endpoint.changes
    }

    /// Whether it is a transfer that goes on where it stopped when it is asked for again.
    #[getter]
    fn resumes(&self) -> bool {
        enter();
        self.endpoint.resumes
    }

    fn __repr__(&self) -> String {
        enter();
        let (path, method) = (&self.endpoint.path, self.endpoint.method.name());
        let lines = self
            .endpoint
            .lines
            .map_or_else(|| "None".to_owned(), |lines| format!("'{}'", lines.name()));
        let changes = if self.endpoint.changes {
            "True"
        } else {
            "False"
        };
        format!("Endpoint('{path}', '{method}', lines={lines}, changes={changes})")
    }
}
