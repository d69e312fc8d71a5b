//! How much of an event loop's time one reader may take before the loop runs other callbacks.

use std::time::{Duration, Instant};

use crate::py::replies::stream_reader::MAX_ITEMS;

/// So many items, or so much time.
pub struct FairnessBudget {
    items: usize,
    /// Begins with the first item. What went before it, such as other callbacks of the loop, was not this reader's
    /// time.
    until: Option<Instant>,
}

impl FairnessBudget {
    const TIME: Duration = Duration::from_millis(1);
    /// The clock is looked at once for so many items.
    const ITEMS_PER_LOOK: usize = 16;

    pub fn new() -> Self {
        Self {
            items: MAX_ITEMS,
            until: None,
        }
    }

    /// Spends `items`; false when nothing is left.
    pub fn spend(&mut self, items: usize) -> bool {
        let before = self.items;
        self.items = self.items.saturating_sub(items);
        let Some(until) = self.until else {
            self.until = Some(Instant::now() + Self::TIME);
            return self.items > 0;
        };
        let same_look = before / Self::ITEMS_PER_LOOK == self.items / Self::ITEMS_PER_LOOK;
        self.items > 0 && (same_look || Instant::now() < until)
    }
}
