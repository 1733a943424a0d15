//! Matrices in `.npy` files.

use anyhow::{Context, Result, bail, ensure};

/// Columns and values of a matrix of 16-, 32- or 64-bit floats, or of bytes.
pub(crate) fn floats(bytes: &[u8]) -> Result<(usize, Vec<f32>)> {
    let (kind, columns, data) = header(bytes)?;
    let values = match kind.as_str() {
        "<f2" => data.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
        "<f4" => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        "|u1" => data.iter().map(|b| f32::from(*b)).collect(),
        "|i1" => data.iter().map(|b| f32::from(*b as i8)).collect(),
        "<f8" => {
            data.chunks_exact(8).map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32).collect()
        }
        _ => bail!("floats wanted, found {kind}"),
    };
    Ok((columns, values))
}

/// Columns and values of a matrix of 32- or 64-bit integers; those beyond the range of signed ones are -1.
pub(crate) fn integers(bytes: &[u8]) -> Result<(usize, Vec<i64>)> {
    let (kind, columns, data) = header(bytes)?;
    let values = match kind.as_str() {
        "<i4" => data.chunks_exact(4).map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        "<u4" => data.chunks_exact(4).map(|b| i64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
        "<u8" => data
            .chunks_exact(8)
            .map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .map(|n| i64::try_from(n).unwrap_or(-1))
            .collect(),
        "<i8" => data.chunks_exact(8).map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect(),
        _ => bail!("integers wanted, found {kind}"),
    };
    Ok((columns, values))
}

/// The bytes of a file with `columns` integers of 32 bits in each row.
pub(crate) fn of_integers(columns: usize, values: &[i32]) -> Vec<u8> {
    let rows = values.len() / columns.max(1);
    let mut text = format!("{{'descr': '<i4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // The data begins on a 64-byte boundary.
    text.extend(std::iter::repeat_n(' ', 63 - (10 + text.len()) % 64));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The element type, the number of columns and the elements.
fn header(bytes: &[u8]) -> Result<(String, usize, &[u8])> {
    ensure!(bytes.starts_with(b"\x93NUMPY") && bytes.len() >= 12, "not an .npy file");
    let (start, len) = match bytes[6] {
        1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
        _ => (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize),
    };
    let text = bytes.get(start..start + len).context("the header is cut short")?;
    let text = std::str::from_utf8(text).context("the header is no text")?;
    let after = |name: &str| text.split_once(name).map(|(_, rest)| rest).with_context(|| format!("no {name} in the header"));
    ensure!(after("'fortran_order':")?.trim_start().starts_with("False"), "columns first is not supported");
    let kind = after("'descr':")?.split('\'').nth(1).context("no element type")?.to_owned();
    let shape = after("'shape':")?.split(['(', ')']).nth(1).context("no shape")?;
    let shape: Vec<usize> = shape.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    let (rows, columns) = match shape[..] {
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        _ => bail!("a matrix is wanted, found shape {shape:?}"),
    };
    let width: usize = kind.get(2..).and_then(|width| width.parse().ok()).context("no width of elements")?;
    let data = bytes.get(start + len..).unwrap_or_default();
    let size = rows.checked_mul(columns).and_then(|elements| elements.checked_mul(width));
    ensure!(Some(data.len()) == size, "the file is cut short, or longer than it says");
    Ok((kind, columns, data))
}

/// A 16-bit float.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15), u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction as f32 * (1.0 / 16_777_216.0),
        31 => f32::from_bits(0x7f80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign << 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_that_are_known() {
        let known =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65_504.0), (0x0001, 5.960_464_5e-8), (0x8000, -0.0), (0x3555, 0.333_251_95)];
        for (bits, value) in known {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value), "{bits:x}");
        }
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn a_matrix_is_read_and_a_broken_one_is_refused() {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n";
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        file.extend([1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        let (kind, columns, data) = header(&file).unwrap();
        assert_eq!((kind.as_str(), columns, data.len()), ("<f4", 1, 8));
        for cut in 0..file.len() {
            assert!(header(&file[..cut]).is_err());
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (columns, values) in [(2, vec![1, -1, 7, i32::MAX]), (3, Vec::new())] {
            let bytes = of_integers(columns, &values);
            assert_eq!((bytes.len() - 4 * values.len()) % 64, 0);
            assert_eq!(integers(&bytes).unwrap(), (columns, values.into_iter().map(i64::from).collect()));
            assert!(floats(&bytes).is_err());
        }
    }
}
