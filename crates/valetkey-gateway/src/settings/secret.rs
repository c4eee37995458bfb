//! Where a secret is read from: a file that only we can read, or the environment.
//!
//! The secret itself is in no message of this module.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

/// How long a secret may be, in bytes, that signs or opens something here. Shorter ones can be guessed from a
/// single key; longer ones are a wrong path.
pub(super) const OWN_BYTES: RangeInclusive<usize> = 16..=4096;

/// A secret's text. It is wiped when dropped, and prints as a placeholder.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Whether `text` is the secret; how long that takes tells nothing of it.
    pub fn is(&self, text: &[u8]) -> bool {
        // The comparison of two hashes takes the same time whatever they are.
        blake3::hash(self.0.as_bytes()) == blake3::hash(text)
    }

    /// The secret itself, for whoever must send it or sign with it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.0.as_bytes())
    }
}

impl Eq for SecretText {}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Reads the secret in the file at `path`, or says what is wrong with it.
pub(super) fn from_file(path: &Path, bytes: &RangeInclusive<usize>) -> Result<SecretText, String> {
    let shown = path.display();
    let read = read_private(path, "secret file", bytes.end() + 2)?;
    let text = std::str::from_utf8(&read).map_err(|_| format!("secret file {shown} is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    check_length(text, bytes, &format!("secret file {shown}"))?;
    Ok(SecretText(Zeroizing::new(text.to_owned())))
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
    bytes: &RangeInclusive<usize>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<SecretText, String> {
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
    check_length(&value, bytes, &format!("environment variable {name}"))?;
    Ok(SecretText(value))
}

fn check_length(text: &str, bytes: &RangeInclusive<usize>, origin: &str) -> Result<(), String> {
    let (least, most) = (bytes.start(), bytes.end());
    match text.len() {
        0 => Err(format!("{origin} is empty")),
        length if length < *least => {
            Err(format!("{origin} is too short for a secret; write {least} to {most} bytes of random text"))
        }
        length if length > *most => Err(format!("{origin} is longer than {most} bytes")),
        _ => Ok(()),
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

    fn check_file(bytes: &[u8], expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, bytes, 0o600);
        match (from_file(&path, &OWN_BYTES), expected) {
            (Ok(secret), Ok(text)) => assert_eq!(secret.reveal(), text),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (read, expected) => panic!("{read:?} {expected:?}"),
        }
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
        check_file(&[b'x'; 4097], Err("longer than 4096 bytes"));
        check_file(&[b'x'; 4096], Ok(&"x".repeat(4096)));
        check_file(b"0123456789abcdef\xff", Err("not UTF-8"));
    }

    #[test]
    fn a_secret_that_others_can_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601, 0o620] {
            let path = written(&folder, TEXT.as_bytes(), mode);
            let message = from_file(&path, &OWN_BYTES).unwrap_err();
            assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        }
        for mode in [0o600, 0o400] {
            assert!(from_file(&written(&folder, TEXT.as_bytes(), mode), &OWN_BYTES).is_ok());
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
        assert!(from_file(folder.path(), &OWN_BYTES).unwrap_err().contains("not a regular file"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(from_file(&pipe, &OWN_BYTES).unwrap_err().contains("not a regular file"));
        let message = from_file(&folder.path().join("none"), &OWN_BYTES).unwrap_err();
        assert!(message.starts_with("read secret file") && message.contains("No such file"), "{message}");
    }

    #[test]
    fn a_secret_prints_as_a_placeholder_and_equals_its_like() {
        let secret = |text: &str| SecretText(Zeroizing::new(text.to_owned()));
        assert_eq!(format!("{:?}", secret(TEXT)), "SecretText(…)");
        assert!(secret(TEXT) == secret(TEXT) && secret(TEXT) != secret("0123456789abcdeF"));
    }

    #[test]
    fn the_environment_gives_a_secret_by_a_variables_name() {
        let environment = |name: &str| (name == "WEB_SECRET").then(|| OsString::from(TEXT));
        let read = |name| from_environment(name, &OWN_BYTES, &environment);
        assert_eq!(read("WEB_SECRET").unwrap().reveal(), TEXT);
        let message = read("OTHER").unwrap_err();
        assert_eq!(message, "environment variable OTHER is not set");
        let message = read("s3cr3t-text!").unwrap_err();
        assert!(!message.contains("s3cr3t"), "{message}");
    }
}
