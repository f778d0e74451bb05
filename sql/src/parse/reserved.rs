//! Words that PostgreSQL reserves and the parser does not (appendix C of its manual): it would take `select 1 from where` for
//! a table called `where`.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{self, Visit, Visitor},
    tokenizer::{Location, Token, TokenWithSpan, Word},
};

/// Not usable as the name of a table without quotes: "reserved", and "reserved (can be function or type)".
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "binary", "both", "case",
    "cast", "check", "collate", "collation", "column", "concurrently", "constraint", "create", "cross", "default",
    "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for", "foreign", "freeze", "from",
    "full", "grant", "group", "having", "ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join",
    "lateral", "leading", "left", "like", "limit", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order",
    "outer", "overlaps", "placing", "primary", "references", "returning", "right", "select", "similar", "some", "symmetric",
    "table", "tablesample", "then", "to", "trailing", "true", "union", "unique", "using", "variadic", "verbose", "when",
    "where", "window", "with",
];

/// May follow FROM though reserved: it begins an item of FROM, or FROM stands in an expression (`substring(a from not b)`).
const AFTER_FROM: &[&str] = &["lateral", "only", "not", "null", "true", "false", "case", "cast", "array"];

/// Not usable as the name of an output column without AS.
#[rustfmt::skip]
const NEEDS_AS: &[&str] = &[
    "array", "as", "char", "character", "create", "day", "except", "fetch", "filter", "for", "from", "grant", "group",
    "having", "hour", "intersect", "into", "isnull", "limit", "minute", "month", "notnull", "offset", "on", "order", "over",
    "overlaps", "precision", "returning", "second", "to", "union", "varying", "where", "window", "with", "within", "without",
    "year",
];

/// The first reserved word that stands where a table of FROM is expected.
pub(super) fn after_from(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    let label = |token: &TokenWithSpan| token.token == Token::Period || is_one_of(token, &["as"]);
    tokens.windows(2).enumerate().find_map(|(at, pair)| {
        let [from, next] = pair else { return None };
        let is_label = at > 0 && label(&tokens[at - 1]);
        let expects_table = is_one_of(from, &["from", "join"]) && !is_label;
        (expects_table && is_one_of(next, RESERVED) && !is_one_of(next, AFTER_FROM)).then_some(next)
    })
}

/// The first reserved word that the parser took for the name of a table, or of an output column without AS.
pub(super) fn taken_for_name<'t>(statement: &ast::Statement, tokens: &'t [TokenWithSpan]) -> Option<&'t TokenWithSpan> {
    let mut names = Names { tokens, names_new: true };
    // The visitor leaves the name of a new table out.
    let new = match statement {
        ast::Statement::CreateTable(create) => names.pre_visit_relation(&create.name),
        _ => ControlFlow::Continue(()),
    };
    names.names_new = false;
    new.break_value().or_else(|| statement.visit(&mut names).break_value())
}

struct Names<'t> {
    tokens: &'t [TokenWithSpan],
    /// In front of a parenthesis a word may be the name of a function; the name of a new table is none.
    names_new: bool,
}

impl<'t> Names<'t> {
    fn at(&self, place: Location) -> Option<usize> {
        self.tokens.iter().position(|token| token.span.start == place)
    }
}

impl<'t> Visitor for Names<'t> {
    type Break = &'t TokenWithSpan;

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<Self::Break> {
        // After a period every word is a name.
        let Some(ast::ObjectNamePart::Identifier(first)) = relation.0.first() else { return ControlFlow::Continue(()) };
        if is_plain(first, RESERVED)
            && let Some(at) = self.at(first.span.start)
            && (self.names_new || self.tokens.get(at + 1).is_none_or(|next| next.token != Token::LParen))
        {
            return ControlFlow::Break(&self.tokens[at]);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<Self::Break> {
        for item in &select.projection {
            if let ast::SelectItem::ExprWithAlias { alias, .. } = item
                && is_plain(alias, NEEDS_AS)
                && let Some(at) = self.at(alias.span.start)
                && at > 0
                && !is_one_of(&self.tokens[at - 1], &["as"])
            {
                return ControlFlow::Break(&self.tokens[at]);
            }
        }
        ControlFlow::Continue(())
    }
}

fn is_plain(ident: &ast::Ident, words: &[&str]) -> bool {
    ident.quote_style.is_none() && words.iter().any(|word| ident.value.eq_ignore_ascii_case(word))
}

fn is_one_of(token: &TokenWithSpan, words: &[&str]) -> bool {
    matches!(&token.token, Token::Word(Word { value, quote_style: None, .. })
        if words.iter().any(|word| value.eq_ignore_ascii_case(word)))
}
