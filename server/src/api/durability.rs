//! When a write is answered.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::{service::WriteOptions, store::Durability};

/// What every write can be told.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WriteParams {
    /// When the write is answered: `synced` unless told, when it is on the disk and outlives a power cut; or `logged`, when the
    /// operating system has it: then it outlives a crash of the server, and a power cut from 50 ms later on.
    #[serde(default)]
    #[param(inline)]
    durability: Durability,
    /// The write is done only if the library was last changed by this write: its `seq`. Else the answer is 409.
    if_seq: Option<u64>,
}

impl WriteParams {
    pub(super) fn options(self) -> WriteOptions {
        WriteOptions { durability: self.durability, if_seq: self.if_seq }
    }
}

/// What the creation of something can be told: nothing is there yet that it could be held against.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CreateParams {
    /// When the write is answered, as for every write: `synced` unless told, or `logged`.
    #[serde(default)]
    #[param(inline)]
    durability: Durability,
}

impl CreateParams {
    pub(super) fn options(self) -> WriteOptions {
        WriteOptions { durability: self.durability, if_seq: None }
    }
}
