//! What the other folders need of the Python interpreter and of the process: nothing here knows asyncio or a reply.

pub mod c_api;
pub mod errors;
pub mod exit;
pub mod log;
pub mod pending_exception;
pub mod process;
pub mod runtime;
pub mod unary_function;
pub mod upload_thread;
pub mod vectorcall;
pub mod wake_descriptor;
