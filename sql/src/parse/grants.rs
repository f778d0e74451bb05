//! GRANT and REVOKE, default privileges and owners.

use auth::privilege::{Object, Privileges};
use sqlparser::{keywords::Keyword, parser::Parser, tokenizer::Token};

use super::roles::{
    Objects, Parse, PrivilegeStatement, RoleStatement, expect, identifier, list, role_name, skip, word, words,
};

pub(super) fn grant(parser: &mut Parser<'_>, revoke: bool) -> Parse<RoleStatement> {
    skip(parser, 1);
    let admin_only = revoke && words(parser, &["ADMIN", "OPTION", "FOR"]);
    if admin_only || !names_privilege(parser) {
        let roles = list(parser, role_name)?;
        expect(parser, if revoke { "FROM" } else { "TO" })?;
        let members = list(parser, role_name)?;
        let mut admin = admin_only;
        if words(parser, &["WITH", "ADMIN"]) {
            admin = word(parser, "OPTION") || word(parser, "TRUE");
        }
        if words(parser, &["GRANTED", "BY"]) {
            role_name(parser)?;
        }
        let _ = word(parser, "CASCADE") || word(parser, "RESTRICT");
        return Ok(RoleStatement::Grant { revoke, roles, members, admin });
    }
    Ok(RoleStatement::Privileges(privileges(parser, revoke, false)?))
}

/// Whether what comes next are privileges on something (`… ON …`) and not roles.
fn names_privilege(parser: &Parser<'_>) -> bool {
    for position in 0.. {
        match &parser.peek_nth_token(position).token {
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::ON => return true,
                Keyword::TO | Keyword::FROM => return false,
                _ => {}
            },
            Token::EOF => return false,
            _ => {}
        }
    }
    false
}

fn privileges(parser: &mut Parser<'_>, revoke: bool, defaults: bool) -> Parse<PrivilegeStatement> {
    let mut option = revoke && words(parser, &["GRANT", "OPTION", "FOR"]);
    let mut all_columns = Vec::new();
    let privileges = if word(parser, "ALL") {
        word(parser, "PRIVILEGES");
        all_columns = columns(parser)?;
        None
    } else {
        Some(list(parser, |parser| {
            let token = parser.next_token();
            match Privileges::by_name(&token.token.to_string()) {
                Some(privilege) => Ok((privilege, columns(parser)?)),
                // SET, ALTER SYSTEM: about what there is not.
                None => parser.expected("a privilege", token),
            }
        })?)
    };
    expect(parser, "ON")?;
    let objects = if defaults { kind(parser)? } else { objects(parser)? };
    expect(parser, if revoke { "FROM" } else { "TO" })?;
    let grantees = list(parser, role_name)?;
    option |= !revoke && words(parser, &["WITH", "GRANT", "OPTION"]);
    if words(parser, &["GRANTED", "BY"]) {
        role_name(parser)?;
    }
    let cascade = word(parser, "CASCADE");
    let _ = !cascade && word(parser, "RESTRICT");
    Ok(PrivilegeStatement { revoke, privileges, all_columns, objects, grantees, option, cascade })
}

fn columns(parser: &mut Parser<'_>) -> Parse<Vec<String>> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let columns = list(parser, identifier)?;
    parser.expect_token(&Token::RParen)?;
    Ok(columns)
}

fn objects(parser: &mut Parser<'_>) -> Parse<Objects> {
    for (plural, object) in [("TABLES", Object::Table), ("SEQUENCES", Object::Sequence)] {
        if words(parser, &["ALL", plural, "IN", "SCHEMA"]) {
            return Ok(Objects::AllInSchemas(object, list(parser, identifier)?));
        }
    }
    for plural in ["FUNCTIONS", "PROCEDURES", "ROUTINES"] {
        if words(parser, &["ALL", plural, "IN", "SCHEMA"]) {
            list(parser, identifier)?;
            return Ok(Objects::Others);
        }
    }
    if word(parser, "SCHEMA") {
        return Ok(Objects::Schemas(list(parser, identifier)?));
    }
    if word(parser, "DATABASE") {
        return Ok(Objects::Databases(list(parser, identifier)?));
    }
    if word(parser, "SEQUENCE") {
        return Ok(Objects::Relations(Object::Sequence, list(parser, |parser| parser.parse_object_name(false))?));
    }
    if ["FUNCTION", "PROCEDURE", "ROUTINE", "TYPE", "DOMAIN", "LANGUAGE"].iter().any(|kind| word(parser, kind)) {
        while !matches!(&parser.peek_token().token, Token::EOF)
            && !matches!(&parser.peek_token().token, Token::Word(word) if matches!(word.keyword, Keyword::TO | Keyword::FROM))
        {
            parser.next_token();
        }
        return Ok(Objects::Others);
    }
    word(parser, "TABLE");
    Ok(Objects::Relations(Object::Table, list(parser, |parser| parser.parse_object_name(false))?))
}

/// What default privileges are about.
fn kind(parser: &mut Parser<'_>) -> Parse<Objects> {
    let token = parser.next_token();
    Ok(match token.token.to_string().to_ascii_uppercase().as_str() {
        "TABLES" => Objects::Kind(Object::Table),
        "SEQUENCES" => Objects::Kind(Object::Sequence),
        "SCHEMAS" => Objects::Kind(Object::Schema),
        "FUNCTIONS" | "ROUTINES" | "TYPES" => Objects::Others,
        _ => return parser.expected("TABLES, SEQUENCES or SCHEMAS", token),
    })
}

pub(super) fn defaults(parser: &mut Parser<'_>) -> Parse<RoleStatement> {
    skip(parser, 3);
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if words(parser, &["FOR", "ROLE"]) || words(parser, &["FOR", "USER"]) {
            roles = list(parser, role_name)?;
        } else if words(parser, &["IN", "SCHEMA"]) {
            schemas = list(parser, identifier)?;
        } else {
            break;
        }
    }
    let revoke = word(parser, "REVOKE");
    if !revoke {
        expect(parser, "GRANT")?;
    }
    Ok(RoleStatement::Defaults { roles, schemas, statement: privileges(parser, revoke, true)? })
}

/// `ALTER SCHEMA|DATABASE|VIEW name OWNER TO role`; other changes of them are left to others.
pub(super) fn owner(parser: &mut Parser<'_>) -> Option<Parse<RoleStatement>> {
    let word_at = |at: usize| parser.peek_nth_token(at).token.to_string().to_uppercase();
    let kind = word_at(1);
    // A view's name may be qualified.
    let end = if word_at(3) == "." { 5 } else { 3 };
    if word_at(end) != "OWNER" || word_at(end + 1) != "TO" {
        return None;
    }
    Some((|| {
        skip(parser, 2);
        let object = match kind.as_str() {
            "SCHEMA" => Objects::Schemas(vec![identifier(parser)?]),
            "DATABASE" => Objects::Databases(vec![identifier(parser)?]),
            _ => Objects::Relations(Object::Table, vec![parser.parse_object_name(false)?]),
        };
        expect(parser, "OWNER")?;
        expect(parser, "TO")?;
        Ok(RoleStatement::Owner { object, to: role_name(parser)? })
    })())
}

pub(super) fn reassign(parser: &mut Parser<'_>) -> Parse<RoleStatement> {
    skip(parser, 2);
    expect(parser, "BY")?;
    let from = list(parser, role_name)?;
    expect(parser, "TO")?;
    Ok(RoleStatement::ReassignOwned { from, to: role_name(parser)? })
}

pub(super) fn drop_owned(parser: &mut Parser<'_>) -> Parse<RoleStatement> {
    skip(parser, 2);
    expect(parser, "BY")?;
    let roles = list(parser, role_name)?;
    let _ = word(parser, "CASCADE") || word(parser, "RESTRICT");
    Ok(RoleStatement::DropOwned { roles })
}
