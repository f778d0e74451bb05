//! Statements about roles and privileges: CREATE, ALTER and DROP ROLE with their factors, GRANT, REVOKE, default privileges,
//! owners. With trees of our own: the parser's cover other systems' syntax and miss much of PostgreSQL's.

use auth::privilege::{Object, Privileges};
use sqlparser::{
    ast,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::Token,
};

use super::{
    grants,
    own::{OwnStatement, Read},
};

pub(super) type Parse<T> = Result<T, ParserError>;

/// A role as statements name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleName {
    Named(String),
    CurrentRole,
    SessionUser,
    Public,
}

/// What CREATE and ALTER ROLE say of a role; `None`: nothing.
#[derive(Clone, Debug, Default)]
pub struct RoleOptions {
    pub superuser: Option<bool>,
    pub create_role: Option<bool>,
    pub create_database: Option<bool>,
    pub inherit: Option<bool>,
    pub login: Option<bool>,
    pub replication: Option<bool>,
    pub bypass_row_security: Option<bool>,
    pub connection_limit: Option<i32>,
    /// `None` within: PASSWORD NULL.
    pub password: Option<Option<Secret>>,
    pub valid_until: Option<String>,
    /// Roles that the new one becomes a member of.
    pub in_roles: Vec<RoleName>,
    /// Roles that become members of the new one.
    pub members: Vec<RoleName>,
    pub admins: Vec<RoleName>,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What ALTER ROLE does to the factors of a role.
#[derive(Clone, Debug)]
pub enum FactorChange {
    EnableOtp,
    ConfirmOtp(Secret),
    DisableOtp,
    RequireOtp(bool),
    RecoveryCodes,
    AddKey(String),
    DropKey(String),
}

#[derive(Clone, Debug)]
pub enum RoleStatement {
    Create {
        name: RoleName,
        login: bool,
        options: RoleOptions,
    },
    Alter {
        name: RoleName,
        options: RoleOptions,
    },
    Factor {
        name: RoleName,
        change: FactorChange,
    },
    Rename {
        name: RoleName,
        to: String,
    },
    /// `None` as value: RESET; as name: RESET ALL.
    Set {
        name: RoleName,
        setting: Option<String>,
        value: Option<String>,
    },
    Drop {
        names: Vec<RoleName>,
        if_exists: bool,
    },
    Grant {
        revoke: bool,
        roles: Vec<RoleName>,
        members: Vec<RoleName>,
        admin: bool,
    },
    Privileges(PrivilegeStatement),
    Defaults {
        roles: Vec<RoleName>,
        schemas: Vec<String>,
        statement: PrivilegeStatement,
    },
    Owner {
        object: Objects,
        to: RoleName,
    },
    ReassignOwned {
        from: Vec<RoleName>,
        to: RoleName,
    },
    DropOwned {
        roles: Vec<RoleName>,
    },
    /// For the role of the session.
    CreateTicket,
    DropTicket(String),
    /// `None`: those of a cluster that nobody has given any.
    Rules(Option<String>),
    /// What the rules say of a sign-in.
    TestRules {
        role: RoleName,
        address: String,
        encrypted: bool,
        database: Option<String>,
    },
}

#[derive(Clone, Debug)]
pub struct PrivilegeStatement {
    pub revoke: bool,
    /// `None`: all. With the columns that they are limited to.
    pub privileges: Option<Vec<(Privileges, Vec<String>)>>,
    /// `ALL (columns)`
    pub all_columns: Vec<String>,
    pub objects: Objects,
    pub grantees: Vec<RoleName>,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    pub option: bool,
    pub cascade: bool,
}

#[derive(Clone, Debug)]
pub enum Objects {
    /// Tables, views, and sequences where they are not called so.
    Relations(Object, Vec<ast::ObjectName>),
    AllInSchemas(Object, Vec<String>),
    Schemas(Vec<String>),
    Databases(Vec<String>),
    /// Of default privileges: what will be made.
    Kind(Object),
    /// Functions, types, languages: every one is built in and open to everybody.
    Others,
}

impl RoleStatement {
    pub fn tag(&self) -> &'static str {
        match self {
            RoleStatement::Create { .. } => "CREATE ROLE",
            RoleStatement::Alter { .. }
            | RoleStatement::Factor { .. }
            | RoleStatement::Rename { .. }
            | RoleStatement::Set { .. } => "ALTER ROLE",
            RoleStatement::Drop { .. } => "DROP ROLE",
            RoleStatement::Grant { revoke: false, .. } => "GRANT ROLE",
            RoleStatement::Grant { .. } => "REVOKE ROLE",
            RoleStatement::Privileges(statement) if statement.revoke => "REVOKE",
            RoleStatement::Privileges(_) => "GRANT",
            RoleStatement::Defaults { .. } => "ALTER DEFAULT PRIVILEGES",
            RoleStatement::Owner { object: Objects::Schemas(_), .. } => "ALTER SCHEMA",
            RoleStatement::Owner { object: Objects::Relations(..), .. } => "ALTER VIEW",
            RoleStatement::Owner { .. } => "ALTER DATABASE",
            RoleStatement::ReassignOwned { .. } => "REASSIGN OWNED",
            RoleStatement::DropOwned { .. } => "DROP OWNED",
            RoleStatement::CreateTicket => "CREATE TICKET",
            RoleStatement::DropTicket(_) => "DROP TICKET",
            RoleStatement::Rules(_) => "ALTER SYSTEM",
            RoleStatement::TestRules { .. } => "EXPLAIN",
        }
    }

    /// The columns that it returns, all of them text; `None`: no rows.
    pub fn columns(&self) -> Option<&'static [&'static str]> {
        match self {
            RoleStatement::Factor { change: FactorChange::EnableOtp, .. } => Some(&["otpauth_uri"]),
            RoleStatement::Factor { change: FactorChange::ConfirmOtp(_) | FactorChange::RecoveryCodes, .. } => {
                Some(&["recovery_code"])
            }
            RoleStatement::CreateTicket => Some(&["ticket", "secret", "expires_at"]),
            RoleStatement::TestRules { .. } => Some(&["rule", "text", "method"]),
            _ => None,
        }
    }

    /// Whether its text must not be shown or kept.
    pub fn is_secret(&self) -> bool {
        match self {
            RoleStatement::Create { options, .. } | RoleStatement::Alter { options, .. } => options.password.is_some(),
            RoleStatement::Factor { change: FactorChange::ConfirmOtp(_), .. } => true,
            _ => false,
        }
    }
}

/// Reads the statement if it is one of these; the parser is left behind it.
pub(super) fn read(parser: &mut Parser<'_>) -> Option<Parse<Read>> {
    let words: Vec<String> = (0..3).map(|at| parser.peek_nth_token(at).token.to_string().to_uppercase()).collect();
    let role = matches!(words[1].as_str(), "ROLE" | "USER" | "GROUP");
    let statement = match (words[0].as_str(), words[1].as_str(), words[2].as_str()) {
        ("CREATE", _, next) if role && next != "MAPPING" => create(parser, words[1] == "USER"),
        ("ALTER", _, next) if role && next != "MAPPING" => alter(parser),
        ("DROP", _, next) if role && next != "MAPPING" => drop(parser),
        ("GRANT", ..) => grants::grant(parser, false),
        ("REVOKE", ..) => grants::grant(parser, true),
        ("ALTER", "DEFAULT", "PRIVILEGES") => grants::defaults(parser),
        ("ALTER", "SCHEMA" | "DATABASE" | "VIEW", _) => grants::owner(parser)?,
        ("REASSIGN", "OWNED", _) => grants::reassign(parser),
        ("DROP", "OWNED", _) => grants::drop_owned(parser),
        ("CREATE", "TICKET", _) => {
            skip(parser, 2);
            Ok(RoleStatement::CreateTicket)
        }
        ("DROP", "TICKET", _) => {
            skip(parser, 2);
            parser.parse_literal_string().map(RoleStatement::DropTicket)
        }
        ("ALTER", "SYSTEM", "SET" | "RESET") => rules(parser)?,
        ("EXPLAIN", "SIGN", "IN") => test_rules(parser),
        _ => return None,
    };
    Some(statement.map(|statement| Read::Own(OwnStatement::Role(Box::new(statement)))))
}

pub(super) fn skip(parser: &mut Parser<'_>, count: usize) {
    for _ in 0..count {
        parser.next_token();
    }
}

/// Takes the word if it comes next.
pub(super) fn word(parser: &mut Parser<'_>, expected: &str) -> bool {
    let found = matches!(&parser.peek_token().token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected));
    if found {
        parser.next_token();
    }
    found
}

pub(super) fn words(parser: &mut Parser<'_>, expected: &[&str]) -> bool {
    let fits = expected.iter().enumerate().all(|(position, expected)| {
        matches!(&parser.peek_nth_token(position).token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    });
    if fits {
        skip(parser, expected.len());
    }
    fits
}

pub(super) fn identifier(parser: &mut Parser<'_>) -> Parse<String> {
    Ok(crate::session::fold(&parser.parse_identifier()?))
}

pub(super) fn expect(parser: &mut Parser<'_>, expected: &str) -> Parse<()> {
    if word(parser, expected) {
        return Ok(());
    }
    let token = parser.peek_token();
    parser.expected(expected, token)
}

pub(super) fn list<T>(parser: &mut Parser<'_>, item: impl Fn(&mut Parser<'_>) -> Parse<T>) -> Parse<Vec<T>> {
    let mut items = vec![item(parser)?];
    while parser.consume_token(&Token::Comma) {
        items.push(item(parser)?);
    }
    Ok(items)
}

pub(super) fn role_name(parser: &mut Parser<'_>) -> Parse<RoleName> {
    word(parser, "GROUP");
    let ident = parser.parse_identifier()?;
    if ident.quote_style.is_none() {
        match ident.value.to_ascii_lowercase().as_str() {
            "current_user" | "current_role" => return Ok(RoleName::CurrentRole),
            "session_user" => return Ok(RoleName::SessionUser),
            "public" => return Ok(RoleName::Public),
            _ => {}
        }
    }
    Ok(RoleName::Named(crate::session::fold(&ident)))
}

fn create(parser: &mut Parser<'_>, login: bool) -> Parse<RoleStatement> {
    skip(parser, 2);
    let name = role_name(parser)?;
    word(parser, "WITH");
    Ok(RoleStatement::Create { name, login, options: options(parser)? })
}

fn alter(parser: &mut Parser<'_>) -> Parse<RoleStatement> {
    skip(parser, 2);
    let name = role_name(parser)?;
    if words(parser, &["RENAME", "TO"]) {
        return Ok(RoleStatement::Rename { name, to: identifier(parser)? });
    }
    if let Some(change) = factor(parser)? {
        return Ok(RoleStatement::Factor { name, change });
    }
    if word(parser, "SET") {
        let setting = parser.parse_object_name(false)?.to_string();
        if !word(parser, "TO") {
            parser.expect_token(&Token::Eq)?;
        }
        let value = list(parser, |parser| {
            Ok(match parser.next_token().token {
                Token::SingleQuotedString(text) => text,
                Token::Minus => format!("-{}", parser.next_token().token),
                other => other.to_string(),
            })
        })?;
        let value = value.join(", ");
        let value = (!value.eq_ignore_ascii_case("default")).then_some(value);
        return Ok(RoleStatement::Set { name, setting: Some(setting), value });
    }
    if word(parser, "RESET") {
        let setting = if word(parser, "ALL") { None } else { Some(parser.parse_object_name(false)?.to_string()) };
        return Ok(RoleStatement::Set { name, setting, value: None });
    }
    // ALTER GROUP … ADD USER …
    for (verb, revoke) in [("ADD", false), ("DROP", true)] {
        if words(parser, &[verb, "USER"]) {
            let members = list(parser, role_name)?;
            return Ok(RoleStatement::Grant { revoke, roles: vec![name], members, admin: false });
        }
    }
    word(parser, "WITH");
    Ok(RoleStatement::Alter { name, options: options(parser)? })
}

fn factor(parser: &mut Parser<'_>) -> Parse<Option<FactorChange>> {
    Ok(Some(if words(parser, &["ENABLE", "OTP"]) {
        FactorChange::EnableOtp
    } else if words(parser, &["CONFIRM", "OTP"]) {
        FactorChange::ConfirmOtp(Secret(parser.parse_literal_string()?))
    } else if words(parser, &["DISABLE", "OTP"]) {
        FactorChange::DisableOtp
    } else if words(parser, &["REQUIRE", "OTP"]) {
        FactorChange::RequireOtp(true)
    } else if words(parser, &["NO", "REQUIRE", "OTP"]) {
        FactorChange::RequireOtp(false)
    } else if words(parser, &["RENEW", "RECOVERY", "CODES"]) {
        FactorChange::RecoveryCodes
    } else if words(parser, &["ADD", "KEY"]) {
        FactorChange::AddKey(parser.parse_literal_string()?)
    } else if words(parser, &["DROP", "KEY"]) {
        FactorChange::DropKey(parser.parse_literal_string()?)
    } else {
        return Ok(None);
    }))
}

fn options(parser: &mut Parser<'_>) -> Parse<RoleOptions> {
    let mut options = RoleOptions::default();
    loop {
        let Token::Word(next) = parser.peek_token().token else { return Ok(options) };
        let flags: [(&str, &mut Option<bool>); 7] = [
            ("SUPERUSER", &mut options.superuser),
            ("CREATEROLE", &mut options.create_role),
            ("CREATEDB", &mut options.create_database),
            ("INHERIT", &mut options.inherit),
            ("LOGIN", &mut options.login),
            ("REPLICATION", &mut options.replication),
            ("BYPASSRLS", &mut options.bypass_row_security),
        ];
        let name = next.value.to_ascii_uppercase();
        let (plain, value) = match name.strip_prefix("NO") {
            Some(rest) if !rest.is_empty() => (rest, false),
            _ => (name.as_str(), true),
        };
        if let Some((_, flag)) = flags.into_iter().find(|(known, _)| *known == plain) {
            parser.next_token();
            *flag = Some(value);
            continue;
        }
        match name.as_str() {
            "ENCRYPTED" => skip(parser, 1),
            "PASSWORD" => {
                skip(parser, 1);
                let null = parser.parse_keyword(Keyword::NULL);
                options.password = Some(if null { None } else { Some(Secret(parser.parse_literal_string()?)) });
            }
            "CONNECTION" => {
                skip(parser, 2);
                let minus = parser.consume_token(&Token::Minus);
                let limit = i32::try_from(parser.parse_literal_uint()?).unwrap_or(i32::MAX);
                options.connection_limit = Some(if minus { -limit } else { limit });
            }
            "VALID" => {
                skip(parser, 2);
                options.valid_until = Some(parser.parse_literal_string()?);
            }
            "IN" => {
                skip(parser, 2);
                options.in_roles = list(parser, role_name)?;
            }
            "ROLE" | "USER" => {
                skip(parser, 1);
                options.members = list(parser, role_name)?;
            }
            "ADMIN" => {
                skip(parser, 1);
                options.admins = list(parser, role_name)?;
            }
            "SYSID" => skip(parser, 2),
            _ => {
                let token = parser.peek_token();
                return parser.expected("a role option", token);
            }
        }
    }
}

fn drop(parser: &mut Parser<'_>) -> Parse<RoleStatement> {
    skip(parser, 2);
    let if_exists = words(parser, &["IF", "EXISTS"]);
    Ok(RoleStatement::Drop { names: list(parser, role_name)?, if_exists })
}

/// `ALTER SYSTEM SET locus.hba = '…'`, `ALTER SYSTEM RESET locus.hba`; other settings are left to others.
fn rules(parser: &mut Parser<'_>) -> Option<Parse<RoleStatement>> {
    let named = [3, 5].map(|at| parser.peek_nth_token(at).token.to_string().to_lowercase());
    if named != ["locus", "hba"] {
        return None;
    }
    let reset = parser.peek_nth_token(2).token.to_string().eq_ignore_ascii_case("RESET");
    skip(parser, 6);
    Some((|| {
        if reset {
            return Ok(RoleStatement::Rules(None));
        }
        if !word(parser, "TO") {
            parser.expect_token(&Token::Eq)?;
        }
        Ok(RoleStatement::Rules(Some(parser.parse_literal_string()?)))
    })())
}

/// `EXPLAIN SIGN IN role FROM 'address' [DATABASE name] [WITHOUT TLS]`
fn test_rules(parser: &mut Parser<'_>) -> Parse<RoleStatement> {
    skip(parser, 3);
    let role = role_name(parser)?;
    expect(parser, "FROM")?;
    let address = parser.parse_literal_string()?;
    let database = if word(parser, "DATABASE") { Some(identifier(parser)?) } else { None };
    let encrypted = !words(parser, &["WITHOUT", "TLS"]);
    Ok(RoleStatement::TestRules { role, address, encrypted, database })
}
