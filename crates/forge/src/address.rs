//! Where a forge's API is, from the address that people know it by: pure.

use granary_redact::SafeUrl;
use thiserror::Error;
use url::{Host, Url};

use crate::name::ForgeKind;

/// Why a forge is not asked at all.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SetupError {
    /// Not an absolute http or https URL.
    #[error("the forge's address is not an http or https URL")]
    NotUrl,
    /// Login, query or fragment in it.
    #[error("the forge's address {url} has a login, a query or a fragment in it: give the token by itself")]
    Extra {
        /// The address without them.
        url: SafeUrl,
    },
    /// Plain HTTP to another machine.
    #[error(
        "refusing to ask {url} over plain HTTP: anybody on the way could answer; use https or allow plain_http"
    )]
    PlainHttp {
        /// The address.
        url: SafeUrl,
    },
    /// It does not fit into a header.
    #[error("the forge's token has characters in it that no token has (a line break?)")]
    Token,
}

/// The API's address, ending with a slash. Paths below a host are kept: forges behind a prefix exist.
pub(crate) fn api(kind: ForgeKind, address: &str, plain_http: bool) -> Result<Url, SetupError> {
    let mut url = Url::parse(address.trim()).map_err(|_| SetupError::NotUrl)?;
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(SetupError::NotUrl),
    };
    let shown = || SafeUrl::new(&url);
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        let mut bare = url.clone();
        bare.set_query(None);
        return Err(SetupError::Extra { url: SafeUrl::new(&bare) });
    }
    if !secure && !plain_http && !is_loopback(&url) {
        return Err(SetupError::PlainHttp { url: shown() });
    }
    let mut path = url.path().trim_end_matches('/').to_owned();
    let host = url.host_str().unwrap_or_default().to_owned();
    let below = match kind {
        ForgeKind::Gitea => "/api/v1",
        ForgeKind::GitHub if host == "github.com" || host == "www.github.com" => {
            move_to(&mut url, "api.github.com")?;
            path.clear();
            ""
        }
        // GitHub's data residency: one tenant per subdomain, its API one further down.
        ForgeKind::GitHub if host.ends_with(".ghe.com") && !host.starts_with("api.") => {
            move_to(&mut url, &format!("api.{host}"))?;
            ""
        }
        ForgeKind::GitHub
            if host.starts_with("api.") && (host == "api.github.com" || host.ends_with(".ghe.com")) =>
        {
            ""
        }
        ForgeKind::GitHub => "/api/v3",
    };
    let below = if path.ends_with(below) { "" } else { below };
    url.set_path(&format!("{path}{below}/"));
    Ok(url)
}

fn move_to(url: &mut Url, host: &str) -> Result<(), SetupError> {
    url.set_host(Some(host)).map_err(|_| SetupError::NotUrl)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        use ForgeKind::{GitHub, Gitea};
        let table = [
            (Gitea, "https://forge.test", "https://forge.test/api/v1/"),
            (Gitea, "https://host.test:3000/gitea/", "https://host.test:3000/gitea/api/v1/"),
            (Gitea, "https://forge.test/api/v1", "https://forge.test/api/v1/"),
            (Gitea, "http://127.0.0.1:3000", "http://127.0.0.1:3000/api/v1/"),
            (Gitea, "http://[::1]:3000", "http://[::1]:3000/api/v1/"),
            (GitHub, "https://github.com", "https://api.github.com/"),
            (GitHub, "https://api.github.com/", "https://api.github.com/"),
            (GitHub, "https://acme.ghe.com", "https://api.acme.ghe.com/"),
            (GitHub, "https://git.acme.test", "https://git.acme.test/api/v3/"),
        ];
        for (kind, address, expected) in table {
            assert_eq!(api(kind, address, false).unwrap().as_str(), expected, "{address}");
        }
    }

    #[test]
    fn refusals() {
        let refused = |address: &str| api(ForgeKind::Gitea, address, false).unwrap_err().to_string();
        assert_eq!(refused("forge.test"), "the forge's address is not an http or https URL");
        assert_eq!(refused("ssh://git@forge.test"), "the forge's address is not an http or https URL");
        assert!(
            refused("http://forge.test").starts_with("refusing to ask http://forge.test/ over plain HTTP")
        );
        assert!(refused("http://127.0.0.1.forge.test").starts_with("refusing"));
        for address in [
            "https://u:hunter2@forge.test",
            "https://forge.test/?token=hunter2",
            "https://forge.test/#hunter2",
        ] {
            assert!(!refused(address).contains("hunter2"), "{address}");
        }
        assert!(api(ForgeKind::Gitea, "http://forge.test", true).is_ok());
    }
}
