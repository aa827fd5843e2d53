//! What a user may do: a set of bits, the union of what their roles give.

use serde::{Deserialize, Serialize};

/// A set of permission bits, as roles store them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(u32);

impl Permissions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Send and edit one's own messages.
    pub const SEND_MESSAGES: Self = Self(1);
    /// Create, change and delete channels; members of private ones; invites.
    pub const MANAGE_CHANNELS: Self = Self(2);
    /// Remove members.
    pub const KICK_MEMBERS: Self = Self(4);
    /// Ban, unban, read the audit log.
    pub const BAN_MEMBERS: Self = Self(8);
    /// Implies all others, and sees private channels.
    pub const ADMINISTRATOR: Self = Self(16);
    /// Delete others' messages.
    pub const MANAGE_MESSAGES: Self = Self(32);
    /// Add reactions.
    pub const ADD_REACTIONS: Self = Self(64);
    /// Give, take and define roles.
    pub const MANAGE_ROLES: Self = Self(128);
    /// Every bit there is.
    pub const ALL: Self = Self(255);

    /// The set of these bits, ADMINISTRATOR spelled out as all. Bits without a meaning are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        if bits & Self::ADMINISTRATOR.0 == 0 { Self(bits & Self::ALL.0) } else { Self::ALL }
    }

    /// The set of exactly these bits, as a role has them. None where one has no meaning.
    #[must_use]
    pub const fn exactly(bits: u32) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrator_is_everything() {
        assert_eq!(Permissions::from_bits(16), Permissions::ALL);
        assert!(Permissions::from_bits(16).contains(Permissions::MANAGE_ROLES));
        assert!(!Permissions::from_bits(65).contains(Permissions::MANAGE_MESSAGES));
        assert_eq!(Permissions::from_bits(1 << 20), Permissions::NONE);
    }

    #[test]
    fn a_role_has_exactly_the_bits_that_it_was_given() {
        assert_eq!(Permissions::exactly(16).map(Permissions::bits), Some(16));
        assert_eq!(Permissions::exactly(256), None);
        assert_eq!(Permissions::exactly(u32::MAX), None);
    }
}
