//! The error of an answer that repeats itself without end.

use crate::error::{Error, Kind, RepeatedText};
use crate::wire::repetition::{Repetition, find_repetition};

/// How many characters of a block are shown.
const SHOWN: usize = 60;

/// The error of a whole answer whose text or thinking repeats itself without end, if one does.
pub fn refuse_repetition(content: &str, thinking: &str) -> Result<(), Error> {
    let found = [(false, content), (true, thinking)]
        .into_iter()
        .find_map(|(thinking, text)| Some(repetition_error(thinking, &find_repetition(text)?)));
    found.map_or(Ok(()), Err)
}

pub(super) fn repetition_error(thinking: bool, repetition: &Repetition) -> Error {
    let what = if thinking { "thinking" } else { "answer" };
    let mut shown: String = repetition.block.chars().take(SHOWN).collect();
    if shown.len() < repetition.block.len() {
        shown.push('…');
    }
    let message = format!(
        "The model goes in circles: its {what} ends with {} repetitions of {shown:?}.",
        repetition.count
    );
    Error::new(Kind::Incomplete, message).with_repetition(RepeatedText {
        thinking,
        period: repetition.period,
    })
}
