//! Whose certificates are believed: those of the machine, of files that the user names, or everybody's.
//!
//! rustls believes authorities only, and refuses a server's own certificate that is marked as one (openssl's default
//! for self-signed ones) even where that very certificate is trusted. Other TLS libraries take it, and so does this.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
};

use super::client_certificate::ClientCertificate;
use super::pem_file;
use crate::error::{Error, Kind};

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The certificates of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name; those of the machine where the two name none.
    Environment {
        file: Option<PathBuf>,
        folders: Vec<PathBuf>,
    },
    /// The certificates of the machine, whatever the environment says.
    Machine,
    /// The certificates given here, and those that they have signed.
    Only {
        certificates: Vec<CertificateDer<'static>>,
        /// Whether a certificate must be made for the name that is asked.
        names: bool,
    },
    /// The certificates of everybody, unchecked.
    Anybody,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Environment {
            file: None,
            folders: Vec::new(),
        }
    }
}

impl Trust {
    /// What the variables of this process say now. The files are read when TLS is needed.
    pub fn from_env() -> Self {
        let given =
            |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let folders = given("SSL_CERT_DIR").map(|folders| {
            std::env::split_paths(&folders)
                .filter(|folder| !folder.as_os_str().is_empty())
                .collect()
        });
        Self::Environment {
            file: given("SSL_CERT_FILE").map(PathBuf::from),
            folders: folders.unwrap_or_default(),
        }
    }

    /// The certificates of a file, or of the files of a folder. `name` is the setting that names it.
    pub fn in_path(path: &Path, name: &str) -> Result<Self, Error> {
        let certificates = if path.is_dir() {
            in_folder(path, name)?
        } else {
            in_file(path, name)?
        };
        Ok(Self::Only {
            certificates,
            names: true,
        })
    }

    /// Certificates in DER that were read elsewhere.
    pub fn of(certificates: Vec<Vec<u8>>, names: bool) -> Result<Self, Error> {
        let certificates: Vec<_> = certificates.into_iter().map(CertificateDer::from).collect();
        roots(&certificates).ok_or_else(|| wrong("verify has no certificate that can be used"))?;
        Ok(Self::Only {
            certificates,
            names,
        })
    }

    /// `builder`, set up for TLS; `own` is the certificate that a server may ask the client for.
    pub(super) fn apply(
        &self,
        builder: ClientBuilder,
        own: Option<&ClientCertificate>,
    ) -> Result<ClientBuilder, Error> {
        match self {
            Self::Anybody => with_identity(builder.tls_danger_accept_invalid_certs(true), own),
            Self::Only {
                certificates,
                names,
            } => trusting(builder, certificates.clone(), *names, own),
            Self::Machine => trusting_machine(builder, own, false),
            Self::Environment { file, folders } => {
                let mut certificates = Vec::new();
                if let Some(file) = file {
                    certificates.extend(in_file(file, "SSL_CERT_FILE")?);
                }
                for folder in folders {
                    certificates.extend(in_folder(folder, "SSL_CERT_DIR")?);
                }
                if certificates.is_empty() {
                    return trusting_machine(builder, own, true);
                }
                trusting(builder, certificates, true, own)
            }
        }
    }
}

/// `builder` with the certificate of the client, where reqwest sets up TLS by itself.
fn with_identity(
    builder: ClientBuilder,
    own: Option<&ClientCertificate>,
) -> Result<ClientBuilder, Error> {
    match own {
        Some(own) => Ok(builder.identity(own.identity()?)),
        None => Ok(builder),
    }
}

/// `builder`, which believes the machine's certificates. Apple, Android and Windows keep them behind a service, which
/// reqwest asks; elsewhere they are files.
#[cfg(any(windows, target_vendor = "apple", target_os = "android"))]
fn trusting_machine(
    builder: ClientBuilder,
    own: Option<&ClientCertificate>,
    _environment: bool,
) -> Result<ClientBuilder, Error> {
    with_identity(builder, own)
}

/// `environment` says whether `SSL_CERT_FILE` and `SSL_CERT_DIR` may say where they are.
#[cfg(not(any(windows, target_vendor = "apple", target_os = "android")))]
fn trusting_machine(
    builder: ClientBuilder,
    own: Option<&ClientCertificate>,
    environment: bool,
) -> Result<ClientBuilder, Error> {
    let found = if environment || !openssl_probe::has_ssl_cert_env_vars() {
        rustls_native_certs::load_native_certs()
    } else {
        // What finds the usual files asks the variables first, so the usual folders are read, which have the same.
        let mut found = rustls_native_certs::CertificateResult::default();
        for folder in openssl_probe::candidate_cert_dirs() {
            let read = rustls_native_certs::load_certs_from_paths(None, Some(folder));
            found.certs.extend(read.certs);
            found.errors.extend(read.errors);
        }
        found
    };
    if found.certs.is_empty() {
        let cause = found.errors.first().map(|error| format!(" ({error})"));
        return Err(wrong(&format!(
            "TLS cannot be set up: this machine has no CA certificates that can be read{}. Install them (the package \
             ca-certificates), or name a file with verify or SSL_CERT_FILE",
            cause.unwrap_or_default()
        )));
    }
    trusting(builder, found.certs, true, own)
}

/// `builder`, which believes `certificates` and what they have signed.
fn trusting(
    builder: ClientBuilder,
    certificates: Vec<CertificateDer<'static>>,
    names: bool,
    own: Option<&ClientCertificate>,
) -> Result<ClientBuilder, Error> {
    let unusable = |cause: &dyn std::fmt::Display| wrong(&format!("TLS cannot be set up: {cause}"));
    let provider = Arc::new(default_provider());
    let roots = roots(&certificates).ok_or_else(|| unusable(&"there is no certificate"))?;
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(&error))?;
    let verifier = TrustedCertificateVerifier {
        chain,
        known: certificates,
        names,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => config
            .with_client_auth_cert(own.chain(), own.key())
            .map_err(|error| unusable(&error))?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(builder.tls_backend_preconfigured(config))
}

/// Those of `certificates` that can be used; `None` if none can. Bundles may hold some that no library can read.
fn roots(certificates: &[CertificateDer<'static>]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    (added > 0).then_some(roots)
}

fn in_file(path: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unusable = |what: &str| wrong(&format!("{name} names {}, which {what}", path.display()));
    let certificates = read(path).map_err(|what| unusable(&what))?;
    if roots(&certificates).is_none() {
        return Err(unusable("holds no certificate that can be read"));
    }
    Ok(certificates)
}

/// The certificates of a file, or what is wrong with it.
fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    pem_file::certificates(&pem_file::read(path)?)
}

fn in_folder(path: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unusable = |what: &str| wrong(&format!("{name} names {}, which {what}", path.display()));
    let unreadable = |error: std::io::Error| unusable(&format!("cannot be read: {error}"));
    let mut files = HashSet::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        // Beside most files there are links to them, named by a hash. Some links are dead.
        files.extend(fs::canonicalize(entry.map_err(unreadable)?.path()));
    }
    // A folder of certificates may hold other files as well, which are passed over.
    let certificates: Vec<_> = files.iter().flat_map(|file| read(file)).flatten().collect();
    if roots(&certificates).is_none() {
        return Err(unusable("holds no file with a certificate in PEM form"));
    }
    Ok(certificates)
}

fn wrong(what: &str) -> Error {
    Error::new(Kind::Config, format!("{what}."))
}

/// Takes what `chain` takes, and a server's own certificate if that is one of the `known`.
#[derive(Debug)]
struct TrustedCertificateVerifier {
    /// Takes what an authority has signed.
    chain: Arc<WebPkiServerVerifier>,
    /// The certificates that are believed themselves.
    known: Vec<CertificateDer<'static>>,
    /// Whether a certificate must be made for the name that is asked.
    names: bool,
}

impl ServerCertVerifier for TrustedCertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let checked = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let Err(TlsError::InvalidCertificate(cause)) = &checked else {
            return checked;
        };
        match cause {
            // rustls looks at the name last, so everything else is in order.
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                if !self.names =>
            {
                Ok(ServerCertVerified::assertion())
            }
            // rustls looks at the dates first, so the certificate is valid today. A certificate that is marked as an
            // authority is among the other errors.
            CertificateError::UnknownIssuer | CertificateError::Other(_)
                if self.known.iter().any(|known| known == end_entity) =>
            {
                if self.names {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            _ => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
