//! The name of every setting, table by table.
//!
//! A name that this version does not enforce stands here too, so that it is refused for what it is and never
//! taken for a spelling mistake. `docs/CONFIGURATION.md` is tested against these lists, and reading a table
//! is tested to ask for exactly the enforced names.

/// One table of the configuration.
#[derive(Debug)]
pub(super) struct Table {
    /// The heading, without the operator's own name: `server`, `signers.NAME`; and the kind, where one heading has
    /// several.
    pub(super) heading: &'static str,
    /// What this version takes.
    pub(super) enforced: &'static [&'static str],
    /// What a later version takes, and this one refuses.
    pub(super) later: &'static [&'static str],
}

/// The configuration as a whole.
pub(super) const DOCUMENT: Table = Table {
    heading: "",
    enforced: &["server", "admin", "ledger", "audit", "backends", "buckets", "signers", "policies"],
    later: &[],
};

pub(super) const SERVER: Table = Table {
    heading: "server",
    enforced: &[
        "listen",
        "public_url",
        "clock_skew",
        "lease",
        "upload_expiry",
        "open_uploads_max",
        "workers",
        "connections_max",
        "trusted_proxies",
        "proxy_protocol",
        "virtual_hosts",
        "tls",
    ],
    later: &[],
};

pub(super) const TLS: Table =
    Table { heading: "server.tls", enforced: &["certificate", "private_key"], later: &[] };

pub(super) const ADMIN: Table =
    Table { heading: "admin", enforced: &["listen", "token_file", "token_env"], later: &[] };

pub(super) const LEDGER: Table =
    Table { heading: "ledger", enforced: &["engine", "path"], later: &["url_file", "url_env"] };

pub(super) const AUDIT: Table =
    Table { heading: "audit", enforced: &["path", "key_file", "rotate", "keep"], later: &[] };

/// What a backend without a `kind` is, too.
pub(super) const DISK: Table =
    Table { heading: "backends.NAME of kind disk", enforced: &["kind", "root"], later: &[] };

pub(super) const S3: Table = Table {
    heading: "backends.NAME of kind s3",
    enforced: &[
        "kind",
        "endpoint",
        "region",
        "bucket",
        "access_key_id_file",
        "access_key_id_env",
        "secret_access_key_file",
        "secret_access_key_env",
        "session_token_file",
        "session_token_env",
        "virtual_hosted",
        "connect_timeout",
        "stall_timeout",
        "retries",
        "retry_timeout",
        "connections_max",
        "upload_memory",
    ],
    later: &[],
};

pub(super) const AZURE: Table = Table {
    heading: "backends.NAME of kind azure",
    enforced: &[
        "kind",
        "account",
        "container",
        "endpoint",
        "access_key_file",
        "access_key_env",
        "connect_timeout",
        "stall_timeout",
        "retries",
        "retry_timeout",
        "connections_max",
        "upload_memory",
    ],
    later: &[],
};

pub(super) const GCS: Table = Table {
    heading: "backends.NAME of kind gcs",
    enforced: &[
        "kind",
        "bucket",
        "endpoint",
        "service_account_key_file",
        "service_account_key_env",
        "anonymous",
        "connect_timeout",
        "stall_timeout",
        "retries",
        "retry_timeout",
        "connections_max",
        "upload_memory",
    ],
    later: &[],
};

pub(super) const BUCKET: Table = Table {
    heading: "buckets.NAME",
    enforced: &["backend", "prefix", "delivery", "etag", "cors"],
    later: &[],
};

pub(super) const CORS: Table =
    Table { heading: "buckets.NAME.cors", enforced: &["origins", "max_age"], later: &[] };

pub(super) const SIGNER: Table = Table {
    heading: "signers.NAME",
    enforced: &[
        "secret_file",
        "secret_env",
        "previous_secret_file",
        "previous_secret_env",
        "policy",
        "dialects",
        "keep_ids",
        "scope",
        "allow",
        "start",
        "end",
        "max_lifetime",
        "renew",
        "max_renew",
        "max",
        "min",
        "uses",
        "ip",
        "type",
        "digest",
        "require_tls",
        "disposition",
        "in",
        "out",
        "files",
        "rate",
        "parallel",
        "total",
        "per_subject",
    ],
    later: &[],
};

pub(super) const POLICY: Table = Table {
    heading: "policies.NAME",
    enforced: &[
        "scope",
        "allow",
        "start",
        "end",
        "max_lifetime",
        "renew",
        "max_renew",
        "max",
        "min",
        "uses",
        "ip",
        "type",
        "digest",
        "require_tls",
        "disposition",
        "in",
        "out",
        "files",
        "rate",
        "parallel",
        "total",
        "per_subject",
        "lease",
        "tell",
        "dry_run",
    ],
    later: &[],
};

/// Within a signer too.
pub(super) const TOTAL: Table = Table { heading: "policies.NAME.total", enforced: QUOTAS, later: &[] };

/// Within a signer too.
pub(super) const PER_SUBJECT: Table =
    Table { heading: "policies.NAME.per_subject", enforced: QUOTAS, later: &[] };

const QUOTAS: &[&str] = &["in", "out", "files", "rate", "parallel"];

/// Every table, in the order of the reference page.
#[cfg(test)]
pub(super) const TABLES: [&Table; 15] = [
    &SERVER,
    &TLS,
    &ADMIN,
    &LEDGER,
    &AUDIT,
    &DISK,
    &S3,
    &AZURE,
    &GCS,
    &BUCKET,
    &CORS,
    &SIGNER,
    &POLICY,
    &TOTAL,
    &PER_SUBJECT,
];

/// The names among `known` that `name` was probably meant to be, nearest first; all of them where none is
/// near.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<_> = known.into_iter().map(|known| (distance(name, known), known)).collect();
    let near = |(edits, known): &(usize, &str)| *edits <= 1.max(known.len().min(name.len()) / 3);
    if ranked.iter().any(near) {
        ranked.retain(near);
        ranked.sort();
    }
    ranked.into_iter().map(|(_, known)| known).collect()
}

/// How many characters must be put in, left out or exchanged to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    // A name is short; what is longer is no near miss and need not be measured.
    if one.len() > 64 {
        return one.len();
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, left) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_names_what_was_meant() {
        let known = ["listen", "lease", "public_url"];
        assert_eq!(nearest("lissten", known), ["listen"]);
        assert_eq!(nearest("leas", known), ["lease"]);
        assert_eq!(nearest("public-url", known), ["public_url"]);
        assert_eq!(nearest("colour", known), known);
    }

    #[test]
    fn no_name_is_both_enforced_and_refused() {
        for table in TABLES {
            assert!(!table.enforced.iter().any(|name| table.later.contains(name)), "{}", table.heading);
        }
    }
}
