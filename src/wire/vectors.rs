//! A reply with vectors, read straight from its text into one row-major block of f32 (docs/wire.md#9-embeddings).
//!
//! `{"model":"m","embeddings":[[0.5,1],[2,-3]],"prompt_eval_count":4}` becomes the block `0.5 1 2 -3` of 2 rows and
//! width 2.
//!
//! One pass: `json::number` reads the arrays of numbers, and `json::lenient` passes over strings and everything
//! unknown. Keys may come in any order; where one comes twice the last counts, as in any JSON reader.
//!
//! Each number is the f32 nearest to its decimal text, rounded once. So the 17 digits with which `/api/embeddings`
//! writes an f32 widened to a double give that very f32 back, and no number goes through an f64 on its way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::counters::Counters;
use super::excerpt::excerpt;
use super::json::cursor::Cursor;
use super::json::{lenient, number};

/// The vectors of a reply, and what it says beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    /// `rows * width` finite numbers, row after row.
    pub values: Vec<f32>,
    pub rows: usize,
    pub width: usize,
    pub model: Option<String>,
    pub counters: Counters,
    /// Whether the reply has an `error` that is true in Python: then it is a refusal, whatever else is there.
    pub failed: bool,
}

/// Why a body gives no vectors. Positions are bytes from the start of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorsError {
    #[error("the reply is not UTF-8 (at byte {position})")]
    NotUtf8 { position: usize },
    #[error("the reply ends in the middle, after {position} bytes")]
    Truncated { position: usize },
    #[error("the reply is no JSON (at byte {position}): {excerpt}")]
    NotJson { position: usize, excerpt: String },
    #[error("the reply has no {wanted} at byte {position}: {excerpt}")]
    Unexpected {
        wanted: &'static str,
        position: usize,
        excerpt: String,
    },
    #[error("number {column} of vector {row} is not a number (at byte {position}): {excerpt}")]
    NotANumber {
        row: usize,
        column: usize,
        position: usize,
        excerpt: String,
    },
    #[error("number {column} of vector {row} does not fit a 32-bit float (at byte {position})")]
    NotFinite {
        row: usize,
        column: usize,
        position: usize,
    },
    #[error("vector {row} is no list of numbers (at byte {position}): {excerpt}")]
    NotAVector {
        row: usize,
        position: usize,
        excerpt: String,
    },
    #[error("vector {row} is empty")]
    Empty { row: usize },
    #[error("vector {row} has {found} numbers, and those before it have {width}")]
    Ragged {
        row: usize,
        found: usize,
        width: usize,
    },
    #[error("vector {row} is no base64 text of 32-bit vectors (at byte {position})")]
    NotBase64 { row: usize, position: usize },
    #[error("the indexes of the {rows} vectors are not 0 to {rows} less one")]
    Indexes { rows: usize },
}

impl VectorsError {
    /// Whether the body is no JSON at all, as if it had been damaged on its way.
    ///
    /// ```
    /// use metagpt_ollama_rs::wire::vectors::VectorsError;
    ///
    /// assert!(VectorsError::Truncated { position: 7 }.is_damage());
    /// assert!(!VectorsError::Empty { row: 0 }.is_damage());
    /// ```
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::NotUtf8 { .. } | Self::Truncated { .. } | Self::NotJson { .. }
        )
    }
}

/// Reads the whole body of a reply of `/api/embed`, `/api/embeddings` or `/v1/embeddings`.
///
/// A reply without vectors, or with `null` or an empty vector as its `embedding`, has `rows` 0.
///
/// ```
/// use metagpt_ollama_rs::wire::vectors;
///
/// let found = vectors::read(br#"{"embeddings":[[0.5,1],[2,-3]],"prompt_eval_count":4}"#).unwrap();
/// assert_eq!((found.rows, found.width, found.values), (2, 2, vec![0.5, 1.0, 2.0, -3.0]));
/// assert!(vectors::read(b"{\"embeddings\":[[0.5,").unwrap_err().is_damage());
/// ```
pub fn read(body: &[u8]) -> Result<Vectors, VectorsError> {
    let text = std::str::from_utf8(body).map_err(|error| VectorsError::NotUtf8 {
        position: error.valid_up_to(),
    })?;
    let mut reader = VectorsReader {
        text,
        cursor: Cursor::new(body),
        vectors: Vectors::default(),
        indexes: Vec::new(),
    };
    reader.object(VectorsReader::member)?;
    reader.cursor.skip_white_space();
    if !reader.cursor.is_at_end() {
        return Err(reader.syntax_error());
    }
    reader.sort_by_index()?;
    Ok(reader.vectors)
}

/// Whether the value of an `error` says that there was one: whether Python takes it for true.
fn says_something(error: &str) -> bool {
    use serde_json::Value;
    // A value that serde_json refuses (a number without bounds, half of a surrogate pair) is true in Python.
    match serde_json::from_str(error) {
        Ok(Value::Null | Value::Bool(false)) => false,
        Ok(Value::Number(number)) => number.as_f64() != Some(0.0),
        Ok(Value::String(text)) => !text.is_empty(),
        Ok(Value::Array(items)) => !items.is_empty(),
        Ok(Value::Object(members)) => !members.is_empty(),
        Ok(Value::Bool(true)) | Err(_) => true,
    }
}

struct VectorsReader<'a> {
    text: &'a str,
    cursor: Cursor<'a>,
    vectors: Vectors,
    /// The `index` of each row so far, where it was given (`/v1/embeddings`).
    indexes: Vec<Option<usize>>,
}

type ReadResult = Result<(), VectorsError>;

impl<'a> VectorsReader<'a> {
    #[cold]
    fn excerpt(&self) -> String {
        excerpt(self.cursor.rest())
    }

    /// The JSON is wrong here, or ends here.
    #[cold]
    fn syntax_error(&self) -> VectorsError {
        if self.cursor.is_at_end() {
            return VectorsError::Truncated {
                position: self.cursor.position(),
            };
        }
        VectorsError::NotJson {
            position: self.cursor.position(),
            excerpt: self.excerpt(),
        }
    }

    /// The JSON may be right, but is not what the endpoint answers.
    #[cold]
    fn unexpected(&self, wanted: &'static str) -> VectorsError {
        if self.cursor.is_at_end() {
            return self.syntax_error();
        }
        VectorsError::Unexpected {
            wanted,
            position: self.cursor.position(),
            excerpt: self.excerpt(),
        }
    }

    /// Passes over the next value, and returns its source text.
    fn value(&mut self) -> Result<&'a str, VectorsError> {
        self.cursor.skip_white_space();
        let rest = self.text.get(self.cursor.position()..).unwrap_or_default();
        match lenient::value_length(rest) {
            Ok(length) => {
                self.cursor.advance(length);
                Ok(rest.get(..length).unwrap_or_default())
            }
            Err(error) => {
                self.cursor.advance(error.position);
                // If the end of the text cuts a word or an escape, the error stands at its beginning. Such a text is
                // not wrong but incomplete.
                let tail = self.cursor.rest();
                let word = ["true", "false", "null"]
                    .iter()
                    .any(|word| word.as_bytes().starts_with(tail));
                let escape = match tail.strip_prefix(b"\\u") {
                    Some(digits) => digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit),
                    None => tail == b"\\",
                };
                if word || escape {
                    self.cursor.advance(self.text.len());
                }
                Err(self.syntax_error())
            }
        }
    }

    /// Reads an object, calling `member` with each key at the place of its value.
    fn object(&mut self, member: impl Fn(&mut Self, &str) -> ReadResult) -> ReadResult {
        if !self.cursor.eat(b'{') {
            return Err(self.unexpected("object"));
        }
        if self.cursor.eat(b'}') {
            return Ok(());
        }
        loop {
            self.cursor.skip_white_space();
            let key = match self.cursor.peek() {
                Some(b'"') => lenient::string(self.value()?).unwrap_or_default(),
                _ => return Err(self.syntax_error()),
            };
            if !self.cursor.eat(b':') {
                return Err(self.syntax_error());
            }
            self.cursor.skip_white_space();
            member(self, &key)?;
            if self.cursor.eat(b'}') {
                return Ok(());
            }
            if !self.cursor.eat(b',') {
                return Err(self.syntax_error());
            }
        }
    }

    /// Reads an array, calling `element` at the place of each element.
    fn array(&mut self, element: impl Fn(&mut Self) -> ReadResult) -> ReadResult {
        if !self.cursor.eat(b'[') {
            return Err(self.unexpected("array"));
        }
        if self.cursor.eat(b']') {
            return Ok(());
        }
        loop {
            element(self)?;
            if self.cursor.eat(b']') {
                return Ok(());
            }
            if !self.cursor.eat(b',') {
                return Err(self.syntax_error());
            }
        }
    }

    fn member(&mut self, key: &str) -> ReadResult {
        match key {
            "embeddings" => {
                self.clear_rows();
                self.unless_null(|reader| reader.array(|reader| reader.row(false)))
            }
            "embedding" => {
                self.clear_rows();
                // An empty vector is how this endpoint answers an empty prompt.
                match self.unless_null(|reader| reader.row(false)) {
                    Err(VectorsError::Empty { .. }) => Ok(()),
                    other => other,
                }
            }
            "data" => {
                self.clear_rows();
                self.unless_null(|reader| reader.array(Self::entry))
            }
            _ => {
                let value = self.value()?;
                self.keep_member(key, value);
                Ok(())
            }
        }
    }

    fn unless_null(&mut self, read: impl FnOnce(&mut Self) -> ReadResult) -> ReadResult {
        if self.cursor.peek() == Some(b'n') {
            return self.value().map(drop);
        }
        read(self)
    }

    fn clear_rows(&mut self) {
        self.vectors.values.clear();
        (self.vectors.rows, self.vectors.width) = (0, 0);
        self.indexes.clear();
        // The shortest texts of normalised vectors have 12 characters on average, the comma among them.
        self.vectors.values.reserve(self.cursor.rest().len() / 12);
    }

    /// An element of the `data` of `/v1/embeddings`.
    fn entry(&mut self) -> ReadResult {
        let (rows, start) = (self.vectors.rows, self.vectors.values.len());
        self.indexes.push(None);
        self.cursor.skip_white_space();
        let start_of_entry = self.cursor;
        self.object(|reader, key| match key {
            "embedding" => {
                reader.vectors.rows = rows;
                reader.vectors.values.truncate(start);
                reader.row(true)
            }
            "index" => {
                let value = reader.value()?;
                if let Some(index) = reader.indexes.last_mut() {
                    *index = value.parse().ok();
                }
                Ok(())
            }
            _ => reader.value().map(drop),
        })?;
        if self.vectors.rows == rows {
            self.cursor = start_of_entry;
            return Err(self.unexpected("embedding"));
        }
        Ok(())
    }

    /// Reads one vector. `base64` says whether the endpoint may write it as base64 text.
    fn row(&mut self, base64: bool) -> ReadResult {
        let before = self.vectors.values.len();
        self.cursor.skip_white_space();
        if base64 && self.cursor.peek() == Some(b'"') {
            self.base64()?;
        } else {
            self.numbers()?;
        }
        let row = self.vectors.rows;
        let found = self.vectors.values.len() - before;
        if found == 0 {
            return Err(VectorsError::Empty { row });
        }
        if row == 0 {
            self.vectors.width = found;
        } else if found != self.vectors.width {
            return Err(VectorsError::Ragged {
                row,
                found,
                width: self.vectors.width,
            });
        }
        self.vectors.rows += 1;
        Ok(())
    }

    fn numbers(&mut self) -> ReadResult {
        if !self.cursor.eat(b'[') {
            return Err(self.not_a_vector());
        }
        if self.cursor.eat(b']') {
            return Ok(());
        }
        let before = self.vectors.values.len();
        loop {
            self.cursor.skip_white_space();
            let column = self.vectors.values.len() - before;
            let Some((value, length)) = number::read_f32(self.cursor.rest()) else {
                return Err(self.not_a_number(column));
            };
            if !value.is_finite() {
                return Err(VectorsError::NotFinite {
                    row: self.vectors.rows,
                    column,
                    position: self.cursor.position(),
                });
            }
            self.vectors.values.push(value);
            self.cursor.advance(length);
            match self.cursor.peek() {
                Some(b',') => self.cursor.advance(1),
                Some(b']') => {
                    self.cursor.advance(1);
                    return Ok(());
                }
                _ if self.cursor.eat(b',') => {}
                _ if self.cursor.eat(b']') => return Ok(()),
                _ => return Err(self.syntax_error()),
            }
        }
    }

    #[cold]
    fn not_a_vector(&self) -> VectorsError {
        if self.cursor.is_at_end() {
            return self.syntax_error();
        }
        VectorsError::NotAVector {
            row: self.vectors.rows,
            position: self.cursor.position(),
            excerpt: self.excerpt(),
        }
    }

    #[cold]
    fn not_a_number(&self, column: usize) -> VectorsError {
        let rest = self.cursor.rest();
        let cut = rest
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"-+.eE".contains(byte));
        if cut {
            return VectorsError::Truncated {
                position: self.text.len(),
            };
        }
        VectorsError::NotANumber {
            row: self.vectors.rows,
            column,
            position: self.cursor.position(),
            excerpt: self.excerpt(),
        }
    }

    fn base64(&mut self) -> ReadResult {
        let (row, position) = (self.vectors.rows, self.cursor.position());
        let wrong = VectorsError::NotBase64 { row, position };
        let text = lenient::string(self.value()?).unwrap_or_default();
        let Ok(bytes) = STANDARD.decode(text.as_bytes()) else {
            return Err(wrong);
        };
        let (words, []) = bytes.as_chunks::<4>() else {
            return Err(wrong);
        };
        for (column, word) in words.iter().enumerate() {
            let value = f32::from_le_bytes(*word);
            if !value.is_finite() {
                return Err(VectorsError::NotFinite {
                    row,
                    column,
                    position,
                });
            }
            self.vectors.values.push(value);
        }
        Ok(())
    }

    /// Keeps a member that is no vector, if it says something about the reply.
    fn keep_member(&mut self, key: &str, value: &str) {
        let counters = &mut self.vectors.counters;
        let count = |value: &str| value.parse().ok();
        match key {
            "model" => {
                self.vectors.model = lenient::string(value).map(std::borrow::Cow::into_owned);
            }
            "error" => self.vectors.failed = says_something(value),
            "usage" => {
                counters.set_openai_usage(|name| lenient::member(value, name).and_then(count));
            }
            _ => {
                if let Some(counter) = counters.get_mut(key) {
                    *counter = count(value);
                }
            }
        }
    }

    /// Brings the rows into the order of their indexes, where all of them have one.
    fn sort_by_index(&mut self) -> ReadResult {
        let Some(indexes) = self.indexes.iter().copied().collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        if indexes.iter().enumerate().all(|(row, index)| row == *index) {
            return Ok(());
        }
        let rows = self.vectors.rows;
        let mut order = vec![None; rows];
        for (row, index) in indexes.into_iter().enumerate() {
            match order.get_mut(index) {
                Some(place @ None) => *place = Some(row),
                _ => return Err(VectorsError::Indexes { rows }),
            }
        }
        let width = self.vectors.width;
        let mut sorted = Vec::with_capacity(self.vectors.values.len());
        for row in order.into_iter().flatten() {
            let source = self.vectors.values.get(row * width..(row + 1) * width);
            sorted.extend_from_slice(source.unwrap_or_default());
        }
        self.vectors.values = sorted;
        Ok(())
    }
}
