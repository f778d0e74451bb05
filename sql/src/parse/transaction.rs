//! BEGIN, START TRANSACTION and SET TRANSACTION with all their modes, and `AS OF SYSTEM TIME`: the parser knows some of it.

use sqlparser::{
    ast,
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::{Token, TokenWithSpan},
};

use txn::Isolation;

use super::{
    own::{OwnStatement, Read},
    rescue::{is_word, starts},
};

/// A statement about the characteristics of transactions.
#[derive(Clone, Debug)]
pub enum TransactionStatement {
    /// `BEGIN`, or with `start` its standard spelling.
    Begin { start: bool, modes: Vec<Mode> },
    /// `SET TRANSACTION`: of the current one.
    Set(Vec<Mode>),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`: of those to come.
    SetDefaults(Vec<Mode>),
}

#[derive(Clone, Debug)]
pub enum Mode {
    /// `READ UNCOMMITTED` is `READ COMMITTED` under another name, which SHOW repeats.
    Isolation(Level),
    ReadOnly(bool),
    Deferrable(bool),
    /// Reads the past: `AS OF SYSTEM TIME expression`.
    AsOf(Box<ast::Expr>),
}

/// An isolation level as it is written and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Serializable,
    RepeatableRead,
    ReadCommitted,
    ReadUncommitted,
}

impl Level {
    pub const ALL: [Level; 4] =
        [Level::Serializable, Level::RepeatableRead, Level::ReadCommitted, Level::ReadUncommitted];

    pub fn name(self) -> &'static str {
        match self {
            Level::Serializable => "serializable",
            Level::RepeatableRead => "repeatable read",
            Level::ReadCommitted => "read committed",
            Level::ReadUncommitted => "read uncommitted",
        }
    }

    /// What it is kept by.
    pub fn isolation(self) -> Isolation {
        match self {
            Level::Serializable => Isolation::Serializable,
            Level::RepeatableRead => Isolation::RepeatableRead,
            Level::ReadCommitted | Level::ReadUncommitted => Isolation::ReadCommitted,
        }
    }

    pub fn parse(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

/// Reads the statement if it is one of these; the parser is left behind it.
pub(super) fn read(parser: &mut Parser<'_>) -> Option<Result<Read, ParserError>> {
    let words: Vec<String> = (0..5).map(|at| parser.peek_nth_token(at).token.to_string().to_uppercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (skip, make): (usize, fn(Vec<Mode>) -> TransactionStatement) = match words[..] {
        ["BEGIN", "WORK" | "TRANSACTION", ..] => (2, |modes| TransactionStatement::Begin { start: false, modes }),
        ["BEGIN", ..] => (1, |modes| TransactionStatement::Begin { start: false, modes }),
        ["START", "TRANSACTION", ..] => (2, |modes| TransactionStatement::Begin { start: true, modes }),
        ["SET", "TRANSACTION", "SNAPSHOT", ..] => return None,
        ["SET", "TRANSACTION", ..] => (2, TransactionStatement::Set),
        ["SET", "LOCAL" | "SESSION", "TRANSACTION", ..] => (3, TransactionStatement::Set),
        ["SET", "SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"] => (5, TransactionStatement::SetDefaults),
        _ => return None,
    };
    (0..skip).for_each(|_| drop(parser.next_token()));
    let required = words[0] == "SET";
    let read = modes(parser, required).map(|modes| Read::Own(OwnStatement::Transaction(make(modes))));
    Some(read)
}

/// Modes with or without commas between them.
fn modes(parser: &mut Parser<'_>, required: bool) -> Result<Vec<Mode>, ParserError> {
    let mut modes = Vec::new();
    while required && modes.is_empty() || parser.peek_token_ref().token != Token::EOF {
        if !modes.is_empty() {
            // The comma may be left out.
            let _ = parser.consume_token(&Token::Comma);
        }
        modes.push(mode(parser)?);
    }
    Ok(modes)
}

fn mode(parser: &mut Parser<'_>) -> Result<Mode, ParserError> {
    let word = |parser: &mut Parser<'_>, choices: &[&str]| -> Result<usize, ParserError> {
        let token = parser.next_token();
        match choices.iter().position(|choice| is_word(&token, choice)) {
            Some(choice) => Ok(choice),
            None => parser.expected("a transaction mode", token),
        }
    };
    Ok(match word(parser, &["ISOLATION", "READ", "DEFERRABLE", "NOT", "AS"])? {
        0 => {
            word(parser, &["LEVEL"])?;
            Mode::Isolation(match word(parser, &["SERIALIZABLE", "REPEATABLE", "READ"])? {
                0 => Level::Serializable,
                1 => {
                    word(parser, &["READ"])?;
                    Level::RepeatableRead
                }
                _ => [Level::ReadCommitted, Level::ReadUncommitted][word(parser, &["COMMITTED", "UNCOMMITTED"])?],
            })
        }
        1 => Mode::ReadOnly(word(parser, &["ONLY", "WRITE"])? == 0),
        2 => Mode::Deferrable(true),
        3 => {
            word(parser, &["DEFERRABLE"])?;
            Mode::Deferrable(false)
        }
        _ => {
            for expected in ["OF", "SYSTEM", "TIME"] {
                word(parser, &[expected])?;
            }
            Mode::AsOf(Box::new(parser.parse_expr()?))
        }
    })
}

/// The first `AS OF SYSTEM TIME` that stands where it cannot: within a query. All of a statement reads at one time.
pub(super) fn nested_as_of(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    if tokens.first().is_some_and(|first| ["BEGIN", "START", "SET"].iter().any(|word| is_word(first, word))) {
        return None;
    }
    let found = (0..tokens.len()).find(|at| starts(&tokens[*at..], &["AS", "OF", "SYSTEM", "TIME"]));
    found.map(|at| &tokens[at])
}

/// Takes `AS OF SYSTEM TIME expression` out of a query, where it may stand at the end of FROM or of the whole.
pub(super) fn take_as_of(
    tokens: &[TokenWithSpan],
) -> Result<Option<(Vec<TokenWithSpan>, Box<ast::Expr>)>, ParserError> {
    let query = ["SELECT", "WITH", "TABLE", "VALUES", "EXPLAIN"];
    if !tokens.first().is_some_and(|first| query.iter().any(|word| is_word(first, word))) {
        return Ok(None);
    }
    let mut depth = 0i32;
    let found = tokens.iter().enumerate().position(|(at, token)| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0 && starts(&tokens[at..], &["AS", "OF", "SYSTEM", "TIME"])
    });
    let Some(start) = found else { return Ok(None) };
    let expression = start + 4;
    let rest = tokens[expression..].to_vec();
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(rest);
    let time = parser.parse_expr()?;
    let mut left = tokens[..start].to_vec();
    left.extend_from_slice(&tokens[expression + parser.index()..]);
    Ok(Some((left, Box::new(time))))
}
