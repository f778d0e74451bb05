//! Checkers deal in `u64`; files may name a key `:x`, `"y"` or `-1`.

use std::{collections::BTreeMap, fmt};

use crate::edn::{Cursor, Error};

/// The first id of a name; natural numbers below stand for themselves.
const FIRST: u64 = 1 << 63;

/// Two-way table between ids and values that are no natural numbers.
#[derive(Clone, Debug, Default)]
pub struct Names {
    ids: BTreeMap<String, u64>,
    texts: Vec<String>,
}

impl Names {
    /// Reads a key or value; anything but `nil`.
    pub fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Error> {
        if let Some(number) = cursor.natural()? {
            return Ok(number);
        }
        if cursor.nil()? {
            return Err(cursor.error("nil is no key or value here"));
        }
        Ok(self.id(&cursor.value()?.to_string()))
    }

    /// Reads a value; `None` is nil.
    pub fn read_or_nil(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<u64>, Error> {
        if cursor.nil()? { Ok(None) } else { self.read(cursor).map(Some) }
    }

    /// The id of a text in EDN.
    pub fn id(&mut self, text: &str) -> u64 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = FIRST + self.texts.len() as u64;
        self.ids.insert(text.to_owned(), id);
        self.texts.push(text.to_owned());
        id
    }

    /// As EDN.
    pub fn show(&self, id: u64) -> Shown<'_> {
        Shown { id, text: id.checked_sub(FIRST).and_then(|at| self.texts.get(at as usize)).map(String::as_str) }
    }

    /// A list as EDN, for people: of a long one the beginning and the end.
    pub fn show_list(&self, ids: &[u64]) -> String {
        const HEAD: usize = 2;
        const TAIL: usize = 8;
        let show = |ids: &[u64]| ids.iter().map(|id| self.show(*id).to_string()).collect::<Vec<_>>().join(" ");
        if ids.len() <= HEAD + TAIL + 2 {
            return format!("[{}]", show(ids));
        }
        format!("[{} … {}]", show(&ids[..HEAD]), show(&ids[ids.len() - TAIL..]))
    }
}

pub struct Shown<'a> {
    id: u64,
    text: Option<&'a str>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text {
            Some(text) => f.write_str(text),
            None => write!(f, "{}", self.id),
        }
    }
}
