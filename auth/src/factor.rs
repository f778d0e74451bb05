//! What a role has to show besides its name.

use std::fmt;

use crate::{
    mechanism::{Reason, Used},
    otp,
    throttle::Subject,
};

/// The kinds of proof that a client gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Factors(u8);

impl Factors {
    pub const TRUST: Factors = Factors(1);
    pub const PASSWORD: Factors = Factors(2);
    pub const OTP: Factors = Factors(4);
    pub const RECOVERY: Factors = Factors(8);
    pub const KEY: Factors = Factors(16);
    pub const TICKET: Factors = Factors(32);
    /// The operating-system owner of the data directory.
    pub const OWNER: Factors = Factors(64);

    const NAMES: [(Factors, &'static str); 7] = [
        (Factors::TRUST, "trust"),
        (Factors::PASSWORD, "password"),
        (Factors::OTP, "otp"),
        (Factors::RECOVERY, "recovery code"),
        (Factors::KEY, "key"),
        (Factors::TICKET, "ticket"),
        (Factors::OWNER, "owner"),
    ];

    pub fn with(self, other: Factors) -> Factors {
        Factors(self.0 | other.0)
    }

    pub fn contains(self, other: Factors) -> bool {
        self.0 & other.0 == other.0
    }

    /// Which counts of failures hold up a sign-in by these.
    pub fn held_up_by(self, subject: Subject) -> bool {
        let more_than_a_password =
            Factors::OTP.0 | Factors::RECOVERY.0 | Factors::KEY.0 | Factors::TICKET.0 | Factors::OWNER.0;
        match subject {
            Subject::RoleFromAddress | Subject::Address => self.0 & more_than_a_password == 0,
            Subject::CodeOfRole => self.contains(Factors::OTP),
        }
    }
}

/// `password+otp`
impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Factors::NAMES.iter().filter(|(factor, _)| self.contains(*factor)).map(|(_, name)| *name).collect();
        f.write_str(&names.join("+"))
    }
}

/// The second factor of a role, as it stands when the conversation begins.
#[derive(Clone, Default)]
pub struct SecondFactor {
    /// The role must show a code even where none is enrolled: then it cannot sign in.
    pub required: bool,
    /// The secret of the confirmed one-time password, and the last time step that was used.
    pub otp: Option<(Vec<u8>, Option<u64>)>,
    /// The hashes of the recovery codes; `None` where one was used.
    pub recovery: Vec<Option<[u8; 32]>>,
    /// Now, in seconds since 1970.
    pub unix_seconds: u64,
}

impl SecondFactor {
    /// Whether a code has to come with the password.
    pub fn is_asked(&self) -> bool {
        self.required || self.otp.is_some()
    }

    /// Decides on the code that the client gave.
    pub fn check(&self, code: Option<&str>) -> Result<(Factors, Used), Reason> {
        let Some((secret, last_step)) = &self.otp else {
            return if self.required { Err(Reason::CodeMissing) } else { Ok((Factors::default(), Used::Nothing)) };
        };
        let Some(code) = code else { return Err(Reason::CodeMissing) };
        if otp::is_recovery_code(code) {
            let hash = otp::recovery_hash(code);
            let found = self.recovery.iter().position(|known| known.is_some_and(|known| known == hash));
            return match found {
                Some(position) => Ok((Factors::RECOVERY, Used::RecoveryCode(position))),
                None => Err(Reason::WrongCode),
            };
        }
        match otp::matching_step(secret, code, self.unix_seconds) {
            None => Err(Reason::WrongCode),
            Some(step) if last_step.is_some_and(|last| step <= last) => Err(Reason::UsedCode),
            Some(step) => Ok((Factors::OTP, Used::OtpStep(step))),
        }
    }
}

/// Takes a code off the end of a password where one was appended: `secret123456`, `secretabcde-fghij`. A password without
/// anything that looks like a code stays whole.
pub fn split_appended(input: &str) -> (&str, Option<&str>) {
    for length in [otp::RECOVERY_CODE_LENGTH, otp::CODE_DIGITS] {
        let Some(at) = input.len().checked_sub(length).filter(|at| input.is_char_boundary(*at)) else { continue };
        let (password, code) = input.split_at(at);
        if otp::is_recovery_code(code) || otp::is_code(code) {
            return (password, Some(code));
        }
    }
    (input, None)
}

#[cfg(test)]
#[path = "factor_test.rs"]
mod tests;
