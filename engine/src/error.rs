//! The one error type: what was refused or failed, said so that a caller can act on it.
//!
//! An [`Error`] has a stable [`Code`] for programs, a sentence for people, and, where they exist, the field and the numbers
//! (what was expected, what was received). It is the same value in the engine, in a problem document of the server and in an
//! exception of the browser module.

use std::fmt;

use serde::Serialize;

/// Shorthand for a result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        /// What went wrong, as a stable name. Codes are never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// Every code with its meaning, in the order of this file.
            pub const ALL: &'static [(Code, &'static str)] = &[$((Code::$name, concat!($($doc),+)),)+];

            /// The name under which programs know this code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The value of a field is not acceptable.
    InvalidValue = "invalid_value";
    /// The value of a field has the wrong type.
    WrongType = "wrong_type";
    /// A field or a parameter of this name does not exist.
    UnknownField = "unknown_field";
    /// A filter uses an operator that does not exist.
    UnknownOperator = "unknown_operator";
    /// A vector has not the dimension that the library's contract fixes.
    WrongDimension = "wrong_dimension";
    /// A vector holds a NaN, an infinity or a component that is too large.
    NotFinite = "not_finite";
    /// A vector without a direction, under the cosine metric.
    ZeroVector = "zero_vector";
    /// A text is empty or holds only white space.
    EmptyText = "empty_text";
    /// A limit of the limits table is exceeded.
    LimitExceeded = "limit_exceeded";
    /// The library has no embedding model, or another one, so that text cannot be compared with its vectors.
    EmbeddingModel = "embedding_model";
    /// No library of this id or name.
    LibraryNotFound = "library_not_found";
    /// No document of this id.
    DocumentNotFound = "document_not_found";
    /// No chunk of this id.
    ChunkNotFound = "chunk_not_found";
    /// No attribute field of this name.
    FieldNotFound = "field_not_found";
    /// No alias of this name.
    AliasNotFound = "alias_not_found";
    /// An attribute field of this name exists already.
    FieldExists = "field_exists";
    /// A library of this name exists already.
    LibraryExists = "library_exists";
    /// A document of this id exists already.
    DocumentExists = "document_exists";
    /// A chunk of this id exists already.
    ChunkExists = "chunk_exists";
    /// The library has changed since the write that the request names.
    Changed = "changed";
    /// Stored bytes are damaged: a checksum, a length or a number is wrong.
    Damaged = "damaged";
    /// Stored bytes are of a format version that this build does not know.
    UnsupportedVersion = "unsupported_version";
    /// Another process owns the data folder.
    Locked = "locked";
    /// The storage failed: a file cannot be read or written, and the like.
    Storage = "storage";
    /// There is no room on the disk. Reading goes on; writing goes on when there is room again.
    StorageFull = "storage_full";
    /// More writes wait than the server takes. Try again in a moment.
    Overloaded = "overloaded";
}

/// A refusal or a failure. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Error {
    /// The stable name.
    pub code: Code,
    /// What happened and what to do, as a sentence for people.
    pub detail: String,
    /// The field at fault, as a path such as `chunks[3].embedding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<serde_json::Value>,
    /// What came instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<serde_json::Value>,
    /// Whether what was asked is right by itself, and only does not fit the library as it is.
    #[serde(skip)]
    pub unfit: bool,
}

impl Error {
    /// An error with a code and a sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), field: None, expected: None, received: None, unfit: false }
    }

    /// Says that what was asked is right by itself, and only does not fit the library as it is.
    #[must_use]
    pub fn unfit(mut self) -> Self {
        self.unfit = true;
        self
    }

    /// Names the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Puts `prefix` before the field's path: `[3]` or `chunks` before `embedding`.
    #[must_use]
    pub fn within(mut self, prefix: impl fmt::Display) -> Self {
        self.field = Some(match self.field {
            Some(field) if field.starts_with('[') => format!("{prefix}{field}"),
            Some(field) => format!("{prefix}.{field}"),
            None => prefix.to_string(),
        });
        self
    }

    /// Says what was expected and what was received.
    #[must_use]
    pub fn numbers(mut self, expected: impl Into<serde_json::Value>, received: impl Into<serde_json::Value>) -> Self {
        self.expected = Some(expected.into());
        self.received = Some(received.into());
        self
    }

    /// A limit of the table that `what` exceeds.
    pub fn limit(what: &str, limit: usize, received: usize) -> Self {
        Self::new(Code::LimitExceeded, format!("{what}: at most {limit}, received {received}")).numbers(limit, received)
    }

    /// Damaged bytes in `place`, at `offset`.
    pub fn damaged(place: impl fmt::Display, offset: u64, why: impl fmt::Display) -> Self {
        Self::new(Code::Damaged, format!("damaged at byte {offset}: {why}")).field(place.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "{} [{}]", self.detail, self.code.as_str())
    }
}

impl std::error::Error for Error {}
