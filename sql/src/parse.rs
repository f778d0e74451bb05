//! From text to syntax trees: `sqlparser` with the PostgreSQL dialect. What it cannot read but we can run is rewritten on
//! the token level first ([`rescue`]); what it rejects is reported the way PostgreSQL does.

mod grants;
mod locking;
mod own;
mod rescue;
mod reserved;
pub mod roles;
mod transaction;

use std::sync::Arc;

pub(crate) use locking::{strength, strength_marker};
pub use own::{AlterSequence, OwnStatement};
pub use transaction::{Level, Mode, TransactionStatement};

use sqlparser::{
    ast,
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace},
};

use crate::{
    error::{Result, SqlError, SqlState},
    settings::ONE_TIME_CODE,
};

/// Nesting of expressions and subqueries. PostgreSQL has a stack limit instead (54001).
const DEPTH_MAX: usize = 90;

/// One statement of a text.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub body: Body,
    /// The statement's own text, without the semicolon.
    pub text: Arc<str>,
    /// The whole text that it came in; positions of errors count from its start.
    pub source: Arc<str>,
    /// `AS OF SYSTEM TIME`: when a query of the past is about.
    pub as_of: Option<Box<ast::Expr>>,
}

#[derive(Clone, Debug)]
pub enum Body {
    Empty,
    Sql(Box<ast::Statement>),
    /// A statement that the parser does not know.
    Own(Box<OwnStatement>),
    /// `ALTER TABLE name SPLIT AT VALUES (…), …` (and `ALTER INDEX`): ours.
    SplitAt {
        relation: ast::ObjectName,
        is_index: bool,
        rows: Vec<Vec<ast::Expr>>,
    },
}

impl Body {
    /// Whether the statement's text holds a password or a code.
    pub(crate) fn is_secret(&self) -> bool {
        self.hidden().is_some()
    }

    /// What is shown of such a statement.
    fn hidden(&self) -> Option<&'static str> {
        match self {
            Body::Own(own) if own.is_secret() => Some(own.tag()),
            Body::Sql(syntax) => match &**syntax {
                // It is refused, but its code may still be good.
                ast::Statement::Set(ast::Set::SingleAssignment { variable, .. })
                    if variable.to_string().eq_ignore_ascii_case(ONE_TIME_CODE) =>
                {
                    Some("SET")
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The columns that a statement of ours returns, all of them text; `None`: no rows.
    pub(crate) fn own_columns(&self) -> Option<&'static [&'static str]> {
        match self {
            Body::Own(own) => own.columns(),
            _ => None,
        }
    }
}

/// Splits a text into statements and parses each. Empty statements between semicolons are left out; a text without any
/// statement gives one `Body::Empty`.
pub fn parse(text: &str) -> Result<Vec<Parsed>> {
    let source: Arc<str> = text.into();
    let tokens = tokenize(text)?;
    let mut statements = Vec::new();
    for piece in tokens.split(|token| token.token == Token::SemiColon) {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
        let start = byte_offset(text, first.span.start);
        let end = byte_offset(text, last.span.end).max(start);
        let (body, as_of) = parse_one(text, piece, &tokens)?;
        let shown = match body.hidden() {
            // A password must not show up in lists of sessions and statements.
            Some(tag) => format!("{tag} <hidden>").into(),
            None => text[start..end].into(),
        };
        statements.push(Parsed { body, text: shown, source: source.clone(), as_of });
    }
    if statements.is_empty() {
        statements.push(Parsed { body: Body::Empty, text: "".into(), source, as_of: None });
    }
    Ok(statements)
}

/// Parses a text that must be one scalar expression (defaults and checks, kept as text in descriptors).
pub fn parse_expression(text: &str) -> Result<ast::Expr> {
    let tokens = tokenize(text)?;
    let mut parser = parser(rescue::rescue(tokens.clone()));
    let expression = parser.parse_expr().map_err(|error| syntax_error(text, &tokens, error))?;
    match parser.peek_token() {
        TokenWithSpan { token: Token::EOF, .. } => Ok(expression),
        token => Err(near(text, &token)),
    }
}

/// Character position, from 1, of a place in a text; `None` when the parser did not record one.
pub fn position(source: &str, location: Location) -> Option<u32> {
    if location.line == 0 {
        return None;
    }
    let mut position = 0;
    let mut line = 1;
    for character in source.chars() {
        if line == location.line {
            break;
        }
        position += 1;
        if character == '\n' {
            line += 1;
        }
    }
    u32::try_from(position + location.column).ok()
}

fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(|error| {
        let position = position(text, error.location);
        let rest: String = text.chars().skip(position.unwrap_or(1).saturating_sub(1) as usize).collect();
        let message = if error.message.contains("Unterminated string") {
            format!("unterminated quoted string at or near \"{rest}\"")
        } else if error.message.contains("multi-line comment") {
            format!("unterminated /* comment at or near \"{rest}\"")
        } else if error.message.contains("close delimiter") {
            format!("unterminated quoted identifier at or near \"{rest}\"")
        } else if error.message.contains("dollar") {
            format!("unterminated dollar-quoted string at or near \"{rest}\"")
        } else {
            let word: String = rest.chars().take_while(|character| !character.is_whitespace()).collect();
            format!("syntax error at or near \"{word}\"")
        };
        SqlError::new(SqlState::SYNTAX_ERROR, message).at(position)
    })?;
    Ok(tokens
        .into_iter()
        .filter(|token| match &token.token {
            Token::EOF => false,
            // Optimizer hints (`/*+ … */`) mean nothing here either.
            Token::Whitespace(Whitespace::Space | Whitespace::Newline | Whitespace::Tab) => false,
            Token::Whitespace(_) => false,
            _ => true,
        })
        .collect())
}

fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&PostgreSqlDialect {}).with_recursion_limit(DEPTH_MAX).with_tokens_with_locations(tokens)
}

fn parse_one(text: &str, piece: &[TokenWithSpan], all: &[TokenWithSpan]) -> Result<(Body, Option<Box<ast::Expr>>)> {
    let fail = |error| syntax_error(text, all, error);
    if let Some(is_index) = rescue::is_split_at(piece) {
        return Ok((parse_split(piece, is_index).map_err(fail)?, None));
    }
    if let Some(token) = reserved::after_from(piece) {
        return Err(near(text, token));
    }
    let (tokens, as_of) = match transaction::take_as_of(piece).map_err(fail)? {
        Some((tokens, time)) => (tokens, Some(time)),
        None => (piece.to_vec(), None),
    };
    if let Some(token) = transaction::nested_as_of(&tokens) {
        return Err(near(text, token));
    }
    let mut parser = parser(rescue::rescue(tokens));
    let body = match own::read(&mut parser) {
        Some(read) => match read.map_err(fail)? {
            own::Read::Own(statement) => Body::Own(Box::new(statement)),
            own::Read::Sql(statement) => Body::Sql(Box::new(statement)),
        },
        None => Body::Sql(Box::new(parser.parse_statement().map_err(fail)?)),
    };
    match parser.peek_token() {
        TokenWithSpan { token: Token::EOF, .. } => {}
        token => return Err(near(text, &token)),
    }
    if let Body::Sql(statement) = &body
        && let Some(token) = reserved::taken_for_name(statement, piece)
    {
        return Err(near(text, token));
    }
    Ok((body, as_of))
}

fn parse_split(piece: &[TokenWithSpan], is_index: bool) -> std::result::Result<Body, ParserError> {
    let mut parser = parser(piece.to_vec());
    parser.next_token();
    parser.next_token();
    let relation = parser.parse_object_name(false)?;
    parser.next_token();
    parser.next_token();
    parser.expect_keyword(sqlparser::keywords::Keyword::VALUES)?;
    let values = parser.parse_values(false, true)?;
    match parser.peek_token() {
        TokenWithSpan { token: Token::EOF, .. } => {}
        token => return parser.expected("end of statement", token),
    }
    let rows = values.rows.into_iter().map(|row| row.content).collect();
    Ok(Body::SplitAt { relation, is_index, rows })
}

/// The parser's message ends with the place of the token it did not expect; PostgreSQL names that token.
fn syntax_error(text: &str, tokens: &[TokenWithSpan], error: ParserError) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .hint("The statement is nested too deeply.");
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    match error_location(&message) {
        Some(location) => match tokens.iter().find(|token| token.span.start == location) {
            Some(token) => near(text, token),
            None => SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(end_position(text)),
        },
        None if message.contains("found: EOF") => {
            SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(end_position(text))
        }
        None => SqlError::new(SqlState::SYNTAX_ERROR, "syntax error").detail(message),
    }
}

fn end_position(text: &str) -> Option<u32> {
    u32::try_from(text.trim_end().chars().count() + 1).ok()
}

fn error_location(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}

fn near(text: &str, token: &TokenWithSpan) -> SqlError {
    let start = byte_offset(text, token.span.start);
    let end = byte_offset(text, token.span.end).max(start);
    let word = match text.get(start..end) {
        Some(word) if !word.is_empty() => word.to_owned(),
        _ => token.token.to_string(),
    };
    SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""))
        .at(position(text, token.span.start))
}

fn byte_offset(text: &str, location: Location) -> usize {
    let characters = position(text, location).map_or(0, |position| position as usize - 1);
    text.char_indices().nth(characters).map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
#[path = "parse_test.rs"]
mod tests;
