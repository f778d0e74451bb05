//! Rewrites on the token level for statements that the parser cannot read but whose meaning it has another form for.
//!
//! | PostgreSQL | parsed as |
//! |---|---|
//! | locking clauses | see [`locking`] |
//! | `ON CONFLICT (a) WHERE p DO` | `ON CONFLICT (a) DO` (there are no partial indexes that `p` could choose) |
//! | `DROP INDEX CONCURRENTLY` | `DROP INDEX` |
//! | `OVERRIDING USER VALUE` / `SYSTEM VALUE` | nothing |
//! | `VACUUM (…) ANALYZE t` | `VACUUM t` (there is nothing to vacuum) |
//! | `COPY … (FREEZE ON, HEADER OFF)` | `COPY … (FREEZE TRUE, HEADER FALSE)` |

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::locking;

pub(super) fn rescue(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut output: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    if let Some((vacuum, options)) = rest.split_first()
        && is_word(vacuum, "VACUUM")
    {
        output.push(vacuum.clone());
        rest = after_options(options);
    }
    while let Some((token, tail)) = rest.split_first() {
        if let Some(length) = locking::rewrite(rest, &mut output) {
            rest = &rest[length..];
        } else if starts(rest, &["OVERRIDING", "USER", "VALUE"]) || starts(rest, &["OVERRIDING", "SYSTEM", "VALUE"]) {
            rest = &rest[3..];
        } else if output.len() == 2 && starts(&output, &["DROP", "INDEX"]) && is_word(token, "CONCURRENTLY") {
            rest = tail;
        } else if let Some(switch) = copy_switch(&output, token) {
            output.push(switch);
            rest = tail;
        } else if let Some(length) = conflict_predicate(&output, rest) {
            rest = &rest[length..];
        } else {
            output.push(token.clone());
            rest = tail;
        }
    }
    output
}

/// What follows the options of VACUUM, in parentheses or as words.
fn after_options(mut rest: &[TokenWithSpan]) -> &[TokenWithSpan] {
    if rest.first().is_some_and(|token| token.token == Token::LParen) {
        let end = rest.iter().position(|token| token.token == Token::RParen);
        rest = end.map_or(rest, |end| &rest[end + 1..]);
    }
    let option =
        |token: &TokenWithSpan| ["FULL", "FREEZE", "VERBOSE", "ANALYZE"].iter().any(|word| is_word(token, word));
    while rest.first().is_some_and(option) {
        rest = &rest[1..];
    }
    rest
}

/// Whether this is `ALTER TABLE|INDEX name SPLIT AT …`; true for an index.
pub(super) fn is_split_at(tokens: &[TokenWithSpan]) -> Option<bool> {
    let is_index = starts(tokens, &["ALTER", "INDEX"]);
    if !is_index && !starts(tokens, &["ALTER", "TABLE"]) {
        return None;
    }
    let mut rest = tokens.get(3..)?;
    while matches!(rest.first()?.token, Token::Period) {
        rest = rest.get(2..)?;
    }
    starts(rest, &["SPLIT", "AT"]).then_some(is_index)
}

/// The `ON` or `OFF` of a switch of COPY as the parser knows it.
fn copy_switch(output: &[TokenWithSpan], token: &TokenWithSpan) -> Option<TokenWithSpan> {
    let option = output.last()?;
    if !starts(output, &["COPY"]) || !(is_word(option, "FREEZE") || is_word(option, "HEADER")) {
        return None;
    }
    let words = [("ON", "TRUE"), ("OFF", "FALSE")];
    let (_, word) = words.iter().find(|(word, _)| is_word(token, word))?;
    Some(TokenWithSpan { token: Token::make_keyword(word), span: token.span })
}

/// `rest` is `WHERE … DO` after `ON CONFLICT (…)`: how many tokens to leave out.
fn conflict_predicate(output: &[TokenWithSpan], rest: &[TokenWithSpan]) -> Option<usize> {
    if !is_word(rest.first()?, "WHERE") || output.last()?.token != Token::RParen {
        return None;
    }
    let mut depth = 0usize;
    let open = output.iter().rposition(|token| {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })?;
    if open < 2 || !starts(&output[open - 2..], &["ON", "CONFLICT"]) {
        return None;
    }
    rest.windows(2)
        .position(|pair| is_word(&pair[0], "DO") && (is_word(&pair[1], "NOTHING") || is_word(&pair[1], "UPDATE")))
}

pub(super) fn starts(tokens: &[TokenWithSpan], words: &[&str]) -> bool {
    tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| is_word(token, word))
}

pub(super) fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. }) if value.eq_ignore_ascii_case(expected))
}
