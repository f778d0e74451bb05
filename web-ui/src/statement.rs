//! Just enough of SQL's words for the editor: colours, where one statement ends, what is being typed. PostgreSQL's rules for
//! quotes, dollar quotes and nested comments; anything that looks odd is left to the server.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Space,
    Keyword,
    Name,
    Number,
    Text,
    Comment,
    /// Ends a statement.
    Semicolon,
    Other,
}

/// A piece of the text; the pieces in order are the whole text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Where it begins, in bytes.
    pub start: usize,
}

/// Words that are coloured and offered; not all that are reserved.
pub const KEYWORDS: &[&str] = &[
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CASCADE",
    "CASE",
    "CAST",
    "CHECK",
    "COLUMN",
    "COMMIT",
    "CONFLICT",
    "CONSTRAINT",
    "COPY",
    "CREATE",
    "CROSS",
    "CURRENT_TIMESTAMP",
    "DATABASE",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DO",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FIRST",
    "FOR",
    "FOREIGN",
    "FROM",
    "FULL",
    "GRANT",
    "GROUP",
    "HAVING",
    "IF",
    "ILIKE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTO",
    "IS",
    "ISOLATION",
    "JOIN",
    "KEY",
    "LAST",
    "LATERAL",
    "LEFT",
    "LEVEL",
    "LIKE",
    "LIMIT",
    "NOT",
    "NOTHING",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRIMARY",
    "REFERENCES",
    "RETURNING",
    "REVOKE",
    "RIGHT",
    "ROLE",
    "ROLLBACK",
    "SAVEPOINT",
    "SCHEMA",
    "SELECT",
    "SEQUENCE",
    "SET",
    "SHOW",
    "TABLE",
    "THEN",
    "TO",
    "TRANSACTION",
    "TRUE",
    "TRUNCATE",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let (kind, length) = next(&text[start..]);
        found.push(Token { kind, text: &text[start..start + length], start });
        start += length;
    }
    found
}

/// The kind and length of the first token of a text that is not empty.
fn next(text: &str) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or(' ');
    let run = |accept: fn(char) -> bool| text.find(|character| !accept(character)).unwrap_or(text.len());
    match first {
        _ if first.is_whitespace() => (Kind::Space, run(char::is_whitespace)),
        '-' if text.starts_with("--") => (Kind::Comment, text.find('\n').unwrap_or(text.len())),
        '/' if text.starts_with("/*") => (Kind::Comment, block_comment(text)),
        'e' | 'E' if text[1..].starts_with('\'') => (Kind::Text, 1 + quoted(&text[1..], '\'', true)),
        '\'' => (Kind::Text, quoted(text, '\'', false)),
        '"' => (Kind::Name, quoted(text, '"', false)),
        '$' => dollar_quoted(text).map_or((Kind::Other, 1), |length| (Kind::Text, length)),
        _ if first.is_ascii_digit() => (Kind::Number, run(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')),
        _ if first.is_alphabetic() || first == '_' => {
            let length = run(|c| c.is_alphanumeric() || c == '_' || c == '$');
            let word = text[..length].to_ascii_uppercase();
            (if KEYWORDS.binary_search(&word.as_str()).is_ok() { Kind::Keyword } else { Kind::Name }, length)
        }
        ';' => (Kind::Semicolon, 1),
        _ => (Kind::Other, first.len_utf8()),
    }
}

/// Length of a quoted text with its quotes; a doubled quote stands for one. Without an end it reaches to the end.
fn quoted(text: &str, quote: char, with_backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if with_backslashes && character == '\\' {
            characters.next();
        } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return position + 1;
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut position) = (0, 0);
    while position + 1 < bytes.len() {
        match &bytes[position..position + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                position += 1;
                continue;
            }
        }
        position += 2;
        if depth == 0 {
            return position;
        }
    }
    text.len()
}

/// `$$…$$` or `$tag$…$tag$`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_length = text[1..].find('$')? + 2;
    let tag = &text[..tag_length];
    let inner = &tag[1..tag_length - 1];
    if inner.starts_with(|c: char| c.is_ascii_digit()) || !inner.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    Some(text[tag_length..].find(tag).map_or(text.len(), |end| tag_length + end + tag_length))
}

/// The statements of a text, as ranges of bytes without the semicolons and the space around them.
pub fn statements(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut current: Option<std::ops::Range<usize>> = None;
    for token in tokens(text) {
        match token.kind {
            Kind::Semicolon => found.extend(current.take()),
            Kind::Space | Kind::Comment => {}
            _ => {
                let end = token.start + token.text.len();
                current = Some(current.map_or(token.start, |current| current.start)..end);
            }
        }
    }
    found.extend(current);
    found
}

/// The word that ends at this byte, with the dots of a qualified name; for completion.
pub fn word_before(text: &str, position: usize) -> &str {
    let before = text.get(..position).unwrap_or_default();
    let start = before
        .rfind(|c: char| !(c.is_alphanumeric() || "_$.\"".contains(c)))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    &before[start..]
}

/// The statement's first keyword, which says what it does.
pub fn verb(statement: &str) -> String {
    let first = tokens(statement).into_iter().find(|token| matches!(token.kind, Kind::Keyword | Kind::Name));
    first.map(|token| token.text.to_ascii_uppercase()).unwrap_or_default()
}

/// A name as SQL reads it back.
pub fn quote_name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && KEYWORDS.binary_search(&name.to_ascii_uppercase().as_str()).is_err();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text as SQL reads it back (with `standard_conforming_strings`, which is always on).
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A statement that ends in a text.
pub fn with_text(statement: &str, text: &str) -> String {
    format!("{statement} {}", quote_text(text))
}

/// The same as it may be seen: the text is a secret.
pub fn with_text_hidden(statement: &str) -> String {
    format!("{statement} '…'")
}

#[cfg(test)]
#[path = "statement_test.rs"]
mod tests;
