//! Reading matrices from `.fvecs`, `.bvecs` and `.ivecs` files: each row is its length as a 32-bit integer and then its elements,
//! all little endian.

use anyhow::{Context, Result, ensure};

/// Rows of elements of `width` bytes, as the number of columns and the elements one after the other.
pub(crate) fn parse<T>(bytes: &[u8], width: usize, element: impl Fn(&[u8]) -> T) -> Result<(usize, Vec<T>)> {
    let (first, _) = bytes.split_first_chunk::<4>().context("the file is empty or cut short")?;
    let columns = usize::try_from(i32::from_le_bytes(*first)).ok().filter(|columns| *columns > 0);
    let columns = columns.with_context(|| format!("a row cannot have {} elements", i32::from_le_bytes(*first)))?;
    let row = columns.checked_mul(width).and_then(|row| row.checked_add(4)).context("the rows are too long")?;
    ensure!(bytes.len().is_multiple_of(row), "the file is cut short, or its rows are not all of {columns} elements");
    let mut values = Vec::with_capacity(bytes.len() / row * columns);
    for (number, row) in bytes.chunks_exact(row).enumerate() {
        let (length, elements) = row.split_at(4);
        ensure!(length == &first[..], "row {number} is not of {columns} elements, as those before it are");
        values.extend(elements.chunks_exact(width).map(&element));
    }
    Ok((columns, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: &[&[u8]]) -> Vec<u8> {
        rows.iter().flat_map(|row| [&(row.len() as i32).to_le_bytes()[..], row].concat()).collect()
    }

    #[test]
    fn rows_are_read() {
        let bytes = file(&[&[1, 2, 255], &[4, 5, 6]]);
        let (columns, values) = parse(&bytes, 1, |b| b[0]).unwrap();
        assert_eq!((columns, values), (3, vec![1, 2, 255, 4, 5, 6]));
    }

    #[test]
    fn broken_files_are_refused() {
        let good = file(&[&[1, 2, 3], &[4, 5, 6]]);
        for cut in (0..good.len()).filter(|cut| *cut != good.len() / 2) {
            assert!(parse(&good[..cut], 1, |b| b[0]).is_err(), "{cut} bytes");
        }
        assert!(parse(&file(&[&[1, 2], &[3]]), 1, |b| b[0]).is_err());
        assert!(parse(&file(&[&[]]), 1, |b| b[0]).is_err());
        assert!(parse(&(-1_i32).to_le_bytes(), 1, |b| b[0]).is_err());
        // As long as two rows of three, but the second says that it has two.
        let mut wrong = good;
        wrong[7] = 2;
        assert!(parse(&wrong, 1, |b| b[0]).is_err());
    }
}
