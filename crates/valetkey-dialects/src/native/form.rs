//! Forms that carry a native key in their fields.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use valetkey::{Denial, ResourcePath, encode_component, key};

use crate::form::{Form, FormHeaders, object};

/// Fields that say what the file hashes to; each is the header of that name.
const CHECKSUMS: [&str; 5] =
    ["content-digest", "content-md5", "digest", "repr-digest", "x-amz-sdk-checksum-algorithm"];

/// The beginning of the names of S3's checksums.
const S3_CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// What a form with a native key asks for, before its key is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeForm {
    /// The `vk-` fields as a query string, to be read as the key that they are.
    query: String,
    /// What `key` names: the object that the file becomes, and the path of a key that says none.
    pub path: ResourcePath,
    /// What a plain upload would say in its headers: the declared type and checksums.
    pub headers: FormHeaders,
}

impl NativeForm {
    /// Reads the fields of a form on the URL of `bucket`.
    ///
    /// The declared type is the field's, else the file's own. A `${filename}` is plain text.
    ///
    /// # Errors
    /// [`Denial::BadRequest`] for a field that has no place here, and without a `key`;
    /// [`Denial::BadName`] for one that cannot name an object.
    pub fn of(form: &Form, bucket: &ResourcePath) -> Result<Self, Denial> {
        let (mut query, mut key, mut headers) = (String::new(), None, Vec::new());
        let mut declared = form.file_type.as_deref();
        for (name, value) in form.fields() {
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "key" => key = Some(value),
                "content-type" => declared = Some(value),
                "submit" => {}
                // In whatever case: the key's own rules know only one.
                _ if lower.starts_with("vk-") => {
                    let joint = if query.is_empty() { "" } else { "&" };
                    let (name, value) = (encode_component(name, b""), encode_component(value, b""));
                    query.extend([joint, &name, "=", &value]);
                }
                _ if CHECKSUMS.contains(&lower.as_str()) || lower.starts_with(S3_CHECKSUM_PREFIX) => {
                    headers.push((lower, value.to_string()));
                }
                _ => {
                    let shown: String = name.chars().filter(|char| !char.is_control()).take(40).collect();
                    return Err(Denial::BadRequest(alloc::format!(
                        "the field {shown} has no place in a form with a native key"
                    )));
                }
            }
        }
        headers.extend(declared.map(|declared| ("content-type".to_string(), declared.to_string())));
        let key = key.ok_or_else(|| Denial::BadRequest("the form has no field named key".to_string()))?;
        let headers = FormHeaders { values: headers, are_signed: false };
        Ok(Self { query, path: object(bucket, key)?, headers })
    }

    /// The key that the fields are.
    ///
    /// # Errors
    /// [`Denial::MalformedKey`].
    pub fn present(&self) -> Result<key::Presented<'_>, Denial> {
        super::decode(&self.query, Some(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::form::tests::form;

    fn read(form: &Form) -> Result<NativeForm, &'static str> {
        let bucket = ResourcePath::from_url("/files/").unwrap();
        NativeForm::of(form, &bucket).map_err(|denial| denial.reason())
    }

    #[test]
    fn a_key_is_read_from_its_fields() {
        let read = read(&form(&[
            ("vk-signer", "web"),
            ("key", "a b/${filename}"),
            ("vk-disposition", "inline; filename=\"a+b&c=d\""),
            ("submit", "Send"),
        ]))
        .unwrap();
        assert_eq!(read.query, "vk-signer=web&vk-disposition=inline%3B%20filename%3D%22a%2Bb%26c%3Dd%22");
        assert_eq!(read.path.as_str(), "/files/a b/${filename}");
        assert_eq!(read.headers.values, []);
    }

    #[test]
    fn what_is_no_spelling_of_a_key_is_left_to_the_keys_own_rules() {
        for (name, expected) in
            [("Vk-max", "Vk-max=1"), ("vk-max ", "vk-max%20=1"), ("vk-max.1", "vk-max.1=1")]
        {
            let read = read(&form(&[("key", "a"), (name, "1")])).unwrap();
            assert_eq!(read.query, expected);
        }
        let path = ResourcePath::from_text("/files/a").unwrap();
        assert!(valetkey::key::decode("Vk-max=1", Some(&path)).is_err());
    }

    #[test]
    fn the_type_is_the_fields_and_else_the_files() {
        let declared = |fields: &[(&str, &str)], file_type: Option<&str>| {
            let mut form = form(fields);
            form.file_type = file_type.map(ToString::to_string);
            read(&form).unwrap().headers.declared_type().map(ToString::to_string)
        };
        assert_eq!(declared(&[("key", "a")], None), None);
        assert_eq!(declared(&[("key", "a")], Some("text/html")).as_deref(), Some("text/html"));
        let both = [("key", "a"), ("Content-Type", "image/png")];
        assert_eq!(declared(&both, Some("text/html")).as_deref(), Some("image/png"));
    }

    #[test]
    fn no_other_field_may_stand() {
        for name in
            ["acl", "policy", "Cache-Control", "x-amz-meta-a", "success_action_redirect", "%76k-max", "x"]
        {
            assert_eq!(read(&form(&[("key", "a"), (name, "x")])), Err("bad_request"), "{name}");
        }
        for name in ["x-amz-checksum-crc32", "Content-MD5", "digest", "repr-digest"] {
            let read = read(&form(&[("key", "a"), (name, "x")])).unwrap();
            assert_eq!(read.headers.values, [(name.to_ascii_lowercase(), "x".to_string())]);
        }
    }

    #[test]
    fn a_key_names_an_object() {
        assert_eq!(read(&form(&[])), Err("bad_request"));
        for key in ["", "a/", "/a", "a//b", "../a", "a/../b", "a\0", &"a".repeat(1025)] {
            assert_eq!(read(&form(&[("key", key)])), Err("bad_request"), "{key}");
        }
        assert_eq!(read(&form(&[("key", "a%2Fb")])).unwrap().path.as_str(), "/files/a%2Fb");
    }
}
