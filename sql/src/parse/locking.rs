//! Locking clauses, rewritten on the token level into what the parser knows: `FOR UPDATE` and `FOR SHARE` of one table each,
//! behind LIMIT.
//!
//! | PostgreSQL | parsed as |
//! |---|---|
//! | `FOR NO KEY UPDATE OF a` | `FOR UPDATE OF "\u{1}".a`: the weaker of the two strengths |
//! | `FOR KEY SHARE` | `FOR SHARE OF "\u{1}"` |
//! | `FOR UPDATE OF a, b NOWAIT` | `FOR UPDATE OF a NOWAIT FOR UPDATE OF b NOWAIT` |
//! | `FOR UPDATE LIMIT 1` | `LIMIT 1 FOR UPDATE` |
//! | `FOR READ ONLY` | nothing |

use sqlparser::{
    ast,
    tokenizer::{Token, TokenWithSpan},
};

use super::rescue::{is_word, starts};

/// Stands before the table of a clause that means the weaker lock of its kind.
const WEAK: &str = "\u{1}";

/// Whether a clause means the weaker lock of its kind, and the tables it names (none: all).
pub(crate) fn strength(of: Option<&ast::ObjectName>) -> (bool, Option<ast::ObjectName>) {
    let Some(of) = of else { return (false, None) };
    match of.0.split_first() {
        Some((ast::ObjectNamePart::Identifier(first), rest)) if first.value == WEAK => {
            (true, (!rest.is_empty()).then(|| ast::ObjectName(rest.to_vec())))
        }
        _ => (false, Some(of.clone())),
    }
}

/// The `OF` of a clause for all tables.
pub(crate) fn strength_marker(weak: bool) -> Option<ast::ObjectName> {
    weak.then(|| ast::ObjectName::from(ast::Ident::with_quote('"', WEAK)))
}

/// Rewrites the locking clauses at the front, with the LIMIT that may follow them; how many tokens that were.
pub(super) fn rewrite(tokens: &[TokenWithSpan], output: &mut Vec<TokenWithSpan>) -> Option<usize> {
    let mut clauses = Vec::new();
    let mut length = 0;
    while let Some(read) = read(&tokens[length..], &mut clauses) {
        length += read;
    }
    if length == 0 {
        return None;
    }
    let rest = &tokens[length..];
    if ["LIMIT", "OFFSET", "FETCH"].iter().any(|word| rest.first().is_some_and(|token| is_word(token, word))) {
        let limit = end_of_query(rest);
        output.extend_from_slice(&rest[..limit]);
        length += limit;
    }
    output.append(&mut clauses);
    Some(length)
}

/// One clause.
fn read(tokens: &[TokenWithSpan], clauses: &mut Vec<TokenWithSpan>) -> Option<usize> {
    const KINDS: &[(&[&str], usize, bool)] = &[
        (&["FOR", "UPDATE"], 1, false),
        (&["FOR", "NO", "KEY", "UPDATE"], 3, true),
        (&["FOR", "SHARE"], 1, false),
        (&["FOR", "KEY", "SHARE"], 2, true),
    ];
    if starts(tokens, &["FOR", "READ", "ONLY"]) {
        return Some(3);
    }
    let (words, kind, weak) = KINDS.iter().find(|(words, ..)| starts(tokens, words))?;
    let (first, kind) = (&tokens[0], &tokens[*kind]);
    let mut length = words.len();
    let mut tables = Vec::new();
    let mut of = None;
    if let Some(word) = tokens.get(length).filter(|token| is_word(token, "OF")) {
        of = Some(word);
        loop {
            length += 1;
            let name = name_length(&tokens[length..]);
            tables.push(&tokens[length..length + name]);
            length += name;
            if tokens.get(length).is_none_or(|token| token.token != Token::Comma) {
                break;
            }
        }
    }
    let rest = &tokens[length..];
    let wait = match () {
        () if starts(rest, &["NOWAIT"]) => 1,
        () if starts(rest, &["SKIP", "LOCKED"]) => 2,
        () => 0,
    };
    if of.is_none() {
        tables.push(&[]);
    }
    for table in tables {
        clauses.extend([first.clone(), kind.clone()]);
        let span = table.first().map_or(first.span, |name| name.span);
        let made = |token| TokenWithSpan { token, span };
        if *weak || of.is_some() {
            clauses.push(of.cloned().unwrap_or_else(|| made(Token::make_keyword("OF"))));
        }
        if *weak {
            clauses.push(made(Token::make_word(WEAK, Some('"'))));
            clauses.extend((!table.is_empty()).then(|| made(Token::Period)));
        }
        clauses.extend_from_slice(table);
        clauses.extend_from_slice(&rest[..wait]);
    }
    Some(length + wait)
}

/// How many tokens a dotted name at the front has; what is no name is left for the parser to complain about.
fn name_length(tokens: &[TokenWithSpan]) -> usize {
    let mut length = 0;
    while tokens.get(length).is_some_and(|token| matches!(token.token, Token::Word(_))) {
        length += 1;
        if tokens.get(length).is_none_or(|token| token.token != Token::Period) {
            break;
        }
        length += 1;
    }
    length
}

/// Up to the parenthesis that closes the query, or to the end.
fn end_of_query(tokens: &[TokenWithSpan]) -> usize {
    let mut depth = 0usize;
    let closes = |token: &TokenWithSpan| match token.token {
        Token::LParen => {
            depth += 1;
            false
        }
        Token::RParen if depth == 0 => true,
        Token::RParen => {
            depth -= 1;
            false
        }
        _ => false,
    };
    tokens.iter().position(closes).unwrap_or(tokens.len())
}
