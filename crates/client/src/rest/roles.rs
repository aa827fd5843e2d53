//! Roles: list, make, change, delete, give, take.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    Client, Error, Permissions, Role,
    client::{Call, Repeat},
};

#[derive(Deserialize)]
struct Roles {
    roles: Vec<Role>,
}

/// What a role is to be. What is `None` stays as it is, or is as little as it can be where the role is new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoleDraft {
    /// 1 to 100 characters; no other role may have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// No more than the caller has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// `0xRRGGBB`; `Some(None)`: no color of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Option<u32>>,
    /// From 0 to 1,000,000: the higher the further up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
}

impl Client {
    /// All roles, the highest position first.
    ///
    /// # Errors
    /// [`Error::Problem`], [`Error::Network`].
    pub async fn roles(&self) -> Result<Vec<Role>, Error> {
        Ok(self.call(&Call::api(Method::GET, &["roles"])).await?.json::<Roles>()?.roles)
    }

    /// Makes a role.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `NAME_TAKEN`, `NAME_INVALID`; [`Error::Network`].
    pub async fn create_role(&self, role: &RoleDraft) -> Result<Role, Error> {
        // Repeated, it would find its own name taken.
        let call = Call::api(Method::POST, &["roles"]).body(fields(role)).repeat(Repeat::Never);
        self.call(&call).await?.json()
    }

    /// Changes a role.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `ROLE_NOT_FOUND`, `NAME_TAKEN`; [`Error::Network`].
    pub async fn update_role(&self, role_id: &str, change: &RoleDraft) -> Result<Role, Error> {
        let call = Call::api(Method::PATCH, &["roles", role_id]).body(fields(change));
        self.call(&call).await?.json()
    }

    /// Deletes a role, and takes it from all who have it.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `ROLE_NOT_FOUND`; [`Error::Network`].
    pub async fn delete_role(&self, role_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["roles", role_id]).repeat(Repeat::DoneAt("ROLE_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }

    /// Gives a user a role, or leaves them the one they have.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `ROLE_NOT_FOUND`, `USER_NOT_FOUND`; [`Error::Network`].
    pub async fn give_role(&self, user_id: &str, role_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::PUT, &["users", user_id, "roles", role_id]);
        self.call(&call).await.map(drop)
    }

    /// Takes a role from a user, whether they had it or not.
    ///
    /// # Errors
    /// Those of [`Client::give_role`].
    pub async fn take_role(&self, user_id: &str, role_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["users", user_id, "roles", role_id]);
        self.call(&call).await.map(drop)
    }
}

/// Strings and numbers only: it cannot fail.
fn fields(role: &RoleDraft) -> serde_json::Value {
    serde_json::to_value(role).unwrap_or_default()
}
