//! Matrices from files, in the format that the ending of the name says: `.npy`, `.fvecs`, `.bvecs` or `.ivecs`.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use vecino_engine::{
    blob::{AlignedBytes, Blob},
    distance::{self, Metric},
    vectors::Vectors,
};

use crate::{npy, xvecs};

/// A matrix, row by row.
pub(crate) struct Matrix<T> {
    pub(crate) columns: usize,
    pub(crate) values: Vec<T>,
}

impl<T> Matrix<T> {
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.values.chunks_exact(self.columns.max(1))
    }
}

impl Matrix<f32> {
    /// Keeps the first rows; 0 keeps all.
    pub(crate) fn limit(&mut self, rows: usize) {
        if rows > 0 {
            self.values.truncate(rows.saturating_mul(self.columns));
        }
    }

    /// Brings rows into the form that a metric compares: of unit length under cosine.
    ///
    /// # Errors
    /// Under cosine, the number of a row that has no direction.
    pub(crate) fn prepare(&mut self, metric: Metric) -> Result<()> {
        if metric == Metric::Cosine {
            for (number, row) in self.values.chunks_exact_mut(self.columns.max(1)).enumerate() {
                distance::normalise(row).map_err(|error| anyhow!("row {number}: {error:?}"))?;
            }
        }
        Ok(())
    }

    /// The rows as the engine holds them.
    pub(crate) fn vectors(&self) -> Result<Vectors> {
        let blob = Blob::new(AlignedBytes::from(bytemuck::cast_slice(&self.values)));
        Vectors::mapped(self.columns, self.rows().len(), &blob, 0).context("the vectors do not fit")
    }
}

/// Reads a matrix of floats whose rows are as a metric compares them.
pub(crate) fn prepared(path: &Path, metric: Metric, limit: usize) -> Result<Matrix<f32>> {
    let mut matrix = floats(path)?;
    matrix.limit(limit);
    matrix.prepare(metric).with_context(|| format!("{}", path.display()))?;
    Ok(matrix)
}

/// Reads a matrix of floats: `.npy` of 16, 32 or 64 bits, `.fvecs`, or the bytes of `.bvecs`.
pub(crate) fn floats(path: &Path) -> Result<Matrix<f32>> {
    let matrix = read(path, |ending, bytes| match ending {
        "npy" => npy::floats(bytes),
        "fvecs" => xvecs::parse(bytes, 4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        "bvecs" => xvecs::parse(bytes, 1, |b| f32::from(b[0])),
        _ => bail!("floats are read from .npy, .fvecs and .bvecs"),
    })?;
    let strange = matrix.values.iter().position(|value| !value.is_finite());
    if let Some(place) = strange {
        bail!("{}: row {} has a number that is not finite", path.display(), place / matrix.columns.max(1));
    }
    Ok(matrix)
}

/// Reads a matrix of whole numbers: `.npy` of 32 or 64 bits, or `.ivecs`.
pub(crate) fn integers(path: &Path) -> Result<Matrix<i64>> {
    read(path, |ending, bytes| match ending {
        "npy" => npy::integers(bytes),
        "ivecs" => xvecs::parse(bytes, 4, |b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        _ => bail!("whole numbers are read from .npy and .ivecs"),
    })
}

/// Reads a matrix of row numbers. What is no row number (-1 for none) is left out of its row.
pub(crate) fn row_numbers(path: &Path) -> Result<Vec<Vec<u32>>> {
    Ok(integers(path)?.rows().map(|row| row.iter().filter_map(|number| u32::try_from(*number).ok()).collect()).collect())
}

fn read<T>(path: &Path, parse: impl Fn(&str, &[u8]) -> Result<(usize, Vec<T>)>) -> Result<Matrix<T>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (columns, values) = parse(&ending, &bytes).with_context(|| format!("{}", path.display()))?;
    ensure!(columns > 0, "{}: the rows are empty", path.display());
    Ok(Matrix { columns, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides() {
        let folder = tempfile::tempdir().unwrap();
        let row = |elements: &[u8], length: i32| [&length.to_le_bytes()[..], elements].concat();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let numbers = [1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat();
        assert_eq!(floats(&write("a.fvecs", &row(&numbers, 2))).unwrap().values, [1.5, -2.0]);
        let short = floats(&write("a.bvecs", &row(&[7, 200], 2))).unwrap();
        assert_eq!((short.columns, short.rows().len(), &short.values[..]), (2, 1, &[7.0, 200.0][..]));
        let numbers = [3_i32.to_le_bytes(), (-1_i32).to_le_bytes()].concat();
        let path = write("a.ivecs", &row(&numbers, 2));
        assert_eq!(integers(&path).unwrap().values, [3, -1]);
        assert_eq!(row_numbers(&path).unwrap(), [[3]]);
        let said = |error: anyhow::Error| format!("{error:#}");
        assert!(said(floats(&path).err().unwrap()).contains(".fvecs"));
        assert!(said(integers(&write("a.txt", b"1 2")).err().unwrap()).contains(".ivecs"));
        assert!(said(floats(&write("b.npy", b"no")).err().unwrap()).contains("b.npy: not an .npy file"));
        assert!(said(floats(&folder.path().join("none.npy")).err().unwrap()).contains("cannot read"));
        let bytes = [
            &b"\x93NUMPY\x01\x00"[..],
            &60_u16.to_le_bytes(),
            format!("{:59}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }").as_bytes(),
            &[0, 7, 255],
        ]
        .concat();
        assert_eq!(floats(&write("c.npy", &bytes)).unwrap().values, [0.0, 7.0, 255.0]);
        let strange = write("b.fvecs", &row(&f32::NAN.to_le_bytes(), 1));
        assert!(said(floats(&strange).err().unwrap()).contains("row 0 has a number that is not finite"));
    }
}
