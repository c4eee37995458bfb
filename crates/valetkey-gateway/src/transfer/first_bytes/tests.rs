use valetkey::MediaType;

use super::*;

/// What the bytes are taken for under a declared type.
#[track_caller]
fn tells(bytes: &[u8], declared: &str, expected: Option<&str>) {
    assert_eq!(told(bytes, declared), expected, "{declared}: {:?}", String::from_utf8_lossy(bytes));
}

/// Whether bytes that tell `kind` pass as the declared type, which is the only one that is taken.
fn passes(kind: &'static str, declared: &str) -> bool {
    assert!(MediaType::parse(declared).is_some(), "{declared}");
    names(kind).any(|name| is_called(name, declared))
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const EXE: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0";

#[test]
fn bytes_tell_their_type_whatever_was_declared() {
    for declared in ["image/jpeg", "application/pdf", "text/plain"] {
        tells(PNG, declared, Some("image/png"));
        tells(EXE, declared, Some("application/vnd.microsoft.portable-executable"));
        tells(b"%PDF-1.7\n", declared, Some("application/pdf"));
        for page in [
            "<!DOCTYPE html><p>",
            "\u{feff} \n<HTML lang=en>",
            "<script>1</script>",
            "<title\n>x",
            "<head>",
            "<body",
        ] {
            tells(page.as_bytes(), declared, Some("text/html"));
        }
        tells(b"<?XML version='1.0'?><a/>", declared, Some("text/xml"));
        tells(b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", declared, Some("image/svg+xml"));
        tells(b"<!DOCTYPE svg PUBLIC", declared, Some("image/svg+xml"));
    }
}

#[test]
fn text_tells_nothing_where_text_was_declared() {
    for text in [
        "hello",
        "",
        "MZ is a country code",
        "BM and GIF are abbreviations",
        "BCC: you",
        "#!/usr/bin/python3\n",
        "-----BEGIN PGP MESSAGE-----",
        "<p align=center>\n\n# A project",
        "<!-- a comment -->\n# A project",
        "<a@example.com> wrote",
        "<headline>",
        "{\"json\": true}",
        "a %PDF is mentioned",
    ] {
        for declared in ["text/plain", "text/markdown", "application/json", "application/vnd.api+json"] {
            tells(text.as_bytes(), declared, None);
        }
    }
}

#[test]
fn no_markup_passes_as_an_image() {
    for text in ["<p>hello", "<!-- x --><script>", "<a href=x>", "<img src=x onerror=alert(1)>"] {
        tells(text.as_bytes(), "image/png", Some("text/html"));
    }
    assert!(!passes("text/html", "image/png"));
    assert!(!passes("text/xml", "image/png"));
    assert!(passes("text/xml", "image/svg+xml"));
    assert!(passes("text/xml", "application/atom+xml"));
    assert!(!passes("image/svg+xml", "text/html"));
}

#[test]
fn any_bytes_are_an_octet_stream() {
    for bytes in [PNG, EXE, b"<html>"] {
        tells(bytes, "application/octet-stream", None);
    }
}

#[test]
fn a_container_passes_as_what_it_carries() {
    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    for (kind, declared, expected) in [
        ("application/zip", DOCX, true),
        (DOCX, DOCX, true),
        (DOCX, "application/zip", true),
        (DOCX, "application/vnd.ms-word.document.macroenabled.12", true),
        (DOCX, XLSX, false),
        ("application/zip", "application/epub+zip", true),
        ("application/zip", "image/png", false),
        ("application/zip", "application/pdf", false),
        ("application/gzip", "application/x-gzip", true),
        ("application/gzip", "application/zip", false),
        ("video/mp4", "audio/mp4", true),
        ("video/mp4", "image/heic", false),
        ("audio/x-wav", "audio/wav", true),
        ("application/vnd.microsoft.portable-executable", "application/x-msdownload", true),
        ("application/vnd.microsoft.portable-executable", "application/zip", false),
    ] {
        assert_eq!(passes(kind, declared), expected, "{kind} as {declared}");
    }
}

#[test]
fn every_type_in_the_table_is_one_that_can_be_told() {
    let ours = ["text/xml", "image/svg+xml"];
    for told in ALSO.iter().flat_map(|(kinds, _)| kinds.iter()) {
        assert!(ours.contains(told) || infer::is_mime_supported(told), "{told}");
    }
}
