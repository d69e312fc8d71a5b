//! Whether a text repeats itself: whether its tail is one block over and over.
//!
//! A [`RepetitionDetector`] is fed a text as it comes, keeps the end of it, and searches that end after every
//! `SEARCH_INTERVAL` new bytes. A block is given by its period: a tail has the period `p` if each of its bytes, but the
//! first `p`, is equal to the byte `p` places before it. The tail `abcabcab` has the period 3.
//!
//! ```
//! use metagpt_ollama_rs::wire::repetition::RepetitionDetector;
//!
//! let mut detector = RepetitionDetector::default();
//! assert_eq!(detector.feed("# Plan\n\nFirst, "), None);
//! let repetition = (0..2000).find_map(|_| detector.feed("## To do\n")).unwrap();
//! assert_eq!(repetition.block, "## To do\n");
//! assert!(repetition.count > 900);
//! ```
//!
//! How long the tail has to be depends on the block; see [`min_tail`]. Blocks that differ, if only in a number, are no
//! repetition.

use memchr::memmem;

use super::stream::{Batch, Item};

/// The longest block, in bytes.
const MAX_BLOCK: usize = 8 << 10;

/// How many times a block has to be there, however long it is.
const MIN_COUNT: usize = 8;

/// How many bytes have to be kept to find the longest block that often.
const KEPT_BYTES: usize = MIN_COUNT * MAX_BLOCK;

/// A detector searches after so many new bytes.
const SEARCH_INTERVAL: usize = 4 << 10;

/// A tail has to be this long, in bytes, whatever its block is.
const MIN_TAIL: usize = 4 << 10;

/// How many bytes from the end of the text are searched for in the bytes before them. Where they do not occur once
/// more, there is no repetition.
const PROBE_LENGTH: usize = 64;

/// A tail that is one block over and over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repetition {
    /// The block. If it has several lines, it begins with the start of a line.
    pub block: String,
    /// The length of the block in bytes.
    pub period: usize,
    /// How many times the block is there, in the part of the text that has been kept.
    pub count: usize,
}

/// Finds repetitions in a text that comes in pieces; the documentation of the module has an example.
#[derive(Clone, Debug, Default)]
pub struct RepetitionDetector {
    tail: Vec<u8>,
    /// How many bytes have come since the last search.
    new: usize,
}

impl RepetitionDetector {
    /// Adds a piece of the text, and searches if enough has come since the last search.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::repetition::RepetitionDetector;
    ///
    /// let mut detector = RepetitionDetector::default();
    /// assert_eq!(detector.feed("A plan, and its end."), None);
    /// assert_eq!(detector.feed(&"## To do\n".repeat(1500)).unwrap().period, 9);
    /// ```
    pub fn feed(&mut self, text: &str) -> Option<Repetition> {
        self.tail.extend_from_slice(text.as_bytes());
        self.new += text.len();
        if self.new < SEARCH_INTERVAL {
            return None;
        }
        self.search()
    }

    /// Searches, if anything has come since the last search. Without a further piece the next call is in vain.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::repetition::RepetitionDetector;
    ///
    /// let mut detector = RepetitionDetector::default();
    /// detector.feed(&"## To do\n".repeat(1500));
    /// detector.feed("and");
    /// assert_eq!(detector.search(), None);
    /// ```
    pub fn search(&mut self) -> Option<Repetition> {
        if self.new == 0 {
            return None;
        }
        self.new = 0;
        let repetition = find(&self.tail);
        if self.tail.len() >= 2 * KEPT_BYTES {
            self.tail.drain(..self.tail.len() - KEPT_BYTES);
        }
        repetition
    }
}

/// Finds repetitions in the answer and in the thinking of a stream.
///
/// ```
/// use metagpt_ollama_rs::wire::repetition::RepetitionGuard;
/// use metagpt_ollama_rs::wire::{Batch, Delta};
///
/// let mut batch = Batch::default();
/// batch.push_delta(Delta { thinking: "Wait. ".repeat(2000), ..Delta::default() });
/// let (in_thinking, repetition) = RepetitionGuard::default().feed_batch(&batch, 0, 0, true).unwrap();
/// assert!(in_thinking);
/// assert_eq!(repetition.period, 6);
/// ```
#[derive(Clone, Debug, Default)]
pub struct RepetitionGuard {
    content: RepetitionDetector,
    thinking: RepetitionDetector,
}

impl RepetitionGuard {
    /// Adds what stands in `batch` from the item number `item` and the byte `start` of its text on. `ended` says that
    /// nothing more will come. The flag of the result says whether the repetition is in the thinking.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::Batch;
    /// use metagpt_ollama_rs::wire::repetition::RepetitionGuard;
    ///
    /// assert_eq!(RepetitionGuard::default().feed_batch(&Batch::default(), 0, 0, true), None);
    /// ```
    pub fn feed_batch(
        &mut self,
        batch: &Batch,
        item: usize,
        mut start: usize,
        ended: bool,
    ) -> Option<(bool, Repetition)> {
        let mut repetition = None;
        let mut end = start;
        for item in batch.items.iter().skip(item) {
            match item {
                Item::Content { end: next, .. } => end = *next,
                Item::Delta(delta) => {
                    // In the order of the lines.
                    let text = batch.text.get(start..end).unwrap_or_default();
                    start = end;
                    let content = [text, &delta.content].map(|text| self.content.feed(text));
                    repetition = repetition
                        .or(content.into_iter().find_map(|found| Some((false, found?))))
                        .or(self
                            .thinking
                            .feed(&delta.thinking)
                            .map(|found| (true, found)));
                }
            }
        }
        let text = batch.text.get(start..end).unwrap_or_default();
        repetition = repetition.or(self.content.feed(text).map(|found| (false, found)));
        if ended {
            repetition = repetition
                .or_else(|| self.content.search().map(|found| (false, found)))
                .or_else(|| self.thinking.search().map(|found| (true, found)));
        }
        repetition
    }
}

/// The repetition at the end of a whole text.
///
/// ```
/// use metagpt_ollama_rs::wire::repetition::find_repetition;
///
/// assert_eq!(find_repetition("A plan, and its end."), None);
/// assert_eq!(find_repetition(&"## To do\n".repeat(1000)).unwrap().count, 1000);
/// ```
pub fn find_repetition(text: &str) -> Option<Repetition> {
    find(text.as_bytes())
}

/// `text` up to the end of the second block of its tail, which has this `period`. Wherever a reader sees a block begin,
/// one of the two is whole. A text without a repetition is returned as it is.
///
/// ```
/// use metagpt_ollama_rs::wire::repetition::cut_repetition;
///
/// assert_eq!(cut_repetition(&format!("so: {}", "ab".repeat(99)), 2), "so: abab");
/// ```
pub fn cut_repetition(text: &str, period: usize) -> &str {
    let length = periodic_tail(text.as_bytes(), period);
    if length < MIN_COUNT * period {
        return text;
    }
    let end = text.len() - length + 2 * period;
    let end = (end..=text.len()).find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// How long a tail of this block has to be, in bytes: as long as so many blocks, but neither shorter nor longer than
/// two lengths that depend on what the block is.
///
/// | block | at least | blocks | at most |
/// |---|---|---|---|
/// | white space | 4 KiB | 512 times | 32 KiB |
/// | with words | 8 KiB | 512 times | 24 KiB |
/// | anything else: figures, rulers, one letter | 16 KiB | 4,096 times | 32 KiB |
///
/// In any case it has to be as long as [`MIN_COUNT`] blocks.
fn min_tail(block: &[u8]) -> usize {
    let text = String::from_utf8_lossy(block);
    let (least, count, most) = if text.chars().all(char::is_whitespace) {
        (MIN_TAIL, 512, 32 << 10)
    } else if has_words(&text) {
        (8 << 10, 512, 24 << 10)
    } else {
        (16 << 10, 4096, 32 << 10)
    };
    (count * block.len())
        .clamp(least, most)
        .max(MIN_COUNT * block.len())
}

/// Whether a text has letters enough for a word: three different ones, or less of a script whose letters say more.
fn has_words(text: &str) -> bool {
    let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphabetic()).collect();
    letters.sort_unstable();
    letters.dedup();
    letters.into_iter().map(char::len_utf8).sum::<usize>() >= 3
}

/// The repetition at the end of `text`, the shortest block first.
///
/// If the tail has a period, the last bytes of the text occur one period earlier, too. So these bytes are searched for,
/// from the end on, and only where they occur is the text compared. Almost always they do not occur once more, and the
/// search is all that happens.
fn find(text: &[u8]) -> Option<Repetition> {
    let probe = text.get(text.len().checked_sub(PROBE_LENGTH)?..)?;
    let near = text.get(text.len().saturating_sub(MAX_BLOCK + PROBE_LENGTH)..)?;
    let mut near = near.get(..near.len() - 1)?;
    if text.len() < MIN_TAIL {
        return None;
    }
    memmem::find(near, probe)?;
    let finder = memmem::FinderRev::new(probe);
    let all = near.len() + 1;
    while let Some(at) = finder.rfind(near) {
        let period = all - PROBE_LENGTH - at;
        let length = periodic_tail(text, period);
        if length >= MIN_TAIL && length >= min_tail(text.get(text.len() - period..)?) {
            return Some(describe(text, period, length));
        }
        // A tail with two periods has their greatest common divisor as a period, if it is as long as both together. So
        // a longer period that fits into this tail beside this one is a multiple of it, and reaches no further.
        let skipped = period.max(length - period);
        near = near.get(..all.checked_sub(skipped + 1)?)?;
    }
    None
}

/// How many bytes at the end of `text` have this period: `period` at least, as that many bytes have it by themselves.
fn periodic_tail(text: &[u8], period: usize) -> usize {
    const STRIDE: usize = 64;
    let before = text
        .get(..text.len().saturating_sub(period))
        .unwrap_or_default();
    let strides = text
        .rchunks_exact(STRIDE)
        .zip(before.rchunks_exact(STRIDE))
        .take_while(|(one, other)| one == other)
        .count()
        * STRIDE;
    let (text, before) = (
        text.get(..text.len() - strides).unwrap_or_default(),
        before.get(..before.len() - strides).unwrap_or_default(),
    );
    let bytes = text
        .iter()
        .rev()
        .zip(before.iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    period + strides + bytes
}

/// The repetition of which `text` has `length` bytes at its end.
fn describe(text: &[u8], period: usize, length: usize) -> Repetition {
    // The text before the tail may end with the same bytes as the block, so that the tail begins inside a character.
    let tail = text.get(text.len() - length..).unwrap_or_default();
    let is_within = |byte: &&u8| **byte & 0xc0 == 0x80;
    let begun = tail.iter().take_while(is_within).count();
    let block = tail.get(begun..begun + period).unwrap_or_default();
    let mut block = String::from_utf8_lossy(block).into_owned();
    if let Some(line) = block.find('\n').filter(|_| !block.ends_with('\n')) {
        let rest = block.split_off(line + 1);
        block.insert_str(0, &rest);
    }
    Repetition {
        block,
        period,
        count: length / period,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    /// As `find`, by trying each period and comparing byte by byte.
    fn oracle(text: &[u8]) -> Option<(usize, usize)> {
        (1..=MAX_BLOCK.min(text.len())).find_map(|period| {
            let same = (period..text.len())
                .rev()
                .take_while(|at| text[*at] == text[at - period])
                .count();
            let length = period + same;
            let block = &text[text.len() - period..];
            (length >= MIN_TAIL && length >= min_tail(block)).then_some((period, length / period))
        })
    }

    fn check(text: &str) -> Option<Repetition> {
        let found = find_repetition(text);
        assert_eq!(
            found
                .as_ref()
                .map(|repetition| (repetition.period, repetition.count)),
            oracle(text.as_bytes())
        );
        found
    }

    /// How often a block has to be there.
    fn limit(block: &str) -> usize {
        min_tail(block.as_bytes()).div_ceil(block.len())
    }

    const BLOCKS: [&str; 16] = [
        "\n",
        " ",
        "\n\n    ",
        "-",
        "0, ",
        "x",
        "## Plan\n",
        "the ",
        "\u{6807}\u{9898}\n",
        "\u{1f600}",
        "## Required packages\n\n",
        "I am sorry, but I cannot do that. ",
        "aaaaaaaaab",
        "\u{3000}",
        "abababac, ",
        "- [ ] Write the tests for the module\n- [ ] Write the module\n",
    ];

    #[test]
    fn a_block_counts_from_its_limit_on() {
        for block in BLOCKS {
            let limit = limit(block);
            assert_eq!(check(&block.repeat(limit - 1)), None, "{block:?}");
            let found = check(&block.repeat(limit)).unwrap();
            assert_eq!(
                (found.period, found.count),
                (block.len(), limit),
                "{block:?}"
            );
            assert!(block.repeat(2).contains(&found.block), "{found:?}");
        }
    }

    #[test]
    fn the_limits_are_those_that_the_documentation_tells() {
        assert_eq!(limit("\n"), 4096);
        assert_eq!(limit("## Plan\n"), 1024);
        assert_eq!(limit("- Write the tests\n"), 512);
        assert_eq!(limit(&"a sentence with words".repeat(20)[..400]), 62);
        assert_eq!(limit(&"-=".repeat(200)), 82);
        assert_eq!(limit(&"words ".repeat(1000)), MIN_COUNT);
        assert_eq!(limit("-"), 16 << 10);
        assert_eq!(limit("0, "), 5462);
        assert_eq!(limit("        0,\n"), 2979);
    }

    #[test]
    fn a_block_may_have_thousands_of_bytes() {
        let lines: Vec<String> = (0..900).map(|number| format!("line {number}\n")).collect();
        let block = lines.concat();
        assert!(block.len() < MAX_BLOCK);
        assert_eq!(check(&block.repeat(MIN_COUNT - 1)), None);
        assert_eq!(check(&block.repeat(MIN_COUNT)).unwrap().block, block);
        let longer = format!("{block}{block}.");
        assert_eq!(check(&longer.repeat(20)), None, "longer than any block");
    }

    #[test]
    fn what_stands_before_and_half_a_block_at_the_end_do_no_harm() {
        for block in BLOCKS {
            for before in ["", "An answer. ", "\u{6807}\n"] {
                let text = format!("{before}{}", block.repeat(limit(block) + 2));
                for (end, _) in text.char_indices().rev().take(block.chars().count()) {
                    let found = check(&text[..end]).unwrap();
                    let kept = cut_repetition(&text[..end], found.period);
                    assert!(text.starts_with(kept));
                    assert!(kept.starts_with(before) || kept.len() >= before.len());
                    assert!(kept.len() <= before.len() + 2 * block.len() + 3, "{kept:?}");
                    let mut shown: Vec<char> = found.block.chars().collect();
                    let mut meant: Vec<char> = block.chars().collect();
                    shown.sort_unstable();
                    meant.sort_unstable();
                    assert_eq!(shown, meant);
                }
            }
        }
    }

    #[test]
    fn a_block_of_lines_is_shown_from_a_line_on() {
        for before in ["", "Plan\n", "Plan:\n\n", "# "] {
            let text = format!("{before}{}", "## To do\n".repeat(2000));
            assert_eq!(
                find_repetition(&text).unwrap().block,
                "## To do\n",
                "{before:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_goes_on_is_no_repetition() {
        for block in BLOCKS {
            let text = format!("{}That is all there is to say.", block.repeat(limit(block)));
            assert_eq!(check(&text), None, "{block:?}");
        }
    }

    #[test]
    fn cutting_a_text_without_a_repetition_leaves_it() {
        for text in ["", "a", "some text", &"ab".repeat(3)] {
            for period in [1, 2, 3, 100] {
                assert_eq!(cut_repetition(text, period), text);
            }
        }
        assert_eq!(
            cut_repetition(&format!("so: {}", "ab".repeat(99)), 2),
            "so: abab"
        );
    }

    /// A watch sees what is there after each step, and at the end of the text.
    #[test]
    fn pieces_of_any_size_give_the_same() {
        for block in BLOCKS {
            let text = format!(
                "An answer. {}",
                block.repeat(limit(block) + SEARCH_INTERVAL.div_ceil(block.len()))
            );
            for size in [1, 7, 100, 5_000, 1 << 20] {
                let mut detector = RepetitionDetector::default();
                let mut rest = text.as_str();
                let mut found = None;
                while found.is_none() && !rest.is_empty() {
                    let end = (size.min(rest.len())..=rest.len())
                        .find(|end| rest.is_char_boundary(*end))
                        .unwrap();
                    found = detector.feed(&rest[..end]);
                    rest = &rest[end..];
                }
                let found = found.or_else(|| detector.search()).unwrap();
                assert_eq!(found.period, block.len(), "{size}");
            }
        }
    }

    #[test]
    fn a_detector_keeps_no_more_than_it_needs() {
        let mut detector = RepetitionDetector::default();
        for number in 0..200_000 {
            assert_eq!(detector.feed(&format!("{number} ")), None);
            assert!(detector.tail.len() <= 2 * KEPT_BYTES + SEARCH_INTERVAL);
        }
        assert!((0..20_000).any(|_| detector.feed("round and round ").is_some()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn as_the_oracle(
            parts in proptest::collection::vec(("[ab\n]{1,12}|[a-d \u{e9}\u{6807}]{1,90}", 1_usize..3000), 1..4),
            end in "[ab ]{0,3}",
        ) {
            let mut text: String = parts.iter().map(|(block, count)| block.repeat(count % (40_000 / block.len()))).collect();
            text.push_str(&end);
            check(&text);
        }

        /// Periods within periods, which have many places where the end stands, too.
        #[test]
        fn as_the_oracle_for_nested_blocks(
            inner in "[ab]{1,4}", count in 1_usize..200, between in "[ab]{0,3}", often in 1_usize..60, again in 1_usize..40,
        ) {
            let middle = format!("{}{between}", inner.repeat(count)).repeat(often);
            let mut text = format!("{middle}c").repeat(again);
            text.truncate(40_000);
            check(&text);
        }
    }
}
