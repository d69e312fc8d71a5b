//! Locking without a thought for poisoned locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. What the locks of the direct lane guard is whole after every statement, whichever thread panics.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
