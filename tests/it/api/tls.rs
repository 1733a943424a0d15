//! TLS from files, read again when they change.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::tempdir;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Server, refused};
use crate::program::vecino;

/// Writes a new certificate and its key; a client that trusts nothing else.
fn renew(folder: &Path) -> ureq::Agent {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let pem = made.cert.pem();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), &pem).unwrap();
    let trusted = RootCerts::new_with_certs(&[Certificate::from_pem(pem.as_bytes()).unwrap()]);
    ureq::Agent::config_builder().tls_config(TlsConfig::builder().root_certs(trusted).build()).build().into()
}

#[test]
fn tls_is_spoken_and_certificates_are_renewed() {
    let (folder, files) = (tempdir().unwrap(), tempdir().unwrap());
    let old = renew(files.path());
    let name = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (name("cert.pem"), name("key.pem"));
    let server = Server::start_with(folder.path(), &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(server.url.starts_with("https://"));
    let ask = |agent: &ureq::Agent| agent.get(format!("{}/healthz", server.url)).call().map(|answer| answer.status().as_u16());
    assert_eq!(ask(&old).unwrap(), 200);
    let address = server.url.trim_start_matches("https://");
    let health = |more: &[&str]| vecino().args(["health", "--listen", address]).args(more).status().unwrap().success();
    assert!(health(&["--tls"]) && !health(&[]));

    // What cannot be used is not taken over.
    fs::write(&cert, "nothing").unwrap();
    let hang_up = || assert!(Command::new("kill").args(["-HUP", &server.child.id().to_string()]).status().unwrap().success());
    hang_up();
    let patience = Instant::now();
    while !server.log().contains("cannot be used") {
        assert!(patience.elapsed() < Duration::from_secs(20), "{}", server.log());
    }
    assert_eq!(ask(&old).unwrap(), 200);

    let new = renew(files.path());
    hang_up();
    while ask(&new).is_err() {
        assert!(patience.elapsed() < Duration::from_secs(40), "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let other = tempdir().unwrap();
    let (code, why) = refused(other.path(), &["--tls-cert", &name("none.pem"), "--tls-key", &key]);
    assert!(code == Some(1) && why.contains("none.pem"), "{why}");
    let (code, _) = refused(other.path(), &["--tls-cert", &cert]);
    assert_eq!(code, Some(2));
}
