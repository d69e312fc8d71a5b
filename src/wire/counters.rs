//! Counts and durations of a reply: the one table of their names.
//!
//! Whatever reads, keeps or shows counters goes through this table: the parsers of lines and of vectors, the objects
//! that Python sees, `_core.COUNTERS`. To add a counter, add its row; then the compiler (`stats.rs`) and the tests
//! (`tests/client/test_counters.py`, the stub) name the places where a person has to decide something.
//!
//! The last line of an answer has them beside its other fields:
//!
//! ```json
//! {"model":"m","done":true,"total_duration":184203911,"prompt_eval_count":31,"eval_count":3,"eval_duration":47880000}
//! ```

/// Calls the macro `$then` with the arguments and the table: a row for each counter, in the order in which Ollama
/// writes them. Counts are in tokens, durations in nanoseconds. What follows `=` is the name of the same count in the
/// `usage` of OpenAI's endpoints.
macro_rules! for_each_counter {
    ($then:ident $($arguments:tt)*) => {
        $then! {
            [$($arguments)*]
            /// Nanoseconds from the request to the end of the answer.
            total_duration,
            /// Nanoseconds for loading the model.
            load_duration,
            /// Tokens of the prompt.
            prompt_eval_count = "prompt_tokens",
            /// Tokens of the prompt that the server had in its cache.
            prompt_eval_cached_count,
            /// Nanoseconds for reading the prompt.
            prompt_eval_duration,
            /// Tokens of the answer, thinking among them.
            eval_count = "completion_tokens",
            /// Nanoseconds for writing the answer.
            eval_duration,
        }
    };
}
#[allow(unused_imports, reason = "only src/py uses it, which is a feature")]
pub(crate) use for_each_counter;

macro_rules! define_counters {
    ([] $($(#[$doc:meta])* $counter:ident $(= $openai:literal)?,)+) => {
        /// Counts and durations of a reply, as far as the server gave them (docs/wire.md#6-counters).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $counter: Option<u64>,)+
        }

        impl Counters {
            /// The names of all counters, in the order of the table.
            pub const NAMES: &[&str] = &[$(stringify!($counter)),+];

            /// The counters that OpenAI's endpoints have too: the name here and the name in their `usage`.
            pub const OPENAI_USAGE: &[(&str, &str)] =
                &[$($((stringify!($counter), $openai),)?)+];

            /// Each counter with its name, in the order of the table.
            ///
            /// ```
            /// use metagpt_ollama_rs::wire::Counters;
            ///
            /// let counters = Counters { eval_count: Some(3), ..Counters::default() };
            /// assert!(counters.iter().any(|counter| counter == ("eval_count", Some(3))));
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
                [$((stringify!($counter), self.$counter)),+].into_iter()
            }

            /// The counters to be set, in the order of the table.
            ///
            /// ```
            /// use metagpt_ollama_rs::wire::Counters;
            ///
            /// let mut counters = Counters::default();
            /// counters.values_mut().for_each(|value| *value = Some(0));
            /// assert!(counters.iter().all(|(_, value)| value == Some(0)));
            /// ```
            pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Option<u64>> {
                [$(&mut self.$counter),+].into_iter()
            }

            /// The counter of this name.
            ///
            /// ```
            /// use metagpt_ollama_rs::wire::Counters;
            ///
            /// let mut counters = Counters::default();
            /// *counters.get_mut("eval_count").unwrap() = Some(3);
            /// assert_eq!(counters.eval_count, Some(3));
            /// assert!(counters.get_mut("model").is_none());
            /// ```
            pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<u64>> {
                Some(match name {
                    $(stringify!($counter) => &mut self.$counter,)+
                    _ => return None,
                })
            }

            /// Takes over the counters that `new` has.
            ///
            /// ```
            /// use metagpt_ollama_rs::wire::Counters;
            ///
            /// let mut counters = Counters { eval_count: Some(3), ..Counters::default() };
            /// counters.update(&Counters { load_duration: Some(9), ..Counters::default() });
            /// assert_eq!((counters.eval_count, counters.load_duration), (Some(3), Some(9)));
            /// ```
            pub fn update(&mut self, new: &Self) {
                $(self.$counter = new.$counter.or(self.$counter);)+
            }

            /// Takes over the `usage` of an OpenAI reply; `tokens` looks a name up in it.
            ///
            /// ```
            /// use metagpt_ollama_rs::wire::Counters;
            ///
            /// let mut counters = Counters::default();
            /// counters.set_openai_usage(|name| (name == "prompt_tokens").then_some(31));
            /// assert_eq!((counters.prompt_eval_count, counters.eval_count), (Some(31), None));
            /// ```
            pub fn set_openai_usage(&mut self, tokens: impl Fn(&str) -> Option<u64>) {
                $($(self.$counter = tokens($openai);)?)+
            }
        }
    };
}
for_each_counter!(define_counters);
