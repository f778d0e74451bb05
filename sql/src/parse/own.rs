//! Statements that the parser does not know, or not in every order of their clauses: maintenance commands, sequences, ranges,
//! the modes of transactions.

use sqlparser::{
    ast::{self, SequenceOptions},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::Token,
};

use super::roles::{self, RoleStatement};
use super::transaction::{self, TransactionStatement};

/// A statement with a tree of our own.
#[derive(Clone, Debug)]
pub enum OwnStatement {
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT: there is nothing to do, but the tables must exist.
    Maintenance {
        tag: &'static str,
        relations: Vec<ast::ObjectName>,
    },
    AlterSequence(AlterSequence),
    /// `ALTER RANGE id TRANSFER LEADER TO node`: ours. The numbers are those of `locus.ranges` and `locus.nodes`.
    TransferLeader {
        range: u64,
        node: u64,
    },
    Transaction(TransactionStatement),
    /// Roles, privileges, tickets, rules.
    Role(Box<RoleStatement>),
}

impl OwnStatement {
    pub fn tag(&self) -> &'static str {
        match self {
            OwnStatement::Maintenance { tag, .. } => tag,
            OwnStatement::AlterSequence(_) => "ALTER SEQUENCE",
            OwnStatement::TransferLeader { .. } => "ALTER RANGE",
            OwnStatement::Transaction(_) => "SET TRANSACTION",
            OwnStatement::Role(statement) => statement.tag(),
        }
    }

    /// The columns that it returns, all of them text; `None`: no rows.
    pub fn columns(&self) -> Option<&'static [&'static str]> {
        match self {
            OwnStatement::Role(statement) => statement.columns(),
            _ => None,
        }
    }

    /// Whether its text must not be shown or kept.
    pub fn is_secret(&self) -> bool {
        matches!(self, OwnStatement::Role(statement) if statement.is_secret())
    }
}

#[derive(Clone, Debug)]
pub struct AlterSequence {
    pub name: ast::ObjectName,
    pub if_exists: bool,
    pub options: Vec<SequenceOptions>,
    pub data_type: Option<ast::DataType>,
    /// RESTART, with the value if one is given.
    pub restart: Option<Option<ast::Expr>>,
    /// `OWNED BY`; `None` within: NONE.
    pub owned_by: Option<Option<ast::ObjectName>>,
    pub rename_to: Option<ast::Ident>,
    pub owner_to: Option<ast::Ident>,
}

/// What was read.
pub(super) enum Read {
    Own(OwnStatement),
    Sql(ast::Statement),
}

/// Reads the statement if it is one of these; the parser is left behind it.
pub(super) fn read(parser: &mut Parser<'_>) -> Option<Result<Read, ParserError>> {
    let words: Vec<String> = (0..2).map(|at| parser.peek_nth_token(at).token.to_string().to_uppercase()).collect();
    match (words[0].as_str(), words[1].as_str()) {
        ("VACUUM", _) => Some(maintenance(parser, "VACUUM")),
        ("ANALYZE" | "ANALYSE", _) => Some(maintenance(parser, "ANALYZE")),
        ("CHECKPOINT", _) => Some(maintenance(parser, "CHECKPOINT")),
        ("CLUSTER", _) => Some(maintenance(parser, "CLUSTER")),
        ("REINDEX", "TABLE" | "(") => Some(maintenance(parser, "REINDEX")),
        ("CREATE", "SEQUENCE") => Some(create_sequence(parser)),
        ("ALTER", "SEQUENCE") => Some(alter_sequence(parser)),
        ("ALTER", "RANGE") => Some(transfer_leader(parser)),
        _ => transaction::read(parser).or_else(|| roles::read(parser)),
    }
}

fn maintenance(parser: &mut Parser<'_>, tag: &'static str) -> Result<Read, ParserError> {
    parser.next_token();
    loop {
        let word = parser.peek_token().token.to_string().to_uppercase();
        let option = ["FULL", "FREEZE", "VERBOSE", "ANALYZE", "ANALYSE", "TABLE", "CONCURRENTLY"];
        if option.contains(&word.as_str()) {
            parser.next_token();
        } else if parser.peek_token().token == Token::LParen {
            skip_parentheses(parser)?;
        } else {
            break;
        }
    }
    let mut relations = Vec::new();
    while parser.peek_token().token != Token::EOF {
        relations.push(parser.parse_object_name(false)?);
        if parser.peek_token().token == Token::LParen {
            skip_parentheses(parser)?;
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    Ok(Read::Own(OwnStatement::Maintenance { tag, relations }))
}

fn transfer_leader(parser: &mut Parser<'_>) -> Result<Read, ParserError> {
    parser.next_token();
    parser.next_token();
    let range = parser.parse_literal_uint()?;
    for word in ["TRANSFER", "LEADER", "TO"] {
        let token = parser.next_token();
        if !token.token.to_string().eq_ignore_ascii_case(word) {
            return parser.expected(word, token);
        }
    }
    let node = parser.parse_literal_uint()?;
    Ok(Read::Own(OwnStatement::TransferLeader { range, node }))
}

fn skip_parentheses(parser: &mut Parser<'_>) -> Result<(), ParserError> {
    let mut depth = 0;
    loop {
        match parser.next_token().token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::EOF => return parser.expected("a closing parenthesis", parser.peek_token()),
            _ => {}
        }
        if depth == 0 {
            return Ok(());
        }
    }
}

/// The options that CREATE and ALTER SEQUENCE share, in any order.
#[derive(Default)]
struct Options {
    options: Vec<SequenceOptions>,
    data_type: Option<ast::DataType>,
    owned_by: Option<Option<ast::ObjectName>>,
    restart: Option<Option<ast::Expr>>,
}

impl Options {
    /// Reads one option; false when there is none.
    fn read(&mut self, parser: &mut Parser<'_>) -> Result<bool, ParserError> {
        if parser.parse_keyword(Keyword::INCREMENT) {
            let by = parser.parse_keyword(Keyword::BY);
            self.options.push(SequenceOptions::IncrementBy(parser.parse_number()?, by));
        } else if parser.parse_keyword(Keyword::MINVALUE) {
            self.options.push(SequenceOptions::MinValue(Some(parser.parse_number()?)));
        } else if parser.parse_keyword(Keyword::MAXVALUE) {
            self.options.push(SequenceOptions::MaxValue(Some(parser.parse_number()?)));
        } else if parser.parse_keyword(Keyword::START) {
            let with = parser.parse_keyword(Keyword::WITH);
            self.options.push(SequenceOptions::StartWith(parser.parse_number()?, with));
        } else if parser.parse_keyword(Keyword::CACHE) {
            self.options.push(SequenceOptions::Cache(parser.parse_number()?));
        } else if parser.parse_keyword(Keyword::CYCLE) {
            self.options.push(SequenceOptions::Cycle(false));
        } else if parser.parse_keywords(&[Keyword::NO, Keyword::CYCLE]) {
            self.options.push(SequenceOptions::Cycle(true));
        } else if parser.parse_keywords(&[Keyword::NO, Keyword::MINVALUE]) {
            self.options.push(SequenceOptions::MinValue(None));
        } else if parser.parse_keywords(&[Keyword::NO, Keyword::MAXVALUE]) {
            self.options.push(SequenceOptions::MaxValue(None));
        } else if parser.parse_keyword(Keyword::AS) {
            self.data_type = Some(parser.parse_data_type()?);
        } else if parser.parse_keywords(&[Keyword::OWNED, Keyword::BY]) {
            let none = parser.parse_keyword(Keyword::NONE);
            self.owned_by = Some(if none { None } else { Some(parser.parse_object_name(false)?) });
        } else if parser.parse_keyword(Keyword::RESTART) {
            let with = parser.parse_keyword(Keyword::WITH);
            let number = with || matches!(parser.peek_token().token, Token::Number(..) | Token::Minus);
            self.restart = Some(if number { Some(parser.parse_number()?) } else { None });
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn create_sequence(parser: &mut Parser<'_>) -> Result<Read, ParserError> {
    parser.next_token();
    parser.next_token();
    let if_not_exists = parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let mut options = Options::default();
    while options.read(parser)? {}
    Ok(Read::Sql(ast::Statement::CreateSequence {
        temporary: false,
        if_not_exists,
        name,
        data_type: options.data_type,
        sequence_options: options.options,
        owned_by: options.owned_by.flatten(),
    }))
}

fn alter_sequence(parser: &mut Parser<'_>) -> Result<Read, ParserError> {
    parser.next_token();
    parser.next_token();
    let if_exists = parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
    let name = parser.parse_object_name(false)?;
    let (mut rename_to, mut owner_to) = (None, None);
    let mut options = Options::default();
    if parser.parse_keywords(&[Keyword::RENAME, Keyword::TO]) {
        rename_to = Some(parser.parse_identifier()?);
    } else if parser.parse_keywords(&[Keyword::OWNER, Keyword::TO]) {
        owner_to = Some(parser.parse_identifier()?);
    } else {
        while options.read(parser)? {}
    }
    Ok(Read::Own(OwnStatement::AlterSequence(AlterSequence {
        name,
        if_exists,
        options: options.options,
        data_type: options.data_type,
        restart: options.restart,
        owned_by: options.owned_by,
        rename_to,
        owner_to,
    })))
}
