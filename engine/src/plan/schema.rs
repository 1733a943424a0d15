//! Plans for the attribute fields of a library.

use crate::{
    command::SchemaChange,
    error::{Code, Error, Result},
    library::Library,
    model::{Field, FieldId, check_field_name, limits::MAX_FIELDS, shown},
    record::Record,
};

pub(super) fn change(library: &Library, change: SchemaChange) -> Result<Record> {
    let mut fields = library.fields().list().to_vec();
    let mut dropped = None;
    match change {
        SchemaChange::Add { name, kind } => {
            check_free(library, &name)?;
            if fields.len() >= MAX_FIELDS {
                return Err(Error::limit("attribute fields in a library", MAX_FIELDS, fields.len() + 1).field("name"));
            }
            fields.push(Field { name: name.into(), kind });
        }
        SchemaChange::Rename { name, to } => {
            let field = known(library, &name)?;
            if to != name {
                check_free(library, &to)?;
            }
            fields[usize::from(field.0)].name = to.into();
        }
        SchemaChange::Drop { name } => {
            let field = known(library, &name)?;
            fields[usize::from(field.0)].name = Box::default();
            dropped = Some(field);
        }
    }
    Ok(Record::SchemaChanged { library: library.info().id.clone(), fields, dropped })
}

fn known(library: &Library, name: &str) -> Result<FieldId> {
    library.fields().find(name).map(|(id, _)| id).ok_or_else(|| {
        let detail = format!("this library has no attribute field '{}'", shown(name));
        Error::new(Code::FieldNotFound, detail).field("field")
    })
}

fn check_free(library: &Library, name: &str) -> Result<()> {
    check_field_name(name).map_err(|error| Error { field: Some("name".to_owned()), ..error })?;
    if library.fields().find(name).is_some() {
        let detail = format!("this library has an attribute field '{name}' already");
        return Err(Error::new(Code::FieldExists, detail).field("name"));
    }
    Ok(())
}
