//! The query of a URL: each parameter at most once, numbers exactly as numbers are written.

use edgewise_core::{
    ids::{EntryId, UserId},
    problem::{Code, Problem},
};
use worker::url::form_urlencoded;

/// A query's parameters, decoded. Those that nobody asks for are of no consequence.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes the part behind the `?`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// A parameter's value.
    ///
    /// # Errors
    /// 400 `QUERY_INVALID` where it is there twice.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Code::QueryInvalid.with(format!("{name} is there more than once"))),
        }
    }

    /// A parameter's value as a number.
    ///
    /// # Errors
    /// 400 `QUERY_INVALID` where it is there twice, or is anything but digits that fit into 64 bits.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(Code::QueryInvalid.with(format!("{name} is not a number"))),
        }
    }

    /// A parameter's value as a user id, which a list goes on after.
    ///
    /// # Errors
    /// 400 `QUERY_INVALID` where it is there twice, or is no user id.
    pub(crate) fn user(&self, name: &str) -> Result<Option<UserId>, Problem> {
        let user = self.text(name)?.map(UserId::parse).transpose();
        user.map_err(|_| Code::QueryInvalid.with(format!("{name} is not a user id")))
    }

    /// A parameter's value as the id of an audit entry, which a list goes on before.
    ///
    /// # Errors
    /// 400 `QUERY_INVALID` where it is there twice, or is no such id.
    pub(crate) fn entry(&self, name: &str) -> Result<Option<EntryId>, Problem> {
        let entry = self.text(name)?.map(EntryId::parse).transpose();
        entry.map_err(|_| Code::QueryInvalid.with(format!("{name} is not the id of an entry")))
    }
}
