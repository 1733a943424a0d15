//! When a write is answered.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::store::Durability;

/// What every write can be told.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WriteParams {
    /// When the write is answered: `synced` unless told, when it is on the disk and outlives a power cut; or `logged`, when the
    /// operating system has it: then it outlives a crash of the server, and a power cut from 50 ms later on.
    #[serde(default)]
    #[param(inline)]
    pub(super) durability: Durability,
}
