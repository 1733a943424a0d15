//! Who may do what: keys, tokens, limits, and the record of what administrators did.
//!
//! Without keys everybody is an administrator; the server then listens on the loopback interface only, unless it is told
//! otherwise. With keys, every request needs one, or a token that a key has signed.

pub mod audit;
pub mod keys;
pub mod limits;
mod token;

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::limits::KeyLimits;

/// What a key or a token allows. Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To read and to query.
    Read,
    /// To create, change and delete libraries and what is in them.
    Write,
    /// To manage keys and the server itself.
    Admin,
}

/// Which libraries a key or a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every one, also those to come.
    All,
    /// Those with these ids.
    Libraries(Arc<BTreeSet<String>>),
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The id of the key, or of the key that signed the token; `anonymous` where no key is needed.
    pub key: String,
    /// What it may do.
    pub role: Role,
    /// Where it may do it.
    pub scope: Scope,
    /// Whether it came with a token, which cannot make tokens.
    pub token: bool,
    /// What it may use; shared by all that comes with the same key.
    pub limits: Arc<KeyLimits>,
}

/// A new key or token as asked for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What it may do.
    pub role: Role,
    /// Where it may do it.
    pub scope: Scope,
}

impl Scope {
    /// Whether a library is of it.
    pub fn allows(&self, library: &str) -> bool {
        match self {
            Self::All => true,
            Self::Libraries(ids) => ids.contains(library),
        }
    }

    /// Whether all of `other` is of it.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Libraries(_), Self::All) => false,
            (Self::Libraries(own), Self::Libraries(others)) => others.is_subset(own),
        }
    }

    /// The ids, `None` for every library.
    pub fn ids(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Libraries(ids) => Some(ids.iter().cloned().collect()),
        }
    }

    /// The scope of a list of ids, of every library without one.
    pub fn of(ids: Option<Vec<String>>) -> Self {
        ids.map_or(Self::All, |ids| Self::Libraries(Arc::new(ids.into_iter().collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_parts_of_themselves() {
        let scope = |ids: &[&str]| Scope::of(Some(ids.iter().map(|id| (*id).to_owned()).collect()));
        assert!(Scope::All.includes(&scope(&["a"])) && Scope::All.includes(&Scope::All));
        assert!(scope(&["a", "b"]).includes(&scope(&["b"])) && !scope(&["b"]).includes(&scope(&["a", "b"])));
        assert!(!scope(&["a"]).includes(&Scope::All));
        assert!(scope(&["a"]).allows("a") && !scope(&["a"]).allows("b") && !scope(&[]).allows(""));
        assert!(Role::Read < Role::Write && Role::Write < Role::Admin);
    }
}
