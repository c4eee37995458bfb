//! What the first bytes of an upload tell of its type, where its key says what that must be.
//!
//! The bytes are let through where they tell nothing, where what they tell is a name or a container of the
//! declared type (a .docx is a zip), or where the key takes what they tell. The rule is described for operators
//! in `docs/UPLOADS.md`.

use valetkey::{Denial, MediaType, MediaTypes};

use super::body::as_u64;

/// How many bytes are looked at. Documents in zip archives are told apart by their third entry.
const GATHERED_BYTES_MAX: usize = 8 << 10;

/// The beginning of an upload, until it is judged.
pub(crate) struct FirstBytes<'a> {
    types: &'a MediaTypes,
    /// `None` once there is nothing more to judge.
    declared: Option<MediaType>,
    gathered: Vec<u8>,
}

impl<'a> FirstBytes<'a> {
    /// Of an upload that was declared as `declared`, which its permit takes.
    pub(crate) fn of(types: &'a MediaTypes, declared: Option<&str>) -> Self {
        let declared = declared.filter(|_| !types.are_all()).and_then(MediaType::parse);
        Self { types, declared, gathered: Vec::new() }
    }

    /// How many of the first bytes are to be looked at: none where there is nothing to judge.
    pub(crate) fn wanted_bytes(&self) -> u64 {
        if self.declared.is_some() { as_u64(GATHERED_BYTES_MAX) } else { 0 }
    }

    /// Looks at the next piece of the upload.
    ///
    /// # Errors
    /// As [`Self::judge`], as soon as enough is there.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<(), Denial> {
        if self.declared.is_none() {
            return Ok(());
        }
        let room = GATHERED_BYTES_MAX - self.gathered.len();
        self.gathered.extend_from_slice(&piece[..piece.len().min(room)]);
        if self.gathered.len() < GATHERED_BYTES_MAX { Ok(()) } else { self.judge() }
    }

    /// Judges what came, once.
    ///
    /// # Errors
    /// [`Denial::TypeBelied`].
    pub(crate) fn judge(&mut self) -> Result<(), Denial> {
        let Some(declared) = self.declared.take() else { return Ok(()) };
        let Some(told) = told(&self.gathered, declared.as_str()) else { return Ok(()) };
        let mut exact = names(told).filter(|name| !name.contains('*'));
        let fits = names(told).any(|name| is_called(name, declared.as_str()));
        if fits || exact.any(|name| self.types.contain(name)) {
            Ok(())
        } else {
            Err(Denial::TypeBelied(told))
        }
    }
}

/// Marks of two or three bytes, with which other content begins often enough: they tell nothing. (`eot` has
/// the type of any bytes, and what `pem` marks may be a key or a message as well.)
const WEAK: [&str; 7] = ["bc", "obj", "der", "pem", "Z", "cpio", "eot"];

/// The media type that the first bytes tell, if they tell one.
fn told(bytes: &[u8], declared: &str) -> Option<&'static str> {
    // By its definition any bytes are that:
    // https://www.rfc-editor.org/rfc/rfc2046#section-4.5.1
    if declared == "application/octet-stream" {
        return None;
    }
    let is_text = !bytes.iter().any(|byte| matches!(byte, 0..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    // A text may begin with the letters that mark a program or an image: `MZ`, `BM`.
    if is_text && is_textual(declared) {
        return markup(bytes, false).or_else(|| printed(bytes));
    }
    markup(bytes, true).or_else(|| magic(bytes))
}

/// What a mark at the beginning tells.
fn magic(bytes: &[u8]) -> Option<&'static str> {
    // Some marks are believed only with a header's length behind them. What was cut short is padded, so that
    // it tells what it began to be.
    let mut padded = [0; 128];
    let told = match padded.get_mut(..bytes.len()) {
        Some(start) if !bytes.is_empty() => {
            start.copy_from_slice(bytes);
            infer::get(&padded)
        }
        _ => infer::get(bytes),
    };
    told.filter(|kind| !WEAK.contains(&kind.extension())).map(|kind| kind.mime_type())
}

/// Whether content of this type is text that a person could have written.
fn is_textual(media_type: &str) -> bool {
    const APPLICATIONS: [&str; 14] = [
        "graphql",
        "javascript",
        "json",
        "rtf",
        "sql",
        "toml",
        "x-httpd-php",
        "x-javascript",
        "x-ndjson",
        "x-sh",
        "x-tex",
        "x-yaml",
        "xml",
        "yaml",
    ];
    let Some((kind, subtype)) = media_type.split_once('/') else { return false };
    kind == "text"
        || kind == "message"
        || ["+json", "+xml", "+yaml"].iter().any(|suffix| subtype.ends_with(suffix))
        || kind == "application" && APPLICATIONS.contains(&subtype)
}

/// Whether the bytes are a page, an XML document or a drawing.
///
/// The tags are those of [MIME sniffing](https://mimesniff.spec.whatwg.org/#rule-for-unknown-mime-type); some of
/// them begin a text in Markdown as well, and count only where the declared type is no text (`loosely`).
fn markup(bytes: &[u8], loosely: bool) -> Option<&'static str> {
    const TAGS: [&str; 9] =
        ["!doctype html", "html", "head", "script", "iframe", "body", "style", "title", "meta"];
    const LOOSE_TAGS: [&str; 10] = ["h1", "div", "font", "table", "a", "b", "br", "p", "img", "form"];
    const SVG_TAGS: [&str; 2] = ["svg", "!doctype svg"];
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |tag: &&str| {
        let (name, after) = bytes.get(1..)?.split_at_checked(tag.len())?;
        let ends = after.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
        (bytes[0] == b'<' && name.eq_ignore_ascii_case(tag.as_bytes()) && ends).then_some(())
    };
    let begins_with_any = |tags: &[&str]| tags.iter().any(|tag| begins(tag).is_some());
    if bytes.get(..5).is_some_and(|head| head.eq_ignore_ascii_case(b"<?xml")) {
        Some("text/xml")
    } else if begins_with_any(&SVG_TAGS) {
        Some("image/svg+xml")
    } else if begins_with_any(&TAGS)
        || loosely && (begins_with_any(&LOOSE_TAGS) || bytes.starts_with(b"<!--"))
    {
        Some("text/html")
    } else {
        None
    }
}

/// Whether text is a document in a language of printing.
fn printed(text: &[u8]) -> Option<&'static str> {
    let marks: [(&[u8], _); 3] =
        [(b"%PDF-", "application/pdf"), (b"%!PS", "application/postscript"), (b"{\\rtf", "application/rtf")];
    marks.into_iter().find(|(mark, _)| text.starts_with(mark)).map(|(_, kind)| kind)
}

/// All names of a told type: its own, and those in use for the same bytes.
fn names(told: &'static str) -> impl Iterator<Item = &'static str> {
    let rows = ALSO.iter().filter(move |(kinds, _)| kinds.contains(&told));
    std::iter::once(told).chain(rows.flat_map(|(_, names)| names.iter().copied()))
}

/// Whether `media_type` is what `name` says, in which one `*` stands for any text.
fn is_called(name: &str, media_type: &str) -> bool {
    match name.split_once('*') {
        None => name == media_type,
        Some((before, after)) => media_type.strip_prefix(before).is_some_and(|rest| rest.ends_with(after)),
    }
}

/// What else the bytes of a type are called, row by row: other names of it, and types whose content it carries.
const ALSO: &[(&[&str], &[&str])] = &[
    (&["text/html"], &["application/xhtml+xml"]),
    (&["text/xml"], &["application/xml", "*+xml", "text/html"]),
    (&["image/svg+xml"], &["application/xml", "text/xml"]),
    (&["text/x-shellscript"], &["application/x-sh", "application/x-shellscript", "application/x-csh"]),
    (&["application/rtf"], &["text/rtf", "application/msword"]),
    (&["application/pdf"], &["application/x-pdf", "application/illustrator"]),
    (&["application/postscript"], &["application/illustrator", "application/eps", "image/x-eps"]),
    // Images.
    (&["image/jpeg"], &["image/jpg", "image/pjpeg"]),
    (&["image/png"], &["image/apng", "image/vnd.mozilla.apng", "image/x-png"]),
    // The raw formats of cameras are built like it.
    (&["image/tiff"], &["image/dng", "image/x-*"]),
    (&["image/bmp"], &["image/x-bmp", "image/x-ms-bmp"]),
    (&["image/vnd.microsoft.icon"], &["image/x-icon", "image/ico"]),
    (&["image/heif"], &["image/heic", "image/heif-sequence", "image/heic-sequence"]),
    (&["image/vnd.adobe.photoshop"], &["image/x-photoshop", "application/x-photoshop"]),
    (&["image/vnd.ms-photo"], &["image/jxr"]),
    (&["image/vnd.djvu"], &["image/x-djvu"]),
    (&["image/jp2"], &["image/jpx", "image/jpm", "video/mj2"]),
    // Sound and film share containers.
    (
        &["video/mp4", "video/x-m4v", "video/quicktime", "audio/m4a"],
        &[
            "video/mp4",
            "audio/mp4",
            "application/mp4",
            "video/x-m4v",
            "audio/x-m4a",
            "audio/m4a",
            "video/quicktime",
            "video/3gpp",
            "audio/3gpp",
            "video/3gpp2",
            "audio/3gpp2",
        ],
    ),
    (&["video/x-matroska"], &["video/matroska", "audio/matroska", "audio/x-matroska"]),
    (&["video/webm"], &["audio/webm", "video/x-matroska", "video/matroska"]),
    (&["video/x-msvideo"], &["video/avi", "video/msvideo"]),
    (&["video/x-ms-wmv"], &["video/x-ms-asf", "audio/x-ms-wma", "application/vnd.ms-asf"]),
    (&["video/mpeg"], &["video/mp2p", "video/x-mpeg"]),
    (&["video/x-flv"], &["video/flv"]),
    (&["audio/ogg", "audio/opus"], &["audio/ogg", "video/ogg", "application/ogg", "audio/vorbis"]),
    (&["audio/mpeg"], &["audio/mp3", "audio/x-mp3", "audio/x-mpeg"]),
    (&["audio/x-flac"], &["audio/flac"]),
    (&["audio/x-wav"], &["audio/wav", "audio/wave", "audio/vnd.wave"]),
    (&["audio/aac"], &["audio/aacp", "audio/x-aac"]),
    (&["audio/x-aiff"], &["audio/aiff"]),
    (&["audio/midi"], &["audio/mid", "audio/x-midi"]),
    // Fonts.
    (&["application/font-woff"], &["font/woff", "font/woff2", "application/x-font-woff"]),
    (
        &["application/font-sfnt"],
        &[
            "font/ttf",
            "font/otf",
            "font/sfnt",
            "application/x-font-ttf",
            "application/x-font-otf",
            "application/vnd.ms-opentype",
        ],
    ),
    // Documents that are archives: a plain zip may be any of them, and each of them is a zip.
    (
        &["application/zip"],
        &[
            "application/vnd.*",
            "application/*+zip",
            "application/java-archive",
            "application/x-java-archive",
            "application/x-xpinstall",
            "application/x-cbz",
            "model/3mf",
        ],
    ),
    (
        &[
            "application/zip",
            "application/epub+zip",
            "application/vnd.oasis.opendocument.text",
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.presentation",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "image/openraster",
        ],
        &["application/zip", "application/x-zip", "application/x-zip-compressed"],
    ),
    (
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.*", "application/vnd.ms-word*"],
    ),
    (
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.*", "application/vnd.ms-excel*"],
    ),
    (
        &["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
        &["application/vnd.openxmlformats-officedocument.presentationml.*", "application/vnd.ms-powerpoint*"],
    ),
    (
        &[
            "application/vnd.oasis.opendocument.text",
            "application/vnd.oasis.opendocument.spreadsheet",
            "application/vnd.oasis.opendocument.presentation",
        ],
        &["application/vnd.oasis.opendocument.*"],
    ),
    // The container of the older office documents; which of them it is stands further back.
    (
        &["application/msword", "application/x-ole-storage"],
        &["application/msword", "application/vnd.*", "application/x-msi", "application/x-ole-storage"],
    ),
    // Archives. What is called a tar is as often a packed one.
    (
        &["application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd"],
        &["application/x-tar", "application/x-gtar", "application/x-compressed-tar"],
    ),
    (&["application/gzip"], &["application/x-gzip", "application/x-tgz", "application/*+gzip"]),
    (&["application/x-bzip2"], &["application/x-bzip", "application/bzip2"]),
    (&["application/zstd"], &["application/x-zstd"]),
    (&["application/vnd.rar"], &["application/x-rar-compressed", "application/x-rar", "application/rar"]),
    (&["application/vnd.debian.binary-package"], &["application/x-debian-package", "application/x-deb"]),
    (&["application/vnd.sqlite3"], &["application/x-sqlite3", "application/*+sqlite3"]),
    // Programs.
    (
        &["application/vnd.microsoft.portable-executable"],
        &["application/x-msdownload", "application/x-msdos-program", "application/x-dosexec"],
    ),
    (
        &["application/x-executable"],
        &["application/x-elf", "application/x-sharedlib", "application/x-object"],
    ),
    (&["application/java"], &["application/java-vm"]),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
