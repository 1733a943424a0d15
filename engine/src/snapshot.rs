//! The snapshot file, `.vecino`: one library, used in place.
//!
//! Everything is little endian; checksums are CRC-32C. Sections begin at multiples of 64 bytes, so that a mapped file, or a
//! buffer in a tab, is used where it lies.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `VECINO\r\n` |
//! | 4 | format version, 1 |
//! | 4 | number of sections |
//! | 8 | length of the file |
//! | 8 | sequence of the last record in it |
//! | 28 | 0 |
//! | 4 | checksum of the header (without this field) and of the section table |
//!
//! | bytes | entry of the section table |
//! |---|---|
//! | 4 | tag |
//! | 4 | checksum of the section |
//! | 8 | offset |
//! | 8 | length |
//!
//! | tag | section |
//! |---|---|
//! | `SUMM` | postcard of `SummaryImage` (see `summary`): what is said of the library without opening it |
//! | `META` | postcard of `Image` (below): the library, its fields, its documents and chunks by slot |
//! | `TEXT` | the texts of the chunks, UTF-8, in order of the slots, without separators |
//! | `VECS` | the float rows of all slots, zero where a slot is free; missing in a file of precision `int8` |
//! | `CODE` | the int8 codes of all slots: the codes, each padded to 64 bytes, then scales, norms and residuals |
//! | `ALIA` | postcard of the aliases, where there are any |
//! | `STAT` | postcard of `IndexImage` (see `image`): which index it is, how far it is, and its measured recall |
//! | `INDX` | the bytes of the index |
//!
//! `SUMM`, `CODE`, `STAT` and `INDX` are derived from the others. Where one of them is damaged or missing, the library opens all the
//! same, with a warning; the index is then built anew. Without `VECS` there is nothing to make codes of, so that `CODE` is needed, and
//! a library whose index is damaged compares all rows. See [`precision`](crate::precision).
//!
//! A library is a function of the log, and its snapshot of the library: equal logs give equal bytes. A library whose index has
//! work waiting is brought up to date first. A reader ignores tags that it does not know.

mod image;
mod in_place;
mod summary;

use std::{io, sync::Arc};

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::{
    blob::{AlignedBytes, Blob},
    codes::Codes,
    error::{Code, Error, Result},
    indexing::Occasion,
    library::{ChunkEntry, DocumentEntry, Library},
    model::{Attributes, ChunkMetadata, Document, Field, Id, LibraryInfo, limits::MAX_DIMENSION},
    pool::Sequential,
    precision::Precision,
    slots::SlotSet,
    texts::Texts,
    vectors::Vectors,
};

use self::{image::IndexImage, summary::SummaryImage};
pub use self::{in_place::InPlace, summary::summary};

/// Version of the snapshot format.
pub const SNAPSHOT_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"VECINO\r\n";
const HEADER: usize = 64;
const ENTRY: usize = 24;
const ALIGN: usize = 64;
const SUMM: [u8; 4] = *b"SUMM";
const META: [u8; 4] = *b"META";
const TEXT: [u8; 4] = *b"TEXT";
const ALIA: [u8; 4] = *b"ALIA";
const VECS: [u8; 4] = *b"VECS";
const CODE: [u8; 4] = *b"CODE";
const STAT: [u8; 4] = *b"STAT";
const INDX: [u8; 4] = *b"INDX";

/// What can be made again from the rest.
const DERIVED: [[u8; 4]; 4] = [SUMM, CODE, STAT, INDX];

/// The `META` section.
#[derive(Serialize, Deserialize)]
struct Image {
    info: LibraryInfo,
    fields: Vec<Field>,
    documents: Vec<Option<DocumentImage>>,
    chunks: Vec<Option<ChunkImage>>,
}

#[derive(Serialize, Deserialize)]
struct DocumentImage {
    document: Document,
    chunks: Vec<u32>,
    next_index: u32,
}

#[derive(Serialize, Deserialize)]
struct ChunkImage {
    id: Id,
    document: u32,
    metadata: ChunkMetadata,
    attributes: Attributes,
    text_bytes: u32,
}

/// A section to be written: its tag and its bytes in pieces.
struct Section<'a> {
    tag: [u8; 4],
    pieces: Vec<&'a [u8]>,
}

impl Section<'_> {
    fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    fn checksum(&self) -> u32 {
        self.pieces.iter().fold(0, |sum, piece| crc32c::crc32c_append(sum, piece))
    }
}

/// Writes the snapshot of a library. If work waits for its index, it is done first, on the calling thread: better
/// [settle](Library::settled) the library before. A library [without float rows](Library::without_floats) gives a file without them.
///
/// # Errors
/// Those of `out`.
pub fn write(library: &Library, out: &mut dyn io::Write) -> io::Result<()> {
    let library = &library.settled(&Sequential);
    let image = Image {
        info: (*library.info).clone(),
        fields: library.fields.list().to_vec(),
        documents: library.documents.iter().map(|entry| entry.as_deref().map(document_image)).collect(),
        chunks: (0_u32..)
            .zip(&library.chunks)
            .map(|(slot, entry)| entry.as_ref().map(|entry| image_of(library, slot, entry)))
            .collect(),
    };
    let meta = postcard::to_allocvec(&image).map_err(io::Error::other)?;
    let summary = postcard::to_allocvec(&SummaryImage::of(library)).map_err(io::Error::other)?;
    let slots = 0..library.chunks.len() as u32;
    let rows: Vec<&[u8]> = (0..library.vectors.pages()).map(|page| bytemuck::cast_slice(library.vectors.page(page))).collect();
    let state = postcard::to_allocvec(&IndexImage::of(library)).map_err(io::Error::other)?;
    let index = library.indexing.serving.index.to_bytes();
    let aliases = postcard::to_allocvec(&*library.aliases).map_err(io::Error::other)?;
    let mut sections = vec![
        Section { tag: SUMM, pieces: vec![&summary] },
        Section { tag: META, pieces: vec![&meta] },
        Section { tag: TEXT, pieces: slots.map(|slot| library.texts.get(slot).as_bytes()).collect() },
        Section { tag: CODE, pieces: library.codes.pieces() },
        Section { tag: STAT, pieces: vec![&state] },
        Section { tag: INDX, pieces: vec![&index] },
    ];
    if library.precision() == Precision::Float32 {
        sections.insert(3, Section { tag: VECS, pieces: rows });
    }
    if !library.aliases.is_empty() {
        sections.push(Section { tag: ALIA, pieces: vec![&aliases] });
    }
    write_sections(&sections, library.seq, out)
}

fn document_image(entry: &DocumentEntry) -> DocumentImage {
    DocumentImage {
        document: entry.document.clone(),
        chunks: entry.chunks.iter().copied().collect(),
        next_index: entry.next_index,
    }
}

fn image_of(library: &Library, slot: u32, entry: &ChunkEntry) -> ChunkImage {
    ChunkImage {
        id: entry.id.clone(),
        document: entry.document,
        metadata: entry.metadata.clone(),
        attributes: entry.attributes.clone(),
        // A text has at most 10,000 characters.
        text_bytes: library.texts.get(slot).len() as u32,
    }
}

fn write_sections(sections: &[Section<'_>], seq: u64, out: &mut dyn io::Write) -> io::Result<()> {
    let mut offset = (HEADER + ENTRY * sections.len()).next_multiple_of(ALIGN);
    let table_end = offset;
    let mut table = Vec::with_capacity(table_end - HEADER);
    for section in sections {
        table.extend_from_slice(&section.tag);
        table.extend_from_slice(&section.checksum().to_le_bytes());
        table.extend_from_slice(&(offset as u64).to_le_bytes());
        table.extend_from_slice(&(section.len() as u64).to_le_bytes());
        offset = (offset + section.len()).next_multiple_of(ALIGN);
    }
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    header[16..24].copy_from_slice(&(offset as u64).to_le_bytes());
    header[24..32].copy_from_slice(&seq.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&header[..60]), &table);
    header[60..].copy_from_slice(&sum.to_le_bytes());
    out.write_all(&header)?;
    out.write_all(&table)?;
    pad(out, HEADER + table.len())?;
    for section in sections {
        for piece in &section.pieces {
            out.write_all(piece)?;
        }
        pad(out, section.len())?;
    }
    Ok(())
}

fn pad(out: &mut dyn io::Write, written: usize) -> io::Result<()> {
    out.write_all(&[0; ALIGN][..written.next_multiple_of(ALIGN) - written])
}

/// The snapshot of a library as bytes.
///
/// # Errors
/// [`Code::Storage`] when the library cannot be encoded.
pub fn to_bytes(library: &Library) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(library, &mut bytes).map_err(|error| Error::new(Code::Storage, error.to_string()))?;
    Ok(bytes)
}

/// A section that was found: its tag, offset and length.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The tag.
    pub tag: [u8; 4],
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
    /// What is wrong with it, if it is one of those that can be made again.
    pub damage: Option<Error>,
}

/// Verifies every checksum of a snapshot and returns the sequence and the sections. `name` stands in messages.
///
/// # Errors
/// [`Code::Damaged`] with the offset, or [`Code::UnsupportedVersion`]; not for sections that can be made again, which carry their
/// damage.
pub fn verify(name: &str, bytes: &[u8]) -> Result<(u64, Vec<Found>)> {
    let (seq, table_end, sections) = scan(name, bytes)?;
    let vital = sections.iter().find(|found| !DERIVED.contains(&found.tag) && found.damage.is_some());
    if let Some(damage) = vital.and_then(|found| found.damage.clone()) {
        return Err(damage);
    }
    check_padding(name, bytes, table_end, &sections)?;
    Ok((seq, sections))
}

/// Every damaged section of a snapshot, as far as its header can be read.
pub fn damage(name: &str, bytes: &[u8]) -> Vec<Error> {
    match scan(name, bytes) {
        Ok((_, table_end, sections)) => {
            let padding = check_padding(name, bytes, table_end, &sections).err();
            sections.into_iter().filter_map(|found| found.damage).chain(padding).collect()
        }
        Err(error) => vec![error],
    }
}

/// What the header of a snapshot tells: the sequence, the end of the table, and the sections with their checksums.
struct Contents {
    seq: u64,
    table_end: usize,
    sections: Vec<(Found, u32)>,
}

/// The sequence, the end of the table and the sections, which carry their damage.
fn scan(name: &str, bytes: &[u8]) -> Result<(u64, usize, Vec<Found>)> {
    let Contents { seq, table_end, sections } = contents(name, bytes)?;
    let verified = |(found, sum): (Found, u32)| Found { damage: found.damage(name, bytes, sum), ..found };
    Ok((seq, table_end, sections.into_iter().map(verified).collect()))
}

impl Found {
    fn content<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        // `contents` has checked that it lies in the file.
        bytes.get(self.offset..self.offset + self.len).unwrap_or_default()
    }

    fn damage(&self, name: &str, bytes: &[u8], sum: u32) -> Option<Error> {
        let (found, tag) = (crc32c::crc32c(self.content(bytes)), String::from_utf8_lossy(&self.tag));
        let detail = format!("the checksum of section {tag} is wrong");
        (found != sum).then(|| Error::damaged(name, self.offset as u64, detail).numbers(sum, found))
    }
}

/// Reads the header, and nothing of the sections.
fn contents(name: &str, bytes: &[u8]) -> Result<Contents> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Err(Error::damaged(name, bytes.len() as u64, "the file ends within its header").numbers(HEADER, bytes.len()));
    };
    if &header[..8] != MAGIC {
        return Err(Error::damaged(name, 0, "it does not begin with the mark of a Vecino snapshot"));
    }
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |bytes: &[u8], at: usize| u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32;
    let version = word(header, 8);
    if version != SNAPSHOT_VERSION {
        let detail = format!("{name} has snapshot format {version}; this build reads format {SNAPSHOT_VERSION}");
        return Err(Error::new(Code::UnsupportedVersion, detail).numbers(SNAPSHOT_VERSION, version));
    }
    let (count, length, seq) = (word(header, 12) as usize, long(header, 16), long(header, 24));
    let table = count.checked_mul(ENTRY).and_then(|len| bytes.get(HEADER..HEADER.checked_add(len)?));
    let Some(table) = table else { return Err(Error::damaged(name, 12, "the file ends within its section table")) };
    let sum = crc32c::crc32c_append(crc32c::crc32c(&header[..60]), table);
    if sum != word(header, 60) {
        return Err(Error::damaged(name, 60, "the checksum of the header is wrong").numbers(sum, word(header, 60)));
    }
    if length != bytes.len() as u64 {
        let detail = if length > bytes.len() as u64 { "the file was cut short" } else { "the file has bytes after its end" };
        return Err(Error::damaged(name, length.min(bytes.len() as u64), detail).numbers(length, bytes.len()));
    }
    let mut sections = Vec::with_capacity(count);
    for entry in table.chunks_exact(ENTRY) {
        let (sum, offset, len) = (word(entry, 4), long(entry, 8), long(entry, 16));
        let place = || Some(usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(len)?).ok()?);
        let tag = [entry[0], entry[1], entry[2], entry[3]];
        let shown = String::from_utf8_lossy(&tag).into_owned();
        if place().and_then(|place| bytes.get(place)).is_none() {
            return Err(Error::damaged(name, offset, format!("section {shown} lies outside the file")));
        }
        sections.push((Found { tag, offset: offset as usize, len: len as usize, damage: None }, sum));
    }
    Ok(Contents { seq, table_end: HEADER + table.len(), sections })
}

/// Sections follow each other, and what lies between them is zero: so every bit of a file is accounted for.
fn check_padding(name: &str, bytes: &[u8], table_end: usize, sections: &[Found]) -> Result<()> {
    let mut at = table_end;
    let ends = sections.iter().map(|section| (section.offset, section.offset + section.len));
    for (start, end) in ends.chain([(bytes.len(), bytes.len())]) {
        let between = bytes.get(at..start).filter(|between| between.iter().all(|byte| *byte == 0));
        if between.is_none() {
            return Err(Error::damaged(name, at as u64, "the bytes between two sections are not zero"));
        }
        at = end;
    }
    Ok(())
}

/// A library from a snapshot.
#[derive(Debug)]
pub struct Opened {
    /// The library.
    pub library: Library,
    /// Damage to what can be made again, and was or will be.
    pub damage: Vec<Error>,
}

impl Opened {
    /// The library, unless anything was damaged.
    ///
    /// # Errors
    /// The first damage.
    pub fn intact(self) -> Result<Library> {
        self.damage.into_iter().next().map_or(Ok(self.library), Err)
    }
}

/// Opens a snapshot in place, with its float rows. Cost: one pass over the bytes for the checksums, the decoding of the metadata and
/// of the index, and a copy of the codes.
///
/// # Errors
/// As [`verify`]; also [`Code::Damaged`] when the contents contradict themselves, or float rows are missing.
pub fn open(name: &str, blob: &Blob) -> Result<Opened> {
    open_as(name, blob, Some(Precision::Float32))
}

/// Opens a snapshot in place, at a precision or, without one, at that which the file has.
///
/// # Errors
/// As [`open`].
pub fn open_as(name: &str, blob: &Blob, precision: Option<Precision>) -> Result<Opened> {
    let (seq, sections) = verify(name, blob.bytes())?;
    let section = |tag: [u8; 4]| {
        let missing = || Error::damaged(name, HEADER as u64, format!("section {} is missing", String::from_utf8_lossy(&tag)));
        let found = sections.iter().find(|found| found.tag == tag).ok_or_else(missing)?;
        found.damage.clone().map_or(Ok(found), Err)
    };
    let (meta, text) = (section(META)?, section(TEXT)?);
    let has_floats = sections.iter().any(|found| found.tag == VECS);
    let vecs = match precision.unwrap_or(if has_floats { Precision::Float32 } else { Precision::Int8 }) {
        Precision::Float32 => Some(section(VECS)?),
        Precision::Int8 => None,
    };
    let wrong = |found: &Found, why: &str| wrong(name, found, why);
    let image: Image = postcard::from_bytes(&blob.bytes()[meta.offset..meta.offset + meta.len])
        .map_err(|error| wrong(meta, &format!("the metadata cannot be decoded: {error}")))?;

    let lens = image.chunks.iter().map(|chunk| chunk.as_ref().map_or(0, |chunk| chunk.text_bytes as usize)).collect();
    let dimension = image.info.contract.dimension.unwrap_or(0) as usize;
    let rows = image.chunks.len();
    let (texts, vectors) = mapped(name, blob, (text, lens), (vecs, rows, dimension))?;

    let mut library = Library::new(image.info, image.fields, seq);
    library.documents = image.documents.into_iter().map(|image| image.map(document_entry).map(Arc::new)).collect();
    library.chunks = image.chunks.into_iter().map(|image| image.map(chunk_entry).map(Arc::new)).collect();
    (library.document_places, library.document_ids) = places(&library.documents, |entry| &entry.document.id);
    (library.live, library.chunk_ids) = places(&library.chunks, |entry| &entry.id);
    library.texts = texts;
    library.vectors = vectors;
    consistent(&library).map_err(|why| wrong(meta, why))?;
    let content = |tag| section(tag).map(|found| (found, found.content(blob.bytes())));
    if let Ok((found, bytes)) = content(ALIA) {
        let aliases = postcard::from_bytes(bytes).map_err(|error| wrong(found, &error.to_string()))?;
        library.aliases = Arc::new(aliases);
    }
    let mut damage: Vec<Error> =
        sections.iter().filter(|found| found.tag == SUMM).filter_map(|found| found.damage.clone()).collect();
    let codes = content(CODE).and_then(|(found, bytes)| {
        Codes::from_bytes(dimension, rows, bytes).ok_or_else(|| wrong(found, "the codes do not fit the slots"))
    });
    library.codes = match codes {
        Err(error) if library.precision() == Precision::Int8 => return Err(error),
        Err(error) => {
            damage.push(error);
            if let Some(vecs) = vecs.filter(|_| !library.vectors.are_finite()) {
                return Err(wrong(vecs, "the vectors hold what is no finite number"));
            }
            Codes::of(&library.vectors)
        }
        Ok(codes) => codes,
    };
    let indexing = content(STAT).and_then(|(stat, image)| {
        let image: IndexImage = postcard::from_bytes(image).map_err(|error| wrong(stat, &error.to_string()))?;
        let (found, bytes) = content(INDX)?;
        image.open(&library, bytes).map_err(|why| wrong(found, why))
    });
    match indexing {
        Ok(indexing) => library.indexing = indexing,
        Err(error) => {
            damage.push(error);
            if library.precision() == Precision::Float32 {
                library.cut(seq, Occasion::Rebuild);
            }
        }
    }
    Ok(Opened { library, damage })
}

/// Texts of these lengths and rows, where they lie in a snapshot; without a section, the rows are absent.
fn mapped(
    name: &str,
    blob: &Blob,
    (text, lens): (&Found, Vec<usize>),
    (vecs, rows, dimension): (Option<&Found>, usize, usize),
) -> Result<(Texts, Vectors)> {
    let texts = Texts::mapped(&lens, blob, text.offset, text.len);
    let texts = texts.ok_or_else(|| wrong(name, text, "the texts do not fit their lengths"))?;
    let possible = dimension <= MAX_DIMENSION && (dimension > 0 || rows == 0);
    let vectors = match vecs {
        None if possible => Some(Vectors::absent(dimension, rows)),
        Some(vecs) if possible && rows * dimension * 4 == vecs.len => Vectors::mapped(dimension, rows, blob, vecs.offset),
        _ => None,
    };
    let misfit = || wrong(name, vecs.unwrap_or(text), "the vectors do not fit the number of slots and the dimension");
    Ok((texts, vectors.ok_or_else(misfit)?))
}

fn wrong(name: &str, found: &Found, why: &str) -> Error {
    Error::damaged(name, found.offset as u64, why)
}

/// Opens a snapshot from bytes, copied once for alignment.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Opened> {
    open(name, &Blob::new(AlignedBytes::from(bytes)))
}

fn document_entry(image: DocumentImage) -> DocumentEntry {
    DocumentEntry { document: image.document, chunks: image.chunks.into(), next_index: image.next_index }
}

fn chunk_entry(image: ChunkImage) -> ChunkEntry {
    ChunkEntry { id: image.id, document: image.document, metadata: image.metadata, attributes: image.attributes }
}

/// The places in use, and where each id is.
fn places<T>(entries: &Vector<Option<Arc<T>>>, id: impl Fn(&T) -> &Id) -> (Arc<SlotSet>, OrdMap<Id, u32>) {
    let used = || (0_u32..).zip(entries).filter_map(|(place, entry)| Some((place, entry.as_deref()?)));
    let set = used().map(|(place, _)| place).collect();
    (Arc::new(set), used().map(|(place, entry)| (id(entry).clone(), place)).collect())
}

/// What a file with right checksums could still get wrong, so that nothing later has to expect it.
fn consistent(library: &Library) -> Result<(), &'static str> {
    let known = |attributes: &Attributes| attributes.iter().all(|(field, _)| usize::from(field.0) < library.fields.list().len());
    if library.document_ids.len() != library.document_places.len() || library.chunk_ids.len() != library.live.len() {
        return Err("an id stands twice");
    }
    let mut owned = SlotSet::default();
    for (place, entry) in (0_u32..).zip(&library.documents) {
        let Some(entry) = entry else { continue };
        if !known(&entry.document.attributes) {
            return Err("a document has an attribute of a field that does not exist");
        }
        for slot in &entry.chunks {
            if library.chunk_at(*slot).is_none_or(|chunk| chunk.document != place) || !owned.insert(*slot) {
                return Err("a document names a chunk that is not its own");
            }
        }
    }
    if owned.len() != library.live.len() {
        return Err("a chunk belongs to no document");
    }
    if !library.chunks.iter().flatten().all(|chunk| known(&chunk.attributes)) {
        return Err("a chunk has an attribute of a field that does not exist");
    }
    Ok(())
}
