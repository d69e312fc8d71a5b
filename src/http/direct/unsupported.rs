//! The direct lane where there is none: the names of `linux`, for systems without epoll and timerfd.
//!
//! [`Reactor::new`] fails, and without a reactor there is no value of any other type here. The compiler knows: each
//! type holds an [`Infallible`], which has no values, so there is nothing to be done in any method. On Linux, `cargo
//! clippy --lib -- --cfg direct_lane_unsupported` checks that whoever uses the direct lane compiles with these.
#![allow(
    clippy::unused_async,
    reason = "the functions are called and awaited as those of `linux` are"
)]

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::head_parser::ResponseHead;
use crate::error::Error;
use crate::http::attempt::Attempt;
use crate::http::request::Prepared;

#[derive(Clone, Debug)]
pub struct Reactor(Infallible);

impl Reactor {
    /// Fails, always.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn descriptor(&self) -> std::ffi::c_int {
        match self.0 {}
    }

    pub fn run_once(&self, _after_task: impl FnMut()) {
        match self.0 {}
    }

    pub fn run_until_done(&self, _work: impl Future<Output = ()> + Send + 'static) {
        match self.0 {}
    }

    pub fn wake(&self) {
        match self.0 {}
    }

    pub fn spawn(&self, _work: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        match self.0 {}
    }

    pub(in crate::http) fn handle(&self) -> ReactorHandle {
        match self.0 {}
    }
}

#[derive(Clone, Debug)]
pub struct TaskHandle(Infallible);

impl TaskHandle {
    pub fn abort(&self) {
        match self.0 {}
    }

    pub fn poll_now(&self) {
        match self.0 {}
    }
}

#[derive(Clone)]
pub(in crate::http) struct ReactorHandle(Infallible);

impl ReactorHandle {
    pub(in crate::http) fn same_reactor(&self, _other: &Self) -> bool {
        match self.0 {}
    }

    pub(in crate::http) fn is_alive(&self) -> bool {
        match self.0 {}
    }

    pub(in crate::http) fn timer(&self, _at: Instant) -> Timer {
        match self.0 {}
    }

    pub(in crate::http) fn close_idle(&self, _client: u64) {
        match self.0 {}
    }
}

pub(in crate::http) struct Timer(Infallible);

impl Timer {
    pub(in crate::http) fn deadline(&self) -> Instant {
        match self.0 {}
    }

    pub(in crate::http) fn reset(&mut self, _at: Instant) {
        match self.0 {}
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        match self.0 {}
    }
}

pub(in crate::http) async fn send(
    handle: &ReactorHandle,
    _client: u64,
    _request: &Prepared,
    _attempt: &Arc<Attempt>,
) -> Result<Response, DirectError> {
    match handle.0 {}
}

pub(in crate::http) struct Response(Infallible);

impl Response {
    pub(in crate::http) fn head(&self) -> &ResponseHead {
        match self.0 {}
    }

    pub(in crate::http) fn forbid_reuse(&mut self) {
        match self.0 {}
    }

    pub(in crate::http) fn expected(&self) -> Option<u64> {
        match self.0 {}
    }

    pub(in crate::http) async fn pull(
        &mut self,
        _take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, DirectError> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(in crate::http) struct DirectError(Infallible);

impl From<DirectError> for Error {
    fn from(error: DirectError) -> Self {
        match error.0 {}
    }
}
