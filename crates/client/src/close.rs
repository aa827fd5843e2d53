//! Why a connection was closed, and what a client does then.

use std::fmt;

/// What the Close frame said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code, by its meaning.
    pub code: CloseCode,
    /// For people; often empty.
    pub reason: String,
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " ({})", self.reason) }
    }
}

/// The close codes of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000.
    Normal,
    /// 1001.
    GoingAway,
    /// 1011.
    InternalError,
    /// 1012.
    Restart,
    /// 1013.
    Overloaded,
    /// 4001: the token has expired.
    TokenExpired,
    /// 4002: there was no token, or one that does not verify.
    TokenInvalid,
    /// 4003: the user is banned.
    Banned,
    /// 4004: the user was removed from the channel.
    Removed,
    /// 4005: the client sent too much.
    Flooding,
    /// 4006: the client sent what is no Envelope.
    Protocol,
    /// 4007: the channel was deleted, does not exist, or may not be seen.
    ChannelGone,
    /// Any other; 1005 where the frame had no code, 1006 where there was no frame.
    Other(u16),
}

/// What a client does after a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Reconnect,
    Refresh,
    Pause,
    Stop,
}

impl CloseCode {
    /// The number in the frame.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::InternalError => 1011,
            Self::Restart => 1012,
            Self::Overloaded => 1013,
            Self::TokenExpired => 4001,
            Self::TokenInvalid => 4002,
            Self::Banned => 4003,
            Self::Removed => 4004,
            Self::Flooding => 4005,
            Self::Protocol => 4006,
            Self::ChannelGone => 4007,
            Self::Other(number) => number,
        }
    }

    /// The contract's table: what a client does after this code.
    pub(crate) fn step(self) -> Step {
        match self {
            Self::TokenExpired => Step::Refresh,
            Self::Flooding => Step::Pause,
            Self::TokenInvalid | Self::Banned | Self::Removed | Self::Protocol | Self::ChannelGone => {
                Step::Stop
            }
            Self::Normal
            | Self::GoingAway
            | Self::InternalError
            | Self::Restart
            | Self::Overloaded
            | Self::Other(_) => Step::Reconnect,
        }
    }
}

impl From<u16> for CloseCode {
    fn from(number: u16) -> Self {
        match number {
            1000 => Self::Normal,
            1001 => Self::GoingAway,
            1011 => Self::InternalError,
            1012 => Self::Restart,
            1013 => Self::Overloaded,
            4001 => Self::TokenExpired,
            4002 => Self::TokenInvalid,
            4003 => Self::Banned,
            4004 => Self::Removed,
            4005 => Self::Flooding,
            4006 => Self::Protocol,
            4007 => Self::ChannelGone,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self {
            Self::Normal => "closed",
            Self::GoingAway => "going away",
            Self::InternalError => "internal error",
            Self::Restart => "restarting",
            Self::Overloaded => "overloaded",
            Self::TokenExpired => "the token has expired",
            Self::TokenInvalid => "the token is missing or invalid",
            Self::Banned => "you are banned",
            Self::Removed => "you were removed from the channel",
            Self::Flooding => "too many frames",
            Self::Protocol => "protocol error",
            Self::ChannelGone => "no such channel, or none that you may see",
            Self::Other(_) => "without a reason",
        };
        write!(f, "{meaning}, code {}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round() {
        for number in (1000..1016).chain(4000..4010) {
            assert_eq!(CloseCode::from(number).number(), number);
        }
    }

    #[test]
    fn steps_are_those_of_the_contract() {
        let step = |number| CloseCode::from(number).step();
        for number in [1000, 1001, 1006, 1011, 1012, 1013] {
            assert_eq!(step(number), Step::Reconnect, "{number}");
        }
        assert_eq!(step(4001), Step::Refresh);
        assert_eq!(step(4005), Step::Pause);
        for number in [4002, 4003, 4004, 4006, 4007] {
            assert_eq!(step(number), Step::Stop, "{number}");
        }
    }
}
