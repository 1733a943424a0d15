//! An open index in one file: a line of JSON that says what follows, and from the next 64-byte boundary on the rows, the codes
//! and the index.

use std::{
    fs::{self, File},
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use vecino_engine::{
    blob::{AlignedBytes, Blob},
    codes::Codes,
    vectors::Vectors,
};

use super::{MetricName, Open};
use crate::index::{Index, IndexName};

const FORMAT: &str = "vecino-bench rpc 1";
const ALIGNED: usize = 64;

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    index: IndexName,
    metric: MetricName,
    dimension: usize,
    rows: usize,
    code_bytes: usize,
    index_bytes: usize,
    meta: Option<PathBuf>,
}

impl Open {
    /// Writes everything to `path`; the size of the file.
    pub(super) fn save(&self, path: &Path) -> Result<usize> {
        let codes = if self.name.with_codes() { self.codes.to_bytes() } else { Vec::new() };
        let index = self.index.to_bytes();
        let head = Head {
            format: FORMAT.to_owned(),
            index: self.name,
            metric: self.metric,
            dimension: self.vectors.dimension(),
            rows: self.vectors.rows(),
            code_bytes: codes.len(),
            index_bytes: index.len(),
            meta: self.meta.clone(),
        };
        let mut line = serde_json::to_vec(&head)?;
        line.resize((line.len() + 1).next_multiple_of(ALIGNED) - 1, b' ');
        line.push(b'\n');
        let mut size = line.len() + codes.len() + index.len();
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&line)?;
        for page in 0..self.vectors.pages() {
            let bytes: Vec<u8> = self.vectors.page(page).iter().flat_map(|float| float.to_le_bytes()).collect();
            file.write_all(&bytes)?;
            size += bytes.len();
        }
        file.write_all(&codes)?;
        file.write_all(&index)?;
        file.flush()?;
        Ok(size)
    }

    /// Reads what [`save`](Self::save) wrote.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let mut bytes = AlignedBytes::zeroed(usize::try_from(fs::metadata(path)?.len())?);
        File::open(path)?.read_exact(bytes.as_mut_slice())?;
        let blob = Blob::new(bytes);
        let bytes = blob.bytes();
        let short = "the file is damaged";
        let line = bytes.iter().position(|byte| *byte == b'\n').context("this is no saved index")?;
        let head: Head = serde_json::from_slice(&bytes[..line]).context("this is no saved index")?;
        ensure!(head.format == FORMAT, "the format {} is unknown", head.format);
        let vectors = Vectors::mapped(head.dimension, head.rows, &blob, line + 1).context(short)?;
        let rest = &bytes[line + 1 + head.rows * head.dimension * 4..];
        let (codes, index) = rest.split_at_checked(head.code_bytes).context(short)?;
        ensure!(index.len() == head.index_bytes, short);
        let codes = if head.index.with_codes() {
            Codes::from_bytes(head.dimension, head.rows, codes).context(short)?
        } else {
            Codes::new(head.dimension)
        };
        let index = Index::from_bytes(head.index, head.metric.into(), &vectors, index)?;
        Ok(Self::new(head.index, head.metric, vectors, codes, index, head.meta))
    }
}
