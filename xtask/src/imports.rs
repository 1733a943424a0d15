//! What the wasm module asks of its host: nothing but what wasm-bindgen generates.

use anyhow::{Context, Result, bail};
use wasmparser::{Imports, Parser, Payload};

/// The module of all imports: the generated JavaScript.
const SHIM: &str = "./vecino_wasm_bg.js";

/// Checks every import and returns their names. An import of `env` or `wasi` means that a crate with C code, a clock
/// or a file system has crept in.
pub(crate) fn check(wasm: &[u8]) -> Result<Vec<String>> {
    let imports = list(wasm).context("the wasm module cannot be read")?;
    let foreign: Vec<String> = imports
        .iter()
        .filter(|(module, name)| !is_generated(module, name))
        .map(|(module, name)| format!("{module:?} {name:?}"))
        .collect();
    if !foreign.is_empty() {
        bail!("the wasm module imports what wasm-bindgen did not generate: {}", foreign.join(", "));
    }
    Ok(imports.into_iter().map(|(_, name)| name).collect())
}

fn is_generated(module: &str, name: &str) -> bool {
    module == SHIM && (name.starts_with("__wbg_") || name.starts_with("__wbindgen_"))
}

/// Module and name of each import.
fn list(wasm: &[u8]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::ImportSection(section) = payload? else {
            continue;
        };
        for group in section {
            match group? {
                Imports::Single(_, import) => {
                    found.push((import.module.to_owned(), import.name.to_owned()));
                }
                Imports::Compact1 { module, items } => {
                    for item in items {
                        found.push((module.to_owned(), item?.name.to_owned()));
                    }
                }
                Imports::Compact2 { module, names, .. } => {
                    for name in names {
                        found.push((module.to_owned(), name?.to_owned()));
                    }
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with one imported function of no arguments.
    fn module_importing(module: &str, name: &str) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.extend([1, 4, 1, 0x60, 0, 0]);
        let mut import = vec![1, u8::try_from(module.len()).unwrap()];
        import.extend(module.bytes());
        import.push(u8::try_from(name.len()).unwrap());
        import.extend(name.bytes());
        import.extend([0, 0]);
        bytes.extend([2, u8::try_from(import.len()).unwrap()]);
        bytes.extend(import);
        bytes
    }

    #[test]
    fn takes_what_is_generated() {
        let wasm = module_importing(SHIM, "__wbindgen_init_externref_table");
        assert_eq!(check(&wasm).unwrap(), ["__wbindgen_init_externref_table"]);
    }

    #[test]
    fn refuses_other_modules() {
        for (module, name) in [("env", "memcpy"), ("wasi_snapshot_preview1", "fd_write"), (SHIM, "clock")] {
            let error = check(&module_importing(module, name)).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn refuses_what_is_no_module() {
        assert!(check(b"not wasm").is_err());
    }
}
