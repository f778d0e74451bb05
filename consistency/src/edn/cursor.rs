//! Reading EDN from bytes, as whole values or piece by piece.

use super::{DEPTH_MAX, Error, Value};

/// A position in a text. Blanks, commas, comments and discarded forms (`#_`) are skipped before everything that is read.
#[derive(Clone)]
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// Discarded forms that we are inside of.
    discards: usize,
}

type Result<T> = std::result::Result<T, Error>;

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { text, at: 0, discards: 0 }
    }

    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn error(&self, message: impl Into<String>) -> Error {
        Error { offset: self.at.min(self.text.len()), message: message.into() }
    }

    /// The first byte of what comes next; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',') => self.at += 1,
                Some(b';') => self.skip_line(),
                Some(b'#') if self.text.get(self.at + 1) == Some(&b'_') => self.discard()?,
                other => return Ok(other.copied()),
            }
        }
    }

    /// Takes a bracket if it comes next.
    pub fn take(&mut self, bracket: u8) -> Result<bool> {
        let is_next = self.peek()? == Some(bracket);
        self.at += usize::from(is_next);
        Ok(is_next)
    }

    pub fn expect(&mut self, bracket: u8) -> Result<()> {
        if self.take(bracket)? {
            return Ok(());
        }
        Err(self.error(format!("expected {:?}, found {}", char::from(bracket), self.describe())))
    }

    /// Takes `[` or `(`; the bracket that ends it.
    pub fn open_list(&mut self) -> Result<u8> {
        match self.peek()? {
            Some(b'[') => {
                self.at += 1;
                Ok(b']')
            }
            Some(b'(') => {
                self.at += 1;
                Ok(b')')
            }
            _ => Err(self.error(format!("expected a vector, found {}", self.describe()))),
        }
    }

    /// A keyword or symbol, without colon.
    pub fn keyword(&mut self) -> Result<&'a str> {
        self.peek()?;
        let token = self.token();
        let name = token.strip_prefix(b":").unwrap_or(token);
        if name.is_empty() || name[0].is_ascii_digit() {
            return Err(self.error(format!("expected a keyword, found {}", self.describe())));
        }
        self.at += token.len();
        std::str::from_utf8(name).map_err(|_| self.error("a keyword is not UTF-8"))
    }

    /// A natural number; `None`, without moving, when something else comes next.
    pub fn natural(&mut self) -> Result<Option<u64>> {
        self.peek()?;
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ends = self.text.get(self.at + digits).is_none_or(|byte| is_delimiter(*byte));
        // Eighteen digits always fit.
        if digits == 0 || digits > 18 || !ends {
            return Ok(None);
        }
        let mut number = 0;
        for byte in &self.text[self.at..self.at + digits] {
            number = number * 10 + u64::from(byte - b'0');
        }
        self.at += digits;
        Ok(Some(number))
    }

    /// Takes `nil` if it comes next.
    pub fn nil(&mut self) -> Result<bool> {
        self.peek()?;
        let is_nil = self.token() == b"nil";
        if is_nil {
            self.at += 3;
        }
        Ok(is_nil)
    }

    /// Any value.
    pub fn value(&mut self) -> Result<Value> {
        self.value_at_depth(0)
    }

    fn value_at_depth(&mut self, depth: usize) -> Result<Value> {
        if depth > DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        match self.peek()? {
            None => Err(self.error("the text ends where a value should be")),
            Some(b'[') => self.items(b']', depth).map(Value::List),
            Some(b'(') => self.items(b')', depth).map(Value::List),
            Some(b'{') => self.map(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b'\\') => self.character(),
            Some(b'#') => self.dispatch(depth),
            Some(_) => self.atom(),
        }
    }

    fn items(&mut self, close: u8, depth: usize) -> Result<Vec<Value>> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(close)? {
            items.push(self.value_at_depth(depth + 1)?);
        }
        Ok(items)
    }

    fn map(&mut self, depth: usize) -> Result<Value> {
        let begin = self.at;
        let items = self.items(b'}', depth)?;
        if items.len() % 2 == 1 {
            return Err(Error { offset: begin, message: "a map holds a key without a value".into() });
        }
        let mut items = items.into_iter();
        let mut entries = Vec::with_capacity(items.len() / 2);
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    /// `#{…}` or `#tag value`.
    fn dispatch(&mut self, depth: usize) -> Result<Value> {
        self.at += 1;
        if self.text.get(self.at) == Some(&b'{') {
            return self.items(b'}', depth).map(Value::Set);
        }
        if self.token().is_empty() {
            return Err(self.error("a tag has no name"));
        }
        let name = self.keyword()?.to_owned();
        Ok(Value::Tagged(name, Box::new(self.value_at_depth(depth + 1)?)))
    }

    fn string(&mut self) -> Result<String> {
        let begin = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            match self.text.get(self.at) {
                None => return Err(Error { offset: begin, message: "a string does not end".into() }),
                Some(b'"') => break,
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(byte) => bytes.push(*byte),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(bytes).map_err(|_| Error { offset: begin, message: "a string is not UTF-8".into() })
    }

    /// At a backslash inside a string; stays on the last byte of the escape.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        self.at += 1;
        let plain = match self.text.get(self.at) {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'u') => {
                let digits = self.text.get(self.at + 1..self.at + 5).and_then(|hex| std::str::from_utf8(hex).ok());
                let code = digits.and_then(|hex| u32::from_str_radix(hex, 16).ok());
                let Some(code) = code else { return Err(self.error("an escape \\u needs four hexadecimal digits")) };
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                self.at += 4;
                return Ok(());
            }
            Some(byte @ (b'"' | b'\\')) => *byte,
            _ => return Err(self.error("an unknown escape in a string")),
        };
        bytes.push(plain);
        Ok(())
    }

    fn character(&mut self) -> Result<Value> {
        let begin = self.at;
        // The character itself may be a delimiter.
        self.at += 2;
        self.at += self.token().len();
        let text = self.text.get(begin..self.at).and_then(|text| std::str::from_utf8(text).ok());
        text.map(|text| Value::Character(text.to_owned())).ok_or_else(|| self.error("a character is cut off"))
    }

    fn atom(&mut self) -> Result<Value> {
        let token = self.token();
        if token.is_empty() {
            return Err(self.error(format!("expected a value, found {}", self.describe())));
        }
        let text = std::str::from_utf8(token).map_err(|_| self.error("a symbol is not UTF-8"))?;
        self.at += token.len();
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.starts_with(|first: char| first.is_ascii_digit()) {
            let integer = text.strip_suffix('N').unwrap_or(text).parse();
            return Ok(integer.map_or_else(|_| Value::Number(text.to_owned()), Value::Integer));
        }
        Ok(match text {
            "nil" => Value::Nil,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match text.strip_prefix(':') {
                Some(name) => Value::Keyword(name.to_owned()),
                None => Value::Symbol(text.to_owned()),
            },
        })
    }

    /// Passes over one value without building it; brackets must match.
    pub fn skip(&mut self) -> Result<()> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            let Some(byte) = self.peek()? else { return Err(self.error("the text ends inside a value")) };
            let mut is_whole = true;
            match byte {
                b'[' | b'(' | b'{' => {
                    open.push(if byte == b'(' { b')' } else { byte + 2 });
                    self.at += 1;
                    is_whole = false;
                }
                b']' | b')' | b'}' => {
                    if open.pop() != Some(byte) {
                        return Err(self.error(format!("{:?} closes nothing", char::from(byte))));
                    }
                    self.at += 1;
                }
                b'"' => self.skip_string()?,
                b'\\' => {
                    self.character()?;
                }
                b'#' => {
                    // A set, or a tag of the value that follows.
                    self.at += 1;
                    let is_set = self.text.get(self.at) == Some(&b'{');
                    if !is_set && self.token().is_empty() {
                        return Err(self.error("a tag has no name"));
                    }
                    self.at += if is_set { 0 } else { self.token().len() };
                    is_whole = false;
                }
                _ => self.at += self.token().len().max(1),
            }
            if open.len() > DEPTH_MAX {
                return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
            }
            if is_whole && open.is_empty() {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Result<()> {
        let begin = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => return Err(Error { offset: begin, message: "a string does not end".into() }),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    fn discard(&mut self) -> Result<()> {
        if self.discards >= DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.at += 2;
        self.discards += 1;
        let outcome = self.skip();
        self.discards -= 1;
        outcome
    }

    fn token(&self) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| is_delimiter(*byte)).unwrap_or(rest.len());
        &rest[..length]
    }

    /// What comes next, for messages.
    fn describe(&self) -> String {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return "the end of the text".into();
        }
        let shown = String::from_utf8_lossy(&rest[..rest.len().min(24)]).into_owned();
        format!("`{}`", shown.lines().next().unwrap_or_default())
    }
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b'"' | b'(' | b')' | b'[' | b']' | b'{' | b'}')
}
