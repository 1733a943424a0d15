//! Types the attributes of a batch: with the fields of the library, and with those that the batch itself brings.

use std::collections::BTreeMap;

use crate::{
    error::{Code, Error, Result},
    library::Library,
    model::{
        Attributes, Field, FieldId, FieldType, RawAttributes, Read, Value, check_field_name,
        limits::{MAX_ATTRIBUTES, MAX_FIELDS},
    },
};

/// Reads attributes and collects the fields that they bring.
pub(super) struct FieldReader<'a> {
    library: &'a Library,
    added: Vec<Field>,
    ids: BTreeMap<Box<str>, (FieldId, FieldType)>,
}

impl<'a> FieldReader<'a> {
    pub(super) fn new(library: &'a Library) -> Self {
        Self { library, added: Vec::new(), ids: BTreeMap::new() }
    }

    /// The fields that are new, in the order in which they came.
    pub(super) fn into_added(self) -> Vec<Field> {
        self.added
    }

    /// Types `raw` and lays it over `base`: null removes a value, another value replaces it.
    pub(super) fn read(&mut self, base: &Attributes, raw: RawAttributes) -> Result<Attributes> {
        let mut all: BTreeMap<FieldId, Value> = base.iter().cloned().collect();
        for (name, json) in raw {
            let known = self.library.fields.find(&name).or_else(|| self.ids.get(name.as_str()).copied());
            if known.is_none() {
                check_field_name(&name).map_err(|error| error.within("attributes"))?;
                if self.library.info.strict_schema {
                    return Err(self.not_in_schema(&name));
                }
            }
            let read = Value::read(&json, known.map(|(_, kind)| kind)).map_err(|error| explain_type(error, &name, known))?;
            match (read, known) {
                (Read::Absent, Some((id, _))) => {
                    all.remove(&id);
                }
                (Read::Absent, None) => {}
                (Read::Typed(kind, value), _) => {
                    let id = match known {
                        Some((id, _)) => id,
                        None => self.add(name, kind)?,
                    };
                    all.insert(id, value);
                }
            }
        }
        if all.len() > MAX_ATTRIBUTES {
            return Err(Error::limit("attributes", MAX_ATTRIBUTES, all.len()).field("attributes"));
        }
        Ok(all.into_iter().collect())
    }

    fn add(&mut self, name: String, kind: FieldType) -> Result<FieldId> {
        let number = self.library.fields.list().len() + self.added.len();
        if number >= MAX_FIELDS {
            let error = Error::limit("attribute fields in a library", MAX_FIELDS, number + 1);
            return Err(error.field(format!("attributes.{name}")).unfit());
        }
        // MAX_FIELDS is far below u16::MAX.
        let id = FieldId(number as u16);
        let name: Box<str> = name.into();
        self.ids.insert(name.clone(), (id, kind));
        self.added.push(Field { name, kind });
        Ok(id)
    }

    fn not_in_schema(&self, name: &str) -> Error {
        let names: Vec<&str> = self.library.fields.named().map(|(_, field)| &*field.name).take(20).collect();
        let detail = format!("the schema of this library has no field '{name}'; it has: {}", names.join(", "));
        Error::new(Code::UnknownField, detail).field(format!("attributes.{name}")).unfit()
    }
}

fn explain_type(mut error: Error, name: &str, known: Option<(FieldId, FieldType)>) -> Error {
    if let (Code::WrongType, Some((_, kind))) = (error.code, known) {
        error.detail = format!("{}; the field '{name}' is of type {} in this library", error.detail, kind.as_str());
        error.unfit = true;
    }
    error.within(format!("attributes.{name}"))
}
