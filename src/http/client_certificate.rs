//! The certificate with which a client proves to a server who it is, and its key: read from files, and checked, before
//! anything is sent.
//!
//! ```text
//! /etc/ollama/me.pem    -----BEGIN CERTIFICATE-----  (its own first, then those that lead to an authority)
//! /etc/ollama/me.key    -----BEGIN PRIVATE KEY-----  (or in the same file)
//! ```

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::Error as TlsError;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::pem_file;
use crate::error::{Error, Kind};

/// What stands in a file whose key has a password: the newer form, and the one of OpenSSL before 3.0.
const ENCRYPTED: [&[u8]; 2] = [
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
    b"Proc-Type: 4,ENCRYPTED",
];

/// A certificate and its key. Clones share both.
#[derive(Clone)]
pub struct ClientCertificate(Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>);

/// Keys appear nowhere.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

impl ClientCertificate {
    /// The certificate in the file `certificate`, and its key in the file `key`, or in the same one. Errors are
    /// `Kind::Config` and name the file.
    pub fn read(certificate: &Path, key: Option<&Path>) -> Result<Self, Error> {
        let text = pem_file::read(certificate).map_err(|what| unusable(certificate, &what))?;
        let chain = pem_file::certificates(&text).map_err(|what| unusable(certificate, &what))?;
        let key_path = key.unwrap_or(certificate);
        let key_text = match key {
            Some(key) => pem_file::read(key).map_err(|what| unusable(key, &what))?,
            None => text,
        };
        let key = private_key(&key_text, key_path)?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider()).map_err(
            |error| match error {
                TlsError::InconsistentKeys(_) => unusable(
                    key_path,
                    &format!(
                        "holds a key that does not belong to the certificate in {}",
                        certificate.display()
                    ),
                ),
                error => unusable(key_path, &format!("cannot be used: {error}")),
            },
        )?;
        Ok(Self(Arc::new((chain, key))))
    }

    /// The certificate, and those that lead from it to an authority.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.0.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.0.1.clone_key()
    }

    /// Both in the form in which reqwest takes them.
    pub(super) fn identity(&self) -> Result<reqwest::Identity, Error> {
        let (chain, key) = &*self.0;
        let (label, secret) = match key {
            PrivateKeyDer::Pkcs1(key) => ("RSA PRIVATE KEY", key.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(key) => ("EC PRIVATE KEY", key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => ("PRIVATE KEY", key.secret_pkcs8_der()),
            // The type is open to further forms, none of which `private_key` returns.
            _ => ("PRIVATE KEY", [].as_slice()),
        };
        let mut pem: String = chain
            .iter()
            .map(|certificate| block("CERTIFICATE", certificate))
            .collect();
        pem.push_str(&block(label, secret));
        reqwest::Identity::from_pem(pem.as_bytes())
            .map_err(|error| Error::new(Kind::Config, format!("cert cannot be used: {error}.")))
    }
}

/// `bytes` as a block of PEM.
fn block(label: &str, bytes: &[u8]) -> String {
    let text = BASE64.encode(bytes);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| text.get(at..text.len().min(at + 64)).unwrap_or_default())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// The first private key in `text`, the text of the file `path`.
fn private_key(text: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(_)
            if ENCRYPTED
                .iter()
                .any(|mark| memchr::memmem::find(text, mark).is_some()) =>
        {
            let shown = path.display();
            Err(unusable(
                path,
                &format!(
                    "holds an encrypted key, which cannot be read here. Write it without its password, into a file that \
                     only you can read: openssl pkey -in {shown} -out {shown}.plain"
                ),
            ))
        }
        Err(PemError::NoItemsFound) => Err(unusable(
            path,
            "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
        )),
        Err(error) => Err(unusable(path, &format!("is no valid PEM: {error}"))),
    }
}

fn unusable(path: &Path, what: &str) -> Error {
    let message = format!("cert names {}, which {what}.", path.display());
    Error::new(Kind::Config, message)
}
