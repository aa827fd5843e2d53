use clap::{Args, Subcommand};
use edgewise_client::{Client, Permissions, Role, RoleDraft};

use crate::{
    context::Context,
    failure::{Failure, asked},
    screen::plain,
};

/// List, make, change, delete, give and take roles; a ROLE is a role's name or id.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise admin roles list
  edgewise admin roles create moderators --permissions ban-members,manage-messages --color '#ff8800'
  edgewise admin roles change everyone --permissions send-messages
  edgewise admin roles give ana moderators")]
pub(crate) struct Roles {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List all roles.
    List,
    /// Make a role.
    Create {
        /// 1 to 100 characters.
        name: String,
        #[command(flatten)]
        looks: Looks,
    },
    /// Change a role; what is not named stays.
    Change {
        /// A role's name or id.
        role: String,
        /// Another name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        looks: Looks,
    },
    /// Delete a role; it is taken from all who have it.
    Delete {
        /// A role's name or id.
        role: String,
    },
    /// Give a user a role.
    Give {
        /// A user's id.
        user: String,
        /// A role's name or id.
        role: String,
    },
    /// Take a role from a user.
    Take {
        /// A user's id.
        user: String,
        /// A role's name or id.
        role: String,
    },
}

#[derive(Debug, Args)]
struct Looks {
    /// What it permits, separated by commas: send-messages, manage-channels, kick-members, ban-members, administrator,
    /// manage-messages, add-reactions, manage-roles; or none.
    #[arg(long, value_parser = permissions)]
    permissions: Option<Permissions>,
    /// `#RRGGBB`, or none.
    #[arg(long, value_parser = color)]
    color: Option<Color>,
    /// From 0 to 1000000: the higher, the further up in the list.
    #[arg(long)]
    position: Option<u32>,
}

/// A color that was named, or that there shall be none.
#[derive(Clone, Copy, Debug)]
struct Color(Option<u32>);

impl Looks {
    fn draft(self, name: Option<String>) -> RoleDraft {
        let color = self.color.map(|Color(rgb)| rgb);
        RoleDraft { name, permissions: self.permissions, color, position: self.position }
    }
}

impl Roles {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let client = &context.client;
        match self.what {
            What::List => {
                for role in client.roles().await? {
                    context.screen.line(&role, text)?;
                }
                Ok(())
            }
            What::Create { name, looks } => {
                let role = client.create_role(&looks.draft(Some(name))).await?;
                Ok(context.screen.line(&role, text)?)
            }
            What::Change { role, name, looks } => {
                let role = find(client, &role).await?;
                let role = client.update_role(&role.id, &looks.draft(name)).await?;
                Ok(context.screen.line(&role, text)?)
            }
            What::Delete { role } => Ok(client.delete_role(&find(client, &role).await?.id).await?),
            What::Give { user, role } => Ok(client.give_role(&user, &find(client, &role).await?.id).await?),
            What::Take { user, role } => Ok(client.take_role(&user, &find(client, &role).await?.id).await?),
        }
    }
}

async fn find(client: &Client, named: &str) -> Result<Role, Failure> {
    let roles = client.roles().await?;
    let found = roles.into_iter().find(|role| role.id == named || role.name == named);
    found.ok_or_else(|| asked(format!("there is no role {named}")))
}

/// `moderators  ban-members,manage-messages  01890a5d-ac96-774b-bcce-b302099a8057`
fn text(role: &Role) -> String {
    format!("{}  {}  {}", plain(&role.name), names(role.permissions), role.id)
}

const NAMES: [(&str, Permissions); 8] = [
    ("send-messages", Permissions::SEND_MESSAGES),
    ("manage-channels", Permissions::MANAGE_CHANNELS),
    ("kick-members", Permissions::KICK_MEMBERS),
    ("ban-members", Permissions::BAN_MEMBERS),
    ("administrator", Permissions::ADMINISTRATOR),
    ("manage-messages", Permissions::MANAGE_MESSAGES),
    ("add-reactions", Permissions::ADD_REACTIONS),
    ("manage-roles", Permissions::MANAGE_ROLES),
];

fn names(Permissions(bits): Permissions) -> String {
    let names: Vec<_> = NAMES.iter().filter(|(_, bit)| bits & bit.0 != 0).map(|(name, _)| *name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

fn permissions(text: &str) -> Result<Permissions, String> {
    if text == "none" {
        return Ok(Permissions(0));
    }
    let mut bits = 0;
    for name in text.split(',') {
        let name = name.trim().to_ascii_lowercase().replace('_', "-");
        let known = NAMES.iter().find(|(known, _)| *known == name);
        bits |= known.ok_or_else(|| format!("there is no permission {name}"))?.1.0;
    }
    Ok(Permissions(bits))
}

fn color(text: &str) -> Result<Color, String> {
    if text == "none" {
        return Ok(Color(None));
    }
    let digits = text.strip_prefix('#').unwrap_or(text);
    let rgb = Some(digits)
        .filter(|digits| digits.len() == 6 && !digits.starts_with('+'))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    rgb.map(|rgb| Color(Some(rgb))).ok_or_else(|| "a color is written #ff8800".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_they_are_written() {
        for bits in 0..256 {
            assert_eq!(permissions(&names(Permissions(bits))), Ok(Permissions(bits)));
        }
        assert_eq!(permissions("BAN_MEMBERS, kick-members"), Ok(Permissions(12)));
        assert!(permissions("").is_err() && permissions("all").is_err());
    }

    #[test]
    fn colors_are_six_digits() {
        assert_eq!(color("#ff8800").unwrap().0, Some(0x00ff_8800));
        assert_eq!(color("none").unwrap().0, None);
        for wrong in ["", "#fff", "#gg0000", "+12345", "1234567"] {
            assert!(color(wrong).is_err(), "{wrong}");
        }
    }
}
