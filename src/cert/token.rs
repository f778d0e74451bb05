//! Tokens to join a cluster with: `K1.<hash of the authority's certificate>.<id>.<secret>`, good once and for a short time. The
//! hash makes the joiner sure of the authority before it says the secret; the secret makes the authority sure of the joiner.

use std::{fmt, str::FromStr};

use crate::secrets::random_hex;

#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the authority's certificate, in hexadecimal digits.
    pub authority: String,
    pub id: String,
    pub secret: String,
}

impl Token {
    pub fn random(authority: String) -> Token {
        Token { authority, id: random_hex(1), secret: random_hex(4) }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K1.{}.{}.{}", self.authority, self.id, self.secret)
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K1.{}.{}.…", self.authority, self.id)
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Token, String> {
        let hexadecimal =
            |part: &&str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.trim().split('.').collect::<Vec<_>>()[..] {
            ["K1", authority, id, secret]
                if hexadecimal(&authority, 64) && hexadecimal(&id, 16) && hexadecimal(&secret, 64) =>
            {
                let lower = str::to_ascii_lowercase;
                Ok(Token { authority: lower(authority), id: lower(id), secret: lower(secret) })
            }
            _ => Err("not a token to join with (locus cert token makes one: K1.….….…)".to_owned()),
        }
    }
}

#[cfg(test)]
#[path = "token_test.rs"]
mod tests;
