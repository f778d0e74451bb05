//! LIKE, SIMILAR TO and regular expressions. PostgreSQL's regular expressions are translated to those of the `regex` crate;
//! back references and look-around are refused (0A000).

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use regex::Regex;

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Body, Registry, define},
    types::{Array, DataType, Value},
};

pub(super) fn register(registry: &mut Registry) {
    like_operators(registry);
    regex_operators(registry);
    regex_functions(registry);
}

fn like_operators(registry: &mut Registry) {
    define!(registry, "~~(text, text) bool", |_, s: &str, p: &str| like(s, p));
    define!(registry, "!~~(text, text) bool", |_, s: &str, p: &str| like(s, p).map(|found| !found));
    define!(registry, "~~*(text, text) bool", |_, s: &str, p: &str| like(&s.to_lowercase(), &p.to_lowercase()));
    define!(registry, "!~~*(text, text) bool", |_, s: &str, p: &str| {
        like(&s.to_lowercase(), &p.to_lowercase()).map(|found| !found)
    });
    define!(registry, "~~(bpchar, text) bool", |_, s: &str, p: &str| like(s, p));
    define!(registry, "!~~(bpchar, text) bool", |_, s: &str, p: &str| like(s, p).map(|found| !found));
    define!(registry, "like(text, text) bool", |_, s: &str, p: &str| like(s, p));
    define!(registry, "notlike(text, text) bool", |_, s: &str, p: &str| like(s, p).map(|found| !found));
    define!(registry, "like_escape(text, text) text", |_, pattern: &str, escape: &str| like_escape(pattern, escape));
    define!(registry, "similar_to_escape(text) text", |_, pattern: &str| similar_to(pattern, "\\"));
    define!(registry, "similar_to_escape(text, text) text", |_, pattern: &str, escape: &str| similar_to(
        pattern, escape
    ));
}

/// Whether the whole text matches: `%` any characters, `_` one, `\` takes the next literally.
fn like(text: &str, pattern: &str) -> Result<bool> {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut at, mut in_pattern) = (0, 0);
    // Where to go on after a mismatch: behind the last `%`, one character further in the text.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(in_pattern) {
            Some('%') => {
                retry = Some((in_pattern + 1, at));
                in_pattern += 1;
                continue;
            }
            None if at == text.len() => return Ok(true),
            None => false,
            Some('_') => at < text.len(),
            // What the text is too short for is no match, however the pattern goes on.
            Some('\\') if at < text.len() => {
                let literal = pattern.get(in_pattern + 1).ok_or_else(|| {
                    SqlError::new(SqlState("22025"), "LIKE pattern must not end with escape character")
                })?;
                let same = text.get(at) == Some(literal);
                in_pattern += usize::from(same);
                same
            }
            Some('\\') => false,
            Some(literal) => text.get(at) == Some(literal),
        };
        if matched {
            at += 1;
            in_pattern += 1;
            continue;
        }
        match retry {
            Some((pattern_at, text_at)) if text_at < text.len() => {
                retry = Some((pattern_at, text_at + 1));
                (in_pattern, at) = (pattern_at, text_at + 1);
            }
            _ => return Ok(false),
        }
    }
}

/// The pattern with `\` as its escape character.
fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut chars = escape.chars();
    let escape = match (chars.next(), chars.next()) {
        (Some(escape), None) => Some(escape),
        (None, _) => None,
        _ => return Err(invalid_escape()),
    };
    let mut out = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if Some(c) == escape {
            out.push('\\');
            out.extend(rest.next());
        } else {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Ok(out)
}

fn invalid_escape() -> SqlError {
    SqlError::new(SqlState("22025"), "invalid escape string").hint("Escape string must be empty or one character.")
}

/// A SIMILAR TO pattern as a regular expression.
fn similar_to(pattern: &str, escape: &str) -> Result<String> {
    let mut chars = escape.chars();
    let escape = match (chars.next(), chars.next()) {
        (escape, None) => escape,
        _ => return Err(invalid_escape()),
    };
    let mut out = String::from("^(?:");
    let mut in_brackets = false;
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if Some(c) == escape {
            match rest.next() {
                Some(literal) => out.push_str(&regex::escape(&literal.to_string())),
                None => return Err(SqlError::new(SqlState("22025"), "invalid escape sequence")),
            }
            continue;
        }
        match c {
            '[' if !in_brackets => {
                in_brackets = true;
                out.push(c);
            }
            ']' if in_brackets => {
                in_brackets = false;
                out.push(c);
            }
            c if in_brackets => {
                if c == '\\' {
                    out.push('\\');
                }
                out.push(c);
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

/// Compiled patterns, as patterns repeat from row to row. Small, and emptied when full.
static CACHE: LazyLock<Mutex<BTreeMap<(String, String), Regex>>> = LazyLock::new(Mutex::default);
const CACHE_MAX: usize = 128;

/// Compiles a PostgreSQL pattern with PostgreSQL's flags (`i`, `n`, `s`, `x`, …; `g` is the caller's).
fn compile(pattern: &str, flags: &str) -> Result<Regex> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(found) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(found.clone());
    }
    let mut options = String::from("s");
    for flag in flags.chars() {
        match flag {
            'i' => options.push('i'),
            'c' => options.retain(|option| option != 'i'),
            'x' => options.push('x'),
            'n' | 'm' => options = options.replace(['s', 'm'], "") + "m",
            'p' => options = options.replace('s', ""),
            'w' => options.push('m'),
            's' | 'g' | 't' | 'e' | 'q' | 'b' => {}
            other => {
                return Err(SqlError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{other}\""),
                ));
            }
        }
    }
    let body = if flags.contains('q') { regex::escape(pattern) } else { translate(pattern)? };
    let full = if options.is_empty() { body } else { format!("(?{options}){body}") };
    let regex = Regex::new(&full).map_err(|error| {
        let reason = error.to_string();
        let reason = match reason.lines().last().unwrap_or("").trim_start_matches("error: ") {
            "unclosed character class" => "brackets [] not balanced",
            "unclosed group" | "unopened group" => "parentheses () not balanced",
            "repetition operator missing expression" => "quantifier operand invalid",
            "unclosed counted repetition" => "braces {} not balanced",
            other => other,
        }
        .to_owned();
        SqlError::new(SqlState("2201B"), format!("invalid regular expression: {reason}"))
    })?;
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= CACHE_MAX {
        cache.clear();
    }
    cache.insert(key, regex.clone());
    Ok(regex)
}

/// From PostgreSQL's advanced regular expressions: escapes that differ, and what does not exist.
fn translate(pattern: &str) -> Result<String> {
    let unsupported = |what: &str| Err(SqlError::unsupported(format!("{what} in a regular expression")));
    let body = match pattern.strip_prefix("***=") {
        Some(literal) => return Ok(regex::escape(literal)),
        None => pattern.strip_prefix("***:").unwrap_or(pattern),
    };
    let mut out = String::new();
    let mut chars = body.chars().peekable();
    let mut in_brackets = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('y') => out.push_str("\\b"),
                Some('Y') => out.push_str("\\B"),
                Some('m') => out.push_str("\\b{start}"),
                Some('M') => out.push_str("\\b{end}"),
                Some('Z') => out.push_str("\\z"),
                Some('1'..='9') if !in_brackets => return unsupported("a back reference"),
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => {
                    return Err(SqlError::new(
                        SqlState("2201B"),
                        "invalid regular expression: invalid escape \\ sequence",
                    ));
                }
            },
            '[' if !in_brackets => {
                in_brackets = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // A bracket that comes first is itself.
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' => match chars.peek() {
                // `[:alpha:]` within brackets.
                Some(':') => {
                    out.push('[');
                    for c in chars.by_ref() {
                        out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                }
                _ => out.push_str("\\["),
            },
            ']' => {
                in_brackets = false;
                out.push(']');
            }
            // Set operations of the `regex` crate are plain characters to PostgreSQL.
            '&' | '~' if in_brackets => {
                out.push('\\');
                out.push(c);
            }
            '(' if !in_brackets && chars.peek() == Some(&'?') => {
                let kind: String = chars.clone().skip(1).take(2).collect();
                if kind.starts_with('=') || kind.starts_with('!') || kind.starts_with("<=") || kind.starts_with("<!") {
                    return unsupported("look-around");
                }
                out.push('(');
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn regex_operators(registry: &mut Registry) {
    define!(registry, "~(text, text) bool", |_, s: &str, p: &str| compile(p, "").map(|regex| regex.is_match(s)));
    define!(registry, "!~(text, text) bool", |_, s: &str, p: &str| compile(p, "").map(|regex| !regex.is_match(s)));
    define!(registry, "~*(text, text) bool", |_, s: &str, p: &str| compile(p, "i").map(|regex| regex.is_match(s)));
    define!(registry, "!~*(text, text) bool", |_, s: &str, p: &str| compile(p, "i").map(|regex| !regex.is_match(s)));
}

fn regex_functions(registry: &mut Registry) {
    define!(registry, "substring(text, text) text", |_, s: &str, pattern: &str| {
        let regex = compile(pattern, "")?;
        // The first group where there is one, else the whole match.
        let found =
            regex.captures(s).and_then(|captures| if captures.len() > 1 { captures.get(1) } else { captures.get(0) });
        Ok(found.map(|found| found.as_str().to_owned()))
    });
    define!(registry, "regexp_like(text, text) bool", |_, s: &str, p: &str| compile(p, "")
        .map(|regex| regex.is_match(s)));
    define!(registry, "regexp_like(text, text, text) bool", |_, s: &str, p: &str, flags: &str| {
        compile(p, flags).map(|regex| regex.is_match(s))
    });
    define!(registry, "regexp_count(text, text) int4", |_, s: &str, p: &str| {
        compile(p, "").map(|regex| regex.find_iter(s).count() as i32)
    });
    define!(registry, "regexp_substr(text, text) text", |_, s: &str, p: &str| {
        compile(p, "").map(|regex| regex.find(s).map(|found| found.as_str().to_owned()))
    });
    define!(registry, "regexp_replace(text, text, text) text", |_, s: &str, p: &str, with: &str| replace(
        s, p, with, ""
    ));
    registry.add(
        "regexp_replace(text, text, text, text) text",
        Body::Many(|_, args| match args {
            [Value::Text(s), Value::Text(p), Value::Text(with), Value::Text(flags)] => {
                replace(s, p, with, flags).map(Value::text)
            }
            _ => Ok(Value::Null),
        }),
    );
    define!(registry, "regexp_match(text, text) text[]", |_, s: &str, p: &str| first_match(s, p, ""));
    define!(registry, "regexp_match(text, text, text) text[]", |_, s: &str, p: &str, flags: &str| {
        if flags.contains('g') {
            let message = "regexp_match() does not support the \"global\" option";
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .hint("Use the regexp_matches function instead."));
        }
        first_match(s, p, flags)
    });
    registry.add("regexp_matches(text, text) setof text[]", Body::Set(|_, args| all_matches(args)));
    registry.add("regexp_matches(text, text, text) setof text[]", Body::Set(|_, args| all_matches(args)));
    define!(registry, "regexp_split_to_array(text, text) text[]", |_, s: &str, p: &str| {
        split(s, p, "").map(text_array)
    });
    define!(registry, "regexp_split_to_array(text, text, text) text[]", |_, s: &str, p: &str, flags: &str| {
        split(s, p, flags).map(text_array)
    });
    registry.add(
        "regexp_split_to_table(text, text) setof text",
        Body::Set(|_, args| match args {
            [Value::Text(s), Value::Text(p)] => split(s, p, ""),
            _ => Ok(Vec::new()),
        }),
    );
    registry.add(
        "regexp_split_to_table(text, text, text) setof text",
        Body::Set(|_, args| match args {
            [Value::Text(s), Value::Text(p), Value::Text(flags)] => split(s, p, flags),
            _ => Ok(Vec::new()),
        }),
    );
}

pub(super) fn text_array(values: Vec<Value>) -> Array {
    Array { element: DataType::TEXT, values }
}

fn replace(text: &str, pattern: &str, with: &str, flags: &str) -> Result<String> {
    let regex = compile(pattern, flags)?;
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let mut out = String::new();
    let mut last = 0;
    for captures in regex.captures_iter(text).take(limit) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&text[last..whole.start()]);
        expand(with, &captures, &mut out);
        last = whole.end();
    }
    out.push_str(&text[last..]);
    Ok(out)
}

/// `\1` to `\9` are groups, `\&` the whole match, `\\` a backslash.
fn expand(with: &str, captures: &regex::Captures<'_>, out: &mut String) {
    let mut chars = with.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(&captures[0]),
            Some(digit @ '1'..='9') => {
                let group = captures.get(digit as usize - '0' as usize);
                out.push_str(group.map_or("", |group| group.as_str()));
            }
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
}

/// The groups of a match, or the whole match where there are none.
fn groups(captures: &regex::Captures<'_>) -> Array {
    let first = usize::from(captures.len() > 1);
    let values = (first..captures.len())
        .map(|index| captures.get(index).map_or(Value::Null, |group| Value::text(group.as_str())))
        .collect();
    text_array(values)
}

fn first_match(text: &str, pattern: &str, flags: &str) -> Result<Option<Array>> {
    Ok(compile(pattern, flags)?.captures(text).map(|captures| groups(&captures)))
}

fn all_matches(args: &[Value]) -> Result<Vec<Value>> {
    let (Some(Value::Text(text)), Some(Value::Text(pattern))) = (args.first(), args.get(1)) else {
        return Ok(Vec::new());
    };
    let flags = match args.get(2) {
        Some(Value::Text(flags)) => flags.as_ref(),
        _ => "",
    };
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let regex = compile(pattern, flags)?;
    Ok(regex.captures_iter(text).take(limit).map(|captures| Value::Array(Box::new(groups(&captures)))).collect())
}

/// An empty match does not split at the beginning or the end, or right behind another match.
fn split(text: &str, pattern: &str, flags: &str) -> Result<Vec<Value>> {
    let regex = compile(pattern, flags)?;
    let mut parts = Vec::new();
    let mut last = 0;
    for found in regex.find_iter(text) {
        if found.is_empty() && (found.start() == last || found.end() == text.len()) {
            continue;
        }
        parts.push(Value::text(&text[last..found.start()]));
        last = found.end();
    }
    parts.push(Value::text(&text[last..]));
    Ok(parts)
}
