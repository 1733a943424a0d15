//! JavaScript in, JavaScript out.
//!
//! Answers become plain objects through serde, with the numbers that a page would read in the server's JSON. A filter comes in
//! as JSON text: its depth is limited by the reader, before anything recurses over it. Vectors and files cross as typed arrays,
//! copied once.

use js_sys::{Array, Error as JsError, Float32Array, JSON, Object, Reflect, Uint8Array};
use serde::Serialize;
use serde_json::Value as Json;
use serde_wasm_bindgen::Serializer;
use vecino_engine::{
    Code, Error, Result,
    blob::AlignedBytes,
    filter::Filter,
    model::limits::MAX_DIMENSION,
    precision::Precision,
    query::{Include, Query},
};
use wasm_bindgen::{JsCast, JsValue};

/// Hits of a query that names no `k`.
const DEFAULT_K: usize = 10;

/// All that a query may say.
const QUERY_FIELDS: [&str; 7] = ["embedding", "k", "filter", "include", "target_recall", "effort", "explain"];

/// All that `include` may name.
const INCLUDE: [&str; 4] = ["text", "metadata", "attributes", "embedding"];

/// The largest whole number up to which JavaScript's numbers are exact.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Anything serializable, as JavaScript would read its JSON.
///
/// # Errors
/// An error of JavaScript's own; there is none for what the engine answers.
pub fn to_js<T: Serialize>(value: &T) -> Result<JsValue, JsValue> {
    let mut json = serde_json::to_value(value).map_err(|error| JsError::new(&error.to_string()))?;
    round_large_integers(&mut json);
    Ok(json.serialize(&Serializer::json_compatible())?)
}

/// Whole numbers that JavaScript cannot hold become the nearest one that it can, as `JSON.parse` would have it.
fn round_large_integers(json: &mut Json) {
    match json {
        Json::Number(number) if number.is_i64() || number.is_u64() => {
            let magnitude = number.as_i64().map_or(u64::MAX, i64::unsigned_abs);
            if magnitude > MAX_SAFE_INTEGER {
                *json = number.as_f64().map_or(Json::Null, Json::from);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(round_large_integers),
        Json::Object(fields) => fields.values_mut().for_each(round_large_integers),
        _ => {}
    }
}

/// The engine's error as an `Error` named `VecinoError`, with `code` and, where they exist, `field`, `expected`, `received`.
pub fn to_js_error(error: &Error) -> JsValue {
    let js = JsError::new(&error.detail);
    js.set_name("VecinoError");
    // Setting a property of an object that was just made cannot fail.
    let set = |name: &str, value: JsValue| drop(Reflect::set(&js, &name.into(), &value));
    set("code", error.code.as_str().into());
    if let Some(field) = &error.field {
        set("field", field.into());
    }
    for (name, number) in [("expected", &error.expected), ("received", &error.received)] {
        if let Some(value) = number.as_ref().and_then(|number| to_js(number).ok()) {
            set(name, value);
        }
    }
    js.into()
}

/// Runs a call, and turns the engine's error into JavaScript's.
pub(crate) fn call<T>(body: impl FnOnce() -> Result<T>) -> Result<T, JsValue> {
    body().map_err(|error| to_js_error(&error))
}

/// Reads a query; everything but the vector may be left out.
pub(crate) fn query(js: &JsValue) -> Result<Query> {
    check_keys(js)?;
    let explain = property(js, "explain")?;
    Ok(Query {
        embedding: vector(&property(js, "embedding")?).map_err(|error| error.within("embedding"))?,
        k: whole(&property(js, "k")?, "k").map_err(|error| error.within("k"))?.unwrap_or(DEFAULT_K),
        filter: filter(&property(js, "filter")?)?,
        include: include(&property(js, "include")?).map_err(|error| error.within("include"))?,
        target_recall: number(&property(js, "target_recall")?).map_err(|error| error.within("target_recall"))?.map(|x| x as f32),
        effort: whole(&property(js, "effort")?, "an effort").map_err(|error| error.within("effort"))?,
        explain: match explain.as_bool() {
            Some(explain) => explain,
            None if absent(&explain) => false,
            None => return Err(wrong("boolean", &explain).within("explain")),
        },
    })
}

fn check_keys(js: &JsValue) -> Result<()> {
    if !js.is_object() || Array::is_array(js) {
        return Err(wrong("object", js).field("query"));
    }
    for key in keys(js)?.iter() {
        let key = key.as_string().unwrap_or_default();
        if !QUERY_FIELDS.contains(&key.as_str()) {
            let known = QUERY_FIELDS.join(", ");
            let shown: String = key.chars().take(128).collect();
            let detail = format!("a query has no field '{shown}'; it has {known}");
            return Err(Error::new(Code::UnknownField, detail).field(shown));
        }
    }
    Ok(())
}

/// The names that JSON would have. What a proxy throws is caught here: passing through this module, it would leave the library
/// borrowed for ever.
fn keys(js: &JsValue) -> Result<Array> {
    Reflect::own_keys(js).map_err(|_| Error::new(Code::InvalidValue, "the names of the properties cannot be read"))?;
    Ok(Object::keys(js.unchecked_ref::<Object>()))
}

/// A property, undefined when there is none. Only a getter that throws can fail.
fn property(js: &JsValue, name: &str) -> Result<JsValue> {
    Reflect::get(js, &name.into()).map_err(|_| Error::new(Code::InvalidValue, "the property cannot be read").field(name))
}

fn absent(js: &JsValue) -> bool {
    js.is_undefined() || js.is_null()
}

fn wrong(expected: &str, js: &JsValue) -> Error {
    let received = match js {
        js if js.is_null() => "null".to_owned(),
        js if Array::is_array(js) => "list".to_owned(),
        js => js.js_typeof().as_string().unwrap_or_default(),
    };
    Error::new(Code::WrongType, format!("expected {expected}, received {received}")).numbers(expected, received)
}

/// A vector from a `Float32Array` or a list of numbers. Each is rounded to 32 bits, as the server does it.
fn vector(js: &JsValue) -> Result<Vec<f32>> {
    if let Some(typed) = js.dyn_ref::<Float32Array>() {
        check_length(typed.length())?;
        return Ok(typed.to_vec());
    }
    let Some(list) = js.dyn_ref::<Array>() else { return Err(wrong("Float32Array or list of numbers", js)) };
    check_length(list.length())?;
    let number = |(at, item): (usize, JsValue)| match item.as_f64() {
        Some(number) => Ok(number as f32),
        None => Err(wrong("number", &item).field(format!("[{at}]"))),
    };
    list.iter().enumerate().map(number).collect()
}

fn check_length(length: u32) -> Result<()> {
    if length as usize > MAX_DIMENSION {
        return Err(Error::limit("dimensions of a vector", MAX_DIMENSION, length as usize));
    }
    Ok(())
}

fn number(js: &JsValue) -> Result<Option<f64>> {
    match js.as_f64() {
        Some(number) => Ok(Some(number)),
        None if absent(js) => Ok(None),
        None => Err(wrong("number", js)),
    }
}

fn whole(js: &JsValue, what: &str) -> Result<Option<usize>> {
    match number(js)? {
        // The engine refuses what is too large; the cast saturates.
        Some(whole) if whole >= 0.0 && whole.fract() == 0.0 => Ok(Some(whole as usize)),
        Some(other) => Err(Error::new(Code::InvalidValue, format!("{what} is a whole number from 1, received {other}"))),
        None => Ok(None),
    }
}

fn filter(js: &JsValue) -> Result<Option<Filter>> {
    if absent(js) {
        return Ok(None);
    }
    let no_json = |why: String| Error::new(Code::InvalidValue, format!("the filter is no JSON: {why}")).field("filter");
    // Text for an object, undefined for a function or a symbol; cycles and big integers throw.
    let text = JSON::stringify(js).ok().and_then(|text| text.as_string());
    let text = text.ok_or_else(|| no_json("it has a cycle, or a value that JSON does not know".to_owned()))?;
    let json: Json = serde_json::from_str(&text).map_err(|error| no_json(error.to_string()))?;
    check_complete(js, &json).map_err(|error| error.within("filter"))?;
    Filter::from_json(&json).map(Some)
}

/// Checks that JSON holds all of a filter: it leaves out what is undefined and what is within a `Map`, in silence, so that more
/// would be found than was asked for.
fn check_complete(js: &JsValue, json: &Json) -> Result<()> {
    match json {
        Json::Array(items) => items.iter().enumerate().try_for_each(|(at, item)| {
            let place = format!("[{at}]");
            check_complete(&property(js, &at.to_string())?, item).map_err(|error| error.within(place))
        }),
        Json::Object(fields) => {
            if !is_plain(js) {
                return Err(Error::new(Code::WrongType, "a filter is made of plain objects, lists and values"));
            }
            keys(js)?.iter().try_for_each(|key| {
                let name = key.as_string().unwrap_or_default();
                let Some(inner) = fields.get(&name) else {
                    let shown: String = name.chars().take(128).collect();
                    return Err(wrong("a value", &property(js, &name)?).field(shown));
                };
                check_complete(&property(js, &name)?, inner).map_err(|error| error.within(name))
            })
        }
        _ => Ok(()),
    }
}

/// Whether it is an object as literals and `JSON.parse` make them, of whichever realm.
fn is_plain(js: &JsValue) -> bool {
    let above = |js: &JsValue| Reflect::get_prototype_of(js).is_ok_and(|above| above.is_null());
    above(js) || Reflect::get_prototype_of(js).is_ok_and(|first| above(&first))
}

fn include(js: &JsValue) -> Result<Include> {
    if absent(js) {
        return Ok(Include::default());
    }
    let Some(list) = js.dyn_ref::<Array>() else { return Err(wrong("list of strings", js)) };
    let mut include = Include { text: false, metadata: false, attributes: false, embedding: false };
    for (at, item) in (0..list.length()).map(|at| (at, list.get(at))) {
        match item.as_string().as_deref() {
            Some("text") => include.text = true,
            Some("metadata") => include.metadata = true,
            Some("attributes") => include.attributes = true,
            Some("embedding") => include.embedding = true,
            Some(other) => {
                let shown: String = other.chars().take(128).collect();
                let detail = format!("there is nothing named '{shown}' to include; there is {}", INCLUDE.join(", "));
                return Err(Error::new(Code::InvalidValue, detail).field(format!("[{at}]")).numbers(INCLUDE.to_vec(), shown));
            }
            None => return Err(wrong("string", &item).field(format!("[{at}]"))),
        }
    }
    Ok(include)
}

/// A string, nothing else.
pub(crate) fn text(js: &JsValue, name: &str) -> Result<String> {
    js.as_string().ok_or_else(|| wrong("string", js).field(name))
}

/// A precision by its name.
pub(crate) fn precision(js: &JsValue) -> Result<Precision> {
    let name = text(js, "precision")?;
    Precision::named(&name).ok_or_else(|| {
        let (shown, known) = (name.chars().take(128).collect::<String>(), Precision::ALL.map(Precision::as_str));
        let detail = format!("there is no precision '{shown}'; there is {}", known.join(", "));
        Error::new(Code::InvalidValue, detail).field("precision").numbers(known.to_vec(), shown)
    })
}

fn byte_array<'a>(js: &'a JsValue, name: &str) -> Result<&'a Uint8Array> {
    js.dyn_ref::<Uint8Array>().ok_or_else(|| wrong("Uint8Array", js).field(name))
}

/// A file's bytes, copied once, aligned so that the engine uses them in place.
pub(crate) fn aligned(js: &JsValue, name: &str) -> Result<AlignedBytes> {
    let array = byte_array(js, name)?;
    check_room(array.length() as usize, name)?;
    let mut bytes = AlignedBytes::zeroed(array.length() as usize);
    array.copy_to(bytes.as_mut_slice());
    Ok(bytes)
}

/// A file's bytes, copied once.
pub(crate) fn bytes(js: &JsValue, name: &str) -> Result<Vec<u8>> {
    let array = byte_array(js, name)?;
    check_room(array.length() as usize, name)?;
    Ok(array.to_vec())
}

/// Memory is asked for and given back at once: a refusal here is an error, a refusal later would end the module.
fn check_room(wanted: usize, name: &str) -> Result<()> {
    let mut room = Vec::<u8>::new();
    let asked = room.try_reserve_exact(wanted.saturating_add(4096));
    // Else the compiler leaves out an allocation that nobody uses.
    std::hint::black_box(&mut room);
    asked.map_err(|_| {
        let detail = format!("there is no room for {wanted} bytes in this tab's memory");
        Error::new(Code::LimitExceeded, detail).field(name)
    })
}
