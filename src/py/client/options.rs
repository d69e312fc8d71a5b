//! The arguments of a client that Python hands over as tuples and text, as the core's own types, and back.

use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;

use crate::error::{Error, Kind};
use crate::http::{Retry, Timeouts, Trust};
use crate::py::interpreter::errors;

/// `(connect, first_token, idle, total)` in seconds; `None` is no limit.
pub type LimitNumbers = (Option<f64>, Option<f64>, Option<f64>, Option<f64>);

/// `(retries, first, budget, retry_after)`, all but the first in seconds.
pub type RetryNumbers = (u32, f64, f64, f64);

/// `(limits, retries, headers)`: what one call has in the place of the client's settings, or, of headers, beside them.
pub type CallSettings = (
    Option<LimitNumbers>,
    Option<RetryNumbers>,
    Option<Vec<(String, String)>>,
);

/// Whose certificates are believed.
#[derive(FromPyObject)]
pub enum Verify {
    Flag(bool),
    /// In DER, and whether they must be for the name that is asked.
    Certificates(Vec<Vec<u8>>, bool),
    Path(PathBuf),
}

/// Whether `METAGPT_OLLAMA_LANE` allows the direct lane.
pub fn allows_direct(py: Python<'_>) -> PyResult<bool> {
    match std::env::var("METAGPT_OLLAMA_LANE").as_deref() {
        Err(_) | Ok("" | "direct") => Ok(true),
        Ok("general") => Ok(false),
        Ok(other) => {
            let message = format!(
                "METAGPT_OLLAMA_LANE is {other:?}: write general or direct, or leave it out."
            );
            Err(errors::to_python(py, Error::new(Kind::Config, message)))
        }
    }
}

/// The time limits of `limits`; raises `ConfigurationError` for a number that is none.
pub fn timeouts(py: Python<'_>, limits: LimitNumbers) -> PyResult<Timeouts> {
    let seconds = |name: &str, value: Option<f64>| {
        let Some(value) = value else { return Ok(None) };
        let limit = Duration::try_from_secs_f64(value)
            .ok()
            .filter(|limit| !limit.is_zero());
        limit.map(Some).ok_or_else(|| {
            let message =
                format!("The timeout {name} must be a positive number of seconds, and is {value}.");
            errors::to_python(py, Error::new(Kind::Config, message))
        })
    };
    Ok(Timeouts {
        connect: seconds("connect", limits.0)?.unwrap_or(Duration::MAX),
        first_token: seconds("first_token", limits.1)?.unwrap_or(Duration::MAX),
        idle: seconds("idle", limits.2)?.unwrap_or(Duration::MAX),
        total: seconds("total", limits.3)?,
    })
}

/// The policy of `tries`; raises `ConfigurationError` for a number of seconds that is none.
pub fn retry(py: Python<'_>, (count, first, budget, retry_after): RetryNumbers) -> PyResult<Retry> {
    let seconds = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|_| {
            let message =
                format!("{name} of the retries must be a number of seconds, and is {value}.");
            errors::to_python(py, Error::new(Kind::Config, message))
        })
    };
    Ok(Retry {
        count,
        first: seconds("first", first)?,
        budget: seconds("budget", budget)?,
        retry_after: seconds("retry_after", retry_after)?,
    })
}

/// `timeouts` as Python has them.
pub fn limits_of(timeouts: &Timeouts) -> LimitNumbers {
    let seconds = |limit: Duration| (limit < Duration::MAX).then_some(limit.as_secs_f64());
    (
        seconds(timeouts.connect),
        seconds(timeouts.first_token),
        seconds(timeouts.idle),
        timeouts.total.and_then(seconds),
    )
}

/// `retry` as Python has it.
pub fn tries_of(retry: &Retry) -> RetryNumbers {
    (
        retry.count,
        retry.first.as_secs_f64(),
        retry.budget.as_secs_f64(),
        retry.retry_after.as_secs_f64(),
    )
}

impl Verify {
    /// Whose certificates are believed; for `true` the environment says it, if it is trusted.
    pub fn into_trust(self, trust_env: bool) -> Result<Trust, Error> {
        match self {
            Self::Flag(true) if !trust_env => Ok(Trust::Machine),
            Self::Flag(true) => Ok(Trust::from_env()),
            Self::Flag(false) => Ok(Trust::Anybody),
            Self::Certificates(certificates, names) => Trust::of(certificates, names),
            Self::Path(path) => Trust::in_path(&path, "verify"),
        }
    }
}
