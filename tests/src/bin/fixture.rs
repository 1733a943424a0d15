//! Makes the files of this release that its successors must open, in a folder named after its version.

use std::{fs, path::Path};

use vecino_engine::{Code, Error, Result, journal};
use vecino_server::storage::FileStorage;
use vecino_tests::fixture;

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/formats").join(env!("CARGO_PKG_VERSION"));
    let data = folder.join("data");
    fixture::make(&data)?;
    let state = journal::state_at(&FileStorage::open_read_only(&data)?, None)?;
    let written = fs::write(folder.join("content.json"), format!("{}\n", fixture::described(&state)?));
    // A lock is no part of the format.
    let written = written.and_then(|()| fs::remove_file(data.join("LOCK")));
    written.map_err(|error| Error::new(Code::Storage, error.to_string()))
}
