//! The conversation of a sign-in.

use bytes::Bytes;

use crate::factor::Factors;

/// One conversation with one client.
pub trait Mechanism: Send {
    /// Takes what the client said and decides what happens next. [`Input::Start`] comes first and once. Must not be called
    /// again after a success or a failure.
    fn exchange(&mut self, input: Input<'_>) -> Step;

    /// Whether the next `exchange` computes for long (tens of milliseconds): the caller runs it where that holds up nobody,
    /// and bounds how many of them run at once.
    fn is_costly(&self) -> bool {
        false
    }
}

/// What the client said, taken out of the protocol's messages.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    Start,
    /// The answer to [`Challenge::Password`].
    Password(&'a [u8]),
    /// The first answer to [`Challenge::Sasl`]: which mechanism, and its first message.
    SaslFirst {
        mechanism: &'a str,
        data: &'a [u8],
    },
    /// The answer to [`Challenge::SaslContinue`].
    Sasl(&'a [u8]),
}

/// What comes next in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the client this and wait for its answer.
    Continue(Challenge),
    Success(Proof),
    /// One failure for every reason: who may learn the reason is the operator, by the audit log.
    Failure(Reason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The password itself, in clear within an encrypted connection.
    Password,
    /// A SASL conversation by one of these mechanisms.
    Sasl(Vec<&'static str>),
    SaslContinue(Bytes),
}

/// What the client has proved, and what of it must be used up before it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    pub factors: Factors,
    /// What may be used once: whoever carries the conversation takes it in a transaction, and the sign-in fails where
    /// somebody else has taken it meanwhile.
    pub used: Used,
    /// The last message of the conversation for the client, told only when the sign-in stands.
    pub last_words: Option<Bytes>,
    /// The password's new verifier, where the old one was made with weaker parameters than those of today.
    pub rehashed: Option<String>,
}

/// What a sign-in uses up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Used {
    #[default]
    Nothing,
    /// The time step of a one-time code: it and all before it are never accepted again.
    OtpStep(u64),
    /// The recovery code at this position.
    RecoveryCode(usize),
}

/// Why a sign-in failed, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    UnknownRole,
    NoPassword,
    WrongPassword,
    Expired,
    CodeMissing,
    WrongCode,
    UsedCode,
    UnknownKey,
    WrongTicket,
    Throttled,
    /// The client does not speak the mechanism.
    Malformed,
    NotAdmitted,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Reason::UnknownRole => "unknown role",
            Reason::NoPassword => "no password",
            Reason::WrongPassword => "wrong password",
            Reason::Expired => "password expired",
            Reason::CodeMissing => "code missing",
            Reason::WrongCode => "wrong code",
            Reason::UsedCode => "code used before",
            Reason::UnknownKey => "unknown key",
            Reason::WrongTicket => "wrong ticket",
            Reason::Throttled => "throttled",
            Reason::Malformed => "malformed message",
            Reason::NotAdmitted => "no rule admits",
        }
    }
}
