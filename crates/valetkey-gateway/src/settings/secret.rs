//! Where a signer's secret is read from: a file that only we can read, or the environment.
//!
//! The secret itself is in no message of this module.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use valetkey::Secret;
use zeroize::Zeroizing;

/// The shortest secret that is taken, in bytes. Shorter ones can be guessed from a single key.
pub(super) const SECRET_BYTES_MIN: usize = 16;

/// The longest secret that is taken, in bytes, so that a wrong path reads no large file.
pub(super) const SECRET_BYTES_MAX: usize = 4096;

/// Reads the secret in the file at `path`, or says what is wrong with it.
pub(super) fn from_file(path: &Path) -> Result<Secret, String> {
    Ok(Secret::new(text_from_file(path)?.as_bytes()))
}

/// As [`from_file`], for a secret that is compared and signs nothing.
pub(super) fn text_from_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let bytes = read_private(path, "secret file", SECRET_BYTES_MAX + 2)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("secret file {shown} is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    check_length(text, &format!("secret file {shown}"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Reads a file that only we can read, of which one byte more than `bytes_max` is read at most; `what` it is
/// begins each message.
pub(super) fn read_private(path: &Path, what: &str, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    // Without blocking, a pipe in the file's place cannot hold up the start.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| format!("read {what} {shown}: {}", std::io::Error::from(error)))?;
    // What is judged is what was opened, not what stands at the path a moment later.
    let metadata = file.metadata().map_err(|error| format!("read {what} {shown}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{what} {shown} is not a regular file"));
    }
    let access = Access { mode: metadata.mode() & 0o7777, owner: metadata.uid() };
    access.check(path, what, rustix::process::geteuid().as_raw())?;
    // Room from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
    let limit = u64::try_from(bytes_max + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| format!("read {what} {shown}: {error}"))?;
    Ok(bytes)
}

/// Reads the secret in the environment's variable `name`, as `environment` gives it.
pub(super) fn from_environment(
    name: &str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Secret, String> {
    Ok(Secret::new(text_from_environment(name, environment)?.as_bytes()))
}

/// As [`from_environment`], for a secret that is compared and signs nothing.
pub(super) fn text_from_environment(
    name: &str,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Zeroizing<String>, String> {
    let sound = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|char: char| char.is_ascii_digit())
        && !name.is_empty();
    if !sound {
        // Somebody may have put the secret here in place of the variable's name.
        return Err("the name of an environment variable has letters, digits and _ only".to_owned());
    }
    let value = environment(name).ok_or_else(|| format!("environment variable {name} is not set"))?;
    let value = value.into_string().map_err(|_| format!("environment variable {name} is not UTF-8 text"))?;
    let value = Zeroizing::new(value);
    check_length(&value, &format!("environment variable {name}"))?;
    Ok(value)
}

fn check_length(text: &str, origin: &str) -> Result<(), String> {
    match text.len() {
        0 => Err(format!("{origin} is empty")),
        1..SECRET_BYTES_MIN => Err(format!(
            "{origin} is too short for a secret; write {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes of \
             random text"
        )),
        SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Ok(()),
        _ => Err(format!("{origin} is longer than {SECRET_BYTES_MAX} bytes")),
    }
}

/// Who can read a file.
#[derive(Clone, Copy, Debug)]
struct Access {
    mode: u32,
    owner: u32,
}

impl Access {
    fn check(self, path: &Path, what: &str, us: u32) -> Result<(), String> {
        let shown = path.display();
        if self.owner != us && self.owner != 0 {
            return Err(format!(
                "{what} {shown} belongs to user {}, who can replace it; chown it to user {us}",
                self.owner
            ));
        }
        if self.mode & 0o077 != 0 {
            return Err(format!(
                "{what} {shown} is open to other users (mode {:04o}); chmod 600 {shown}",
                self.mode
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    const TEXT: &str = "0123456789abcdef";

    fn written(folder: &tempfile::TempDir, bytes: &[u8], mode: u32) -> PathBuf {
        let path = folder.path().join("web.secret");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// What the file says, told by whether a key signed under it verifies under `expected`.
    fn check_file(bytes: &[u8], expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, bytes, 0o600);
        match (from_file(&path), expected) {
            (Ok(secret), Ok(text)) => assert!(same(&secret, &Secret::new(text.as_bytes())), "{text}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (read, expected) => panic!("{read:?} {expected:?}"),
        }
    }

    fn same(one: &Secret, other: &Secret) -> bool {
        let path = valetkey::ResourcePath::from_text("/files/a").unwrap();
        let claims = valetkey::Claims::new(valetkey::Verbs::ALL, valetkey::Timestamp::from_unix(1));
        let key = |secret| valetkey::mint("web", &path, &claims, secret).unwrap();
        key(one) == key(other)
    }

    #[test]
    fn a_secret_is_the_files_text_without_one_line_end() {
        check_file(TEXT.as_bytes(), Ok(TEXT));
        check_file(b"0123456789abcdef\n", Ok(TEXT));
        check_file(b"0123456789abcdef\r\n", Ok(TEXT));
        check_file(b"0123456789abcdef\n\n", Ok("0123456789abcdef\n"));
        check_file(b" 0123456789abcdef", Ok(" 0123456789abcdef"));
    }

    #[test]
    fn an_empty_short_long_or_binary_secret_is_refused() {
        check_file(b"", Err("is empty"));
        check_file(b"\n", Err("is empty"));
        check_file(b"0123456789abcde\n", Err("too short"));
        check_file(&[b'x'; SECRET_BYTES_MAX + 1], Err("longer than 4096 bytes"));
        check_file(&[b'x'; SECRET_BYTES_MAX], Ok(&"x".repeat(SECRET_BYTES_MAX)));
        check_file(b"0123456789abcdef\xff", Err("not UTF-8"));
    }

    #[test]
    fn a_secret_that_others_can_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601, 0o620] {
            let path = written(&folder, TEXT.as_bytes(), mode);
            let message = from_file(&path).unwrap_err();
            assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        }
        for mode in [0o600, 0o400] {
            assert!(from_file(&written(&folder, TEXT.as_bytes(), mode)).is_ok());
        }
    }

    #[test]
    fn a_secret_belongs_to_us_or_to_root() {
        let access =
            |owner| Access { mode: 0o600, owner }.check(Path::new("web.secret"), "secret file", 1000);
        assert!(access(1000).is_ok() && access(0).is_ok());
        assert!(access(1001).unwrap_err().contains("belongs to user 1001"));
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(from_file(folder.path()).unwrap_err().contains("not a regular file"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(from_file(&pipe).unwrap_err().contains("not a regular file"));
        let message = from_file(&folder.path().join("none")).unwrap_err();
        assert!(message.starts_with("read secret file") && message.contains("No such file"), "{message}");
    }

    #[test]
    fn the_environment_gives_a_secret_by_a_variables_name() {
        let environment = |name: &str| (name == "WEB_SECRET").then(|| OsString::from(TEXT));
        assert!(same(&from_environment("WEB_SECRET", &environment).unwrap(), &Secret::new(TEXT.as_bytes())));
        let message = from_environment("OTHER", &environment).unwrap_err();
        assert_eq!(message, "environment variable OTHER is not set");
        let message = from_environment("s3cr3t-text!", &environment).unwrap_err();
        assert!(!message.contains("s3cr3t"), "{message}");
    }
}
