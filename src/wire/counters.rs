//! Counts and durations of a reply.

/// Counts and durations (nanoseconds) of a final line; absent ones are `None` (docs/wire.md#6-counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub total_duration: Option<u64>,
    pub load_duration: Option<u64>,
    pub prompt_eval_count: Option<u64>,
    pub prompt_eval_cached_count: Option<u64>,
    pub prompt_eval_duration: Option<u64>,
    pub eval_count: Option<u64>,
    pub eval_duration: Option<u64>,
}

impl Counters {
    /// Takes over what `new` says.
    pub fn update(&mut self, new: &Self) {
        self.total_duration = new.total_duration.or(self.total_duration);
        self.load_duration = new.load_duration.or(self.load_duration);
        self.prompt_eval_count = new.prompt_eval_count.or(self.prompt_eval_count);
        self.prompt_eval_cached_count = new
            .prompt_eval_cached_count
            .or(self.prompt_eval_cached_count);
        self.prompt_eval_duration = new.prompt_eval_duration.or(self.prompt_eval_duration);
        self.eval_count = new.eval_count.or(self.eval_count);
        self.eval_duration = new.eval_duration.or(self.eval_duration);
    }
}
