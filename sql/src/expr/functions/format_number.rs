//! `to_char` and `to_number` of numbers.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Registry, define},
    types::Numeric,
};

pub(super) fn register(registry: &mut Registry) {
    define!(registry, "to_char(int4, text) text", |_, n: i32, template: &str| to_char(
        &Numeric::from(i64::from(n)),
        template
    ));
    define!(registry, "to_char(int8, text) text", |_, n: i64, template: &str| to_char(&Numeric::from(n), template));
    define!(registry, "to_char(numeric, text) text", |_, n: &Numeric, template: &str| to_char(n, template));
    define!(registry, "to_char(float8, text) text", |_, n: f64, template: &str| {
        to_char(&Numeric::from_f64(n)?, template)
    });
    define!(registry, "to_char(float4, text) text", |_, n: f32, template: &str| {
        to_char(&Numeric::from_f32(n)?, template)
    });
    define!(registry, "to_number(text, text) numeric", |_, text: &str, template: &str| to_number(text, template));
}

/// A place of a template.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// `9`, or `0` with leading zeros.
    Digit {
        zero: bool,
    },
    Group(char),
    Point,
    Sign,
    Minus,
    Plus,
    SignAnchored,
    Currency,
    Ordinal {
        upper: bool,
    },
    Literal(char),
}

#[derive(Default)]
struct Template {
    places: Vec<Place>,
    no_fill: bool,
    brackets: bool,
    exponent: bool,
    roman: Option<bool>,
    /// Digits after `V`: the number is multiplied.
    shift: usize,
}

fn syntax(message: &str) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, message)
}

fn read(template: &str) -> Result<Template> {
    let mut result = Template::default();
    let mut rest = template;
    let mut shifted = false;
    while let Some(c) = rest.chars().next() {
        let upper2 = rest.get(..2).map(str::to_ascii_uppercase).unwrap_or_default();
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            result.places.extend(quoted[..end].chars().map(Place::Literal));
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        if rest.len() >= 4 && rest[..4].eq_ignore_ascii_case("EEEE") {
            result.exponent = true;
            rest = &rest[4..];
            continue;
        }
        let two = match upper2.as_str() {
            "FM" => {
                result.no_fill = true;
                true
            }
            "PR" => {
                result.brackets = true;
                true
            }
            "RN" => {
                result.roman = Some(rest.starts_with('R'));
                true
            }
            "MI" => {
                result.places.push(Place::Minus);
                true
            }
            "PL" => {
                result.places.push(Place::Plus);
                true
            }
            "SG" => {
                result.places.push(Place::Sign);
                true
            }
            "TH" => {
                result.places.push(Place::Ordinal { upper: rest.starts_with('T') });
                true
            }
            _ => false,
        };
        if two {
            rest = &rest[2..];
            continue;
        }
        match c.to_ascii_uppercase() {
            '9' | '0' => {
                result.places.push(Place::Digit { zero: c == '0' });
                result.shift += usize::from(shifted);
            }
            ',' | 'G' => result.places.push(Place::Group(',')),
            '.' | 'D' if result.places.contains(&Place::Point) => return Err(syntax("multiple decimal points")),
            '.' | 'D' => result.places.push(Place::Point),
            'S' => result.places.push(Place::SignAnchored),
            '$' | 'L' => result.places.push(Place::Currency),
            'V' => shifted = true,
            _ => result.places.push(Place::Literal(c)),
        }
        rest = &rest[c.len_utf8()..];
    }
    Ok(result)
}

fn to_char(number: &Numeric, text: &str) -> Result<String> {
    let template = read(text)?;
    if let Some(upper) = template.roman {
        return Ok(roman(number, upper, template.no_fill));
    }
    if template.exponent {
        return Ok(scientific(number, &template));
    }
    let point = template.places.iter().position(|place| *place == Place::Point);
    let is_digit = |place: &&Place| matches!(place, Place::Digit { .. });
    let whole = template.places[..point.unwrap_or(template.places.len())].iter().filter(is_digit).count();
    let decimals = point.map_or(0, |at| template.places[at..].iter().filter(is_digit).count());
    let number = number.mul(&Numeric::from(10i64.pow(template.shift.min(18) as u32)))?;
    if number.is_special() {
        return Ok(" ".repeat(text.len()));
    }
    let rounded = number.round(decimals as i64);
    let negative = rounded.is_negative() && !rounded.is_zero();
    let digits = rounded.abs().to_string();
    let (mut integer, fraction) = match digits.split_once('.') {
        Some((integer, fraction)) => (integer.to_owned(), fraction.to_owned()),
        None => (digits, String::new()),
    };
    let overflow = integer.len() > whole && integer != "0";
    if overflow {
        integer = "#".repeat(whole);
    }
    let fraction = if overflow { "#".repeat(decimals) } else { fraction };
    Ok(lay_out(&template, &integer, &fraction, negative, whole))
}

/// Puts digits into the places.
fn lay_out(template: &Template, integer: &str, fraction: &str, negative: bool, whole: usize) -> String {
    let anchored = template.places.contains(&Place::SignAnchored);
    let explicit = template.places.iter().any(|place| matches!(place, Place::Sign | Place::Minus)) || template.brackets;
    // A zero before the point is shown only where a 0 asks for it, or where there are no decimals.
    let first_zero = template
        .places
        .iter()
        .filter(|place| matches!(place, Place::Digit { .. }))
        .take(whole)
        .position(|place| *place == Place::Digit { zero: true });
    let has_point = template.places.contains(&Place::Point);
    let significant = if integer == "0" && has_point && !fraction.is_empty() { "" } else { integer };
    let leading = whole.saturating_sub(significant.len());
    let kept_fraction = if template.no_fill {
        fraction.trim_end_matches('0').len().max(required_decimals(template))
    } else {
        fraction.len()
    };
    let mut out = String::new();
    let mut sign_done = explicit || anchored;
    let (mut seen, mut decimals) = (0, 0);
    let mut after_point = false;
    let mut started = false;
    let place_sign = |out: &mut String, done: &mut bool| {
        if !*done {
            if negative {
                out.push('-');
            } else if !template.no_fill {
                out.push(' ');
            }
            *done = true;
        }
    };
    for place in &template.places {
        match place {
            Place::Digit { .. } if !after_point => {
                let blank = seen < leading && first_zero.is_none_or(|zero| seen < zero);
                if blank {
                    if !template.no_fill {
                        out.push(' ');
                    }
                } else {
                    started = true;
                    place_sign(&mut out, &mut sign_done);
                    match seen.checked_sub(leading) {
                        Some(index) => out.push_str(&significant[index..index + 1]),
                        None => out.push('0'),
                    }
                }
                seen += 1;
            }
            Place::Digit { .. } => {
                if decimals < kept_fraction {
                    out.push_str(&fraction[decimals..decimals + 1]);
                }
                decimals += 1;
            }
            Place::Point => {
                place_sign(&mut out, &mut sign_done);
                started = true;
                after_point = true;
                out.push('.');
            }
            Place::Group(c) if started => out.push(*c),
            Place::Group(_) if template.no_fill => {}
            Place::Group(_) => out.push(' '),
            Place::SignAnchored => out.push('\u{1}'),
            Place::Sign => out.push(if negative { '-' } else { '+' }),
            Place::Minus if negative => out.push('-'),
            Place::Minus | Place::Plus if template.no_fill => {}
            Place::Minus => out.push(' '),
            Place::Plus => out.push(if negative { ' ' } else { '+' }),
            Place::Currency => out.push('$'),
            Place::Ordinal { upper } if !negative && !after_point => {
                out.push_str(&super::format::ordinal_suffix(integer, *upper));
            }
            Place::Ordinal { .. } => out.push_str(if template.no_fill { "" } else { "  " }),
            Place::Literal(c) => out.push(*c),
        }
    }
    place_sign(&mut out, &mut sign_done);
    finish_signs(template, out, negative)
}

/// Decimals that a `0` insists on.
fn required_decimals(template: &Template) -> usize {
    let point = template.places.iter().position(|place| *place == Place::Point).unwrap_or(template.places.len());
    let decimals = template.places[point..].iter().filter(|place| matches!(place, Place::Digit { .. }));
    decimals.enumerate().filter(|(_, place)| **place == Place::Digit { zero: true }).last().map_or(0, |(at, _)| at + 1)
}

/// The anchored sign stands next to the first digit (or last, when it came last); brackets enclose negatives.
fn finish_signs(template: &Template, text: String, negative: bool) -> String {
    let mut out = text;
    if out.contains('\u{1}') {
        let sign = if negative { "-" } else { "+" };
        if out.ends_with('\u{1}') {
            out = out.replace('\u{1}', sign);
        } else {
            out = out.replace('\u{1}', "");
            let first = out.find(|c: char| c != ' ').unwrap_or(0);
            out.insert_str(first, sign);
        }
    }
    if template.brackets {
        let first = out.find(|c: char| c != ' ').unwrap_or(0);
        if negative {
            out.insert(first, '<');
            out.push('>');
        } else if !template.no_fill {
            out.insert(0, ' ');
            out.push(' ');
        }
    }
    out
}

fn scientific(number: &Numeric, template: &Template) -> String {
    let point = template.places.iter().position(|place| *place == Place::Point).unwrap_or(template.places.len());
    let decimals = template.places[point..].iter().filter(|place| matches!(place, Place::Digit { .. })).count();
    let value = number.to_f64();
    let text = format!("{value:.decimals$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let space = if value < 0.0 || template.no_fill { "" } else { " " };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{space}{mantissa}e{sign}{:02}", exponent.abs())
}

fn roman(number: &Numeric, upper: bool, no_fill: bool) -> String {
    const NUMERALS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let text = match number.to_i64() {
        Some(mut rest @ 1..=3999) => {
            let mut text = String::new();
            for (value, numeral) in NUMERALS {
                while rest >= value {
                    text.push_str(numeral);
                    rest -= value;
                }
            }
            text
        }
        _ => "#".repeat(15),
    };
    let text = if upper { text } else { text.to_lowercase() };
    if no_fill { text } else { format!("{text:>15}") }
}

/// Digits, a point and a sign count; what else the template or the text has is passed over.
fn to_number(text: &str, template: &str) -> Result<Numeric> {
    let places = read(template)?.places;
    let point_wanted = places.contains(&Place::Point);
    let digits_wanted = places.iter().filter(|place| matches!(place, Place::Digit { .. })).count();
    let mut number = String::new();
    let mut negative = false;
    let mut point = false;
    let mut digits = 0;
    for c in text.trim().chars() {
        match c {
            '0'..='9' if digits < digits_wanted => {
                number.push(c);
                digits += 1;
            }
            '-' | '<' => negative = true,
            '.' if point_wanted && !point => {
                number.push('.');
                point = true;
            }
            '.' => break,
            _ => {}
        }
    }
    if digits == 0 {
        return Err(SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type numeric: \" \"",
        ));
    }
    let value = Numeric::parse(number.trim_end_matches('.'))?;
    Ok(if negative { value.neg() } else { value })
}
