//! Ids of libraries, documents and chunks.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::limits::MAX_ID_BYTES;
use crate::error::{Code, Error, Result};

/// An id: any string of 1 to 255 bytes. Cheap to clone.
///
/// Ids are ordered by their bytes, which is the order of listings. An id is unique within its kind and library.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Arc<str>);

impl Id {
    /// Takes a string as an id.
    ///
    /// # Errors
    /// [`Code::InvalidValue`] for an empty string, [`Code::LimitExceeded`] for one of over 255 bytes; the field is `id`.
    pub fn new(id: &str) -> Result<Self> {
        if id.is_empty() {
            return Err(Error::new(Code::InvalidValue, "an id is a string of 1 to 255 bytes; this one is empty").field("id"));
        }
        if id.len() > MAX_ID_BYTES {
            return Err(Error::limit("bytes of an id", MAX_ID_BYTES, id.len()).field("id"));
        }
        Ok(Self(id.into()))
    }

    /// The string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = Error;
    fn try_from(id: String) -> Result<Self> {
        Self::new(&id)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}
