//! Files that hold certificates or keys in PEM form, as they are read: bounded, and never waited for.
//!
//! ```text
//! -----BEGIN CERTIFICATE-----
//! MIIB...
//! -----END CERTIFICATE-----
//! ```

use std::fs;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// How many bytes of a file are read. No file of certificates is as large; a device such as `/dev/zero` never ends.
const MAX_FILE: u64 = 64 << 20;

/// The text of a file, or what is wrong with it: the end of a sentence that names the file, without a full stop.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait until somebody opens it for writing.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// The certificates in `text`, at least one, or what is wrong with it, as [`read`] says it.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("is no valid PEM: {error}"))?;
    if certificates.is_empty() {
        return Err("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(certificates)
}
