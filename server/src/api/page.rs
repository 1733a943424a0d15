//! Parts of listings and their cursors.

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::general_purpose::{GeneralPurpose, NO_PAD},
};
use serde::Deserialize;
use utoipa::{
    IntoParams,
    openapi::{OpenApi, RefOr, path::Parameter},
};
use vecino_engine::{Code, Error, Result, model::limits::MAX_PAGE, precision::Precision};

use super::guard;
use crate::service::Page;

/// How cursors are written. Any bytes are a place in a listing.
pub(super) const CURSORS: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The form of a cursor.
pub(super) const CURSOR: &str = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2,3})?$";

/// Items of a listing unless more are asked for.
const DEFAULT_PAGE: u64 = 100;

/// Which part of a listing is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// How many items, at most: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Where to go on: `next_cursor` of the part before.
    cursor: Option<String>,
    /// The answer knows of this write, by its `seq`; it is waited for, up to 5 seconds, then the answer is 409.
    pub(super) min_seq: Option<u64>,
}

/// Which part of a listing of chunks is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChunkPageParams {
    /// How many items, at most: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Where to go on: `next_cursor` of the part before.
    cursor: Option<String>,
    /// The answer knows of this write, by its `seq`; it is waited for, up to 5 seconds, then the answer is 409.
    pub(super) min_seq: Option<u64>,
    /// Whether the chunks tell their vectors.
    #[serde(default)]
    pub(super) embedding: bool,
}

impl PageParams {
    pub(super) fn read(&self) -> Result<Page> {
        read(self.limit, self.cursor.as_deref())
    }
}

impl ChunkPageParams {
    pub(super) fn read(&self) -> Result<Page> {
        read(self.limit, self.cursor.as_deref())
    }
}

/// How new what is read must be.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadParams {
    /// The answer knows of this write, by its `seq`; it is waited for, up to 5 seconds, then the answer is 409.
    pub(super) min_seq: Option<u64>,
}

/// Which file of a library is read, and how new it must be.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SnapshotParams {
    /// `int8` leaves the float vectors out: a quarter of the bytes, to be searched with scores that are a little off.
    #[serde(default)]
    #[param(inline)]
    pub(super) precision: Precision,
    /// The file knows of this write, by its `seq`; it is waited for, up to 5 seconds, then the answer is 409.
    pub(super) min_seq: Option<u64>,
}

/// A cursor as clients see it: letters that say nothing.
pub(super) fn cursor(item: Option<String>) -> Option<String> {
    item.map(|item| CURSORS.encode(item))
}

/// How many items are wanted.
pub(super) fn read_limit(limit: Option<u64>) -> Result<usize> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if limit == 0 || limit > MAX_PAGE as u64 {
        let detail = format!("limit is 1 to {MAX_PAGE}, received {limit}");
        return Err(Error::new(Code::InvalidValue, detail).field("limit").numbers(MAX_PAGE, limit));
    }
    Ok(limit as usize)
}

fn read(limit: Option<u64>, cursor: Option<&str>) -> Result<Page> {
    let limit = read_limit(limit)?;
    let after = cursor.map(|cursor| {
        let bytes = CURSORS.decode(cursor).ok();
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).ok_or_else(|| {
            let detail = "this is not a cursor of a listing: take next_cursor as it is, or leave it out to begin anew";
            Error::new(Code::InvalidValue, detail).field("cursor")
        })
    });
    Ok(Page { limit, after: after.transpose()? })
}

/// Says in the description what comes of a `min_seq` that is not reached.
pub(super) fn describe(description: &mut OpenApi) {
    for item in description.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            let named = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(parameter) if parameter.name == "min_seq");
            if operation.parameters.iter().flatten().any(named) {
                let answer = guard::problem(
                    "The write that `min_seq` names has not come in time, or the request does not fit the library as it is.",
                );
                operation.responses.responses.insert("409".to_owned(), answer);
            }
        }
    }
}
