//! The error of an answer that goes in circles.

use crate::error::{Error, Kind, RepeatedText};
use crate::wire::circles::{self, Circle};

/// How many characters of a block are shown.
const SHOWN: usize = 60;

/// The error of a whole answer whose text or thinking goes in circles, if one does.
pub fn refuse_circles(content: &str, thinking: &str) -> Result<(), Error> {
    let found = [(false, content), (true, thinking)]
        .into_iter()
        .find_map(|(thinking, text)| Some(in_circles(thinking, &circles::circle(text)?)));
    found.map_or(Ok(()), Err)
}

pub(super) fn in_circles(thinking: bool, circle: &Circle) -> Error {
    let what = if thinking { "thinking" } else { "answer" };
    let mut shown: String = circle.block.chars().take(SHOWN).collect();
    if shown.len() < circle.block.len() {
        shown.push('…');
    }
    let message = format!(
        "The model goes in circles: its {what} ends with {} repetitions of {shown:?}.",
        circle.count
    );
    Error::new(Kind::Incomplete, message).with_repetition(RepeatedText {
        thinking,
        period: circle.period,
    })
}
