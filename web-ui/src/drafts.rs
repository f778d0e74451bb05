//! What the editor keeps over a reload: the tabs with their texts, and what was run. One text for the browser's storage, the
//! parts divided by control characters that no statement contains.

const RECORD: char = '\u{1e}';
const FIELD: char = '\u{1f}';
/// Statements remembered.
const HISTORY_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub name: String,
    pub text: String,
}

pub fn write_drafts(drafts: &[Draft]) -> String {
    let clean = |text: &str| text.replace([RECORD, FIELD], "");
    let records: Vec<String> =
        drafts.iter().map(|draft| format!("{}{FIELD}{}", clean(&draft.name), clean(&draft.text))).collect();
    records.join(&RECORD.to_string())
}

/// At least one draft, whatever was kept.
pub fn read_drafts(kept: &str) -> Vec<Draft> {
    let records = kept.split(RECORD).filter_map(|record| record.split_once(FIELD));
    let mut drafts: Vec<Draft> =
        records.map(|(name, text)| Draft { name: name.to_owned(), text: text.to_owned() }).collect();
    if drafts.is_empty() {
        drafts.push(Draft { name: "Query 1".to_owned(), text: String::new() });
    }
    drafts
}

/// A name that no tab has.
pub fn new_name(drafts: &[Draft]) -> String {
    let free = |number: &usize| !drafts.iter().any(|draft| draft.name == format!("Query {number}"));
    format!("Query {}", (1..).find(free).unwrap_or(1))
}

/// The newest first, nothing twice.
pub fn remember(kept: &str, statement: &str) -> String {
    let statement = statement.trim().replace(RECORD, "");
    let older = kept.split(RECORD).filter(|other| *other != statement && !other.is_empty());
    let all: Vec<&str> = std::iter::once(statement.as_str()).chain(older).take(HISTORY_MAX).collect();
    all.join(&RECORD.to_string())
}

pub fn history(kept: &str) -> Vec<String> {
    kept.split(RECORD).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_and_back() {
        let draft = |name: &str, text: &str| Draft { name: name.into(), text: text.into() };
        let drafts = [draft("Query 1", "SELECT 1;\n"), draft("Query 3", "")];
        assert_eq!(read_drafts(&write_drafts(&drafts)), drafts);
        assert_eq!(new_name(&drafts), "Query 2");
        assert_eq!(read_drafts("garbage"), [draft("Query 1", "")]);
        assert_eq!(read_drafts(&write_drafts(&[draft("a\u{1e}b", "c\u{1f}")])), [draft("ab", "c")]);
    }

    #[test]
    fn statements_are_remembered_once() {
        let kept = remember(&remember(&remember("", "a"), "b"), " a ");
        assert_eq!(history(&kept), ["a", "b"]);
        let full = (0..300).fold(String::new(), |kept, number| remember(&kept, &number.to_string()));
        assert_eq!(history(&full).len(), HISTORY_MAX);
    }
}
