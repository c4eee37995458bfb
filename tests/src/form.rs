//! Forms as a browser sends them: fields, then a file, in the order in which they are added.

use serde_json::{Value, json};

use crate::aws::Aws;
use crate::http::Request;
use crate::key::{Key, time_text};

/// What separates the parts of every form here.
pub const BOUNDARY: &str = "----valetkey-tests-4Y7";

/// A form being written.
#[derive(Clone, Debug)]
pub struct Form {
    fields: Vec<(String, String)>,
    filename: String,
    file_type: Option<String>,
    content: Vec<u8>,
    /// What stands behind the file.
    behind: Vec<u8>,
}

/// What an S3 policy says, beside the credential's own fields.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Until when it holds.
    pub expiration: String,
    /// Its conditions.
    pub conditions: Vec<Value>,
}

impl Policy {
    /// A policy for an hour that takes keys that begin with `prefix`, in the bucket `files`.
    pub fn new(aws: &Aws, prefix: &str) -> Self {
        let conditions = vec![json!({"bucket": "files"}), json!(["starts-with", "$key", prefix])];
        Self { expiration: time_text(aws.time + 3600), conditions }
    }

    /// Adds a condition.
    pub fn with(mut self, condition: Value) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Its text, with conditions for the fields that carry it.
    pub fn text(&self) -> String {
        let credential = ["algorithm", "credential", "date"].map(|name| {
            let field = format!("$x-amz-{name}");
            json!(["starts-with", field, ""])
        });
        let conditions: Vec<_> = self.conditions.iter().chain(&credential).collect();
        json!({ "expiration": self.expiration, "conditions": conditions }).to_string()
    }
}

impl Form {
    /// A form with these fields and an empty file.
    pub fn new(fields: Vec<(String, String)>) -> Self {
        Self {
            fields,
            filename: "a.txt".to_owned(),
            file_type: None,
            content: Vec::new(),
            behind: Vec::new(),
        }
    }

    /// A form that carries a native key and names this object.
    pub fn native(key: &Key, name: &str) -> Self {
        Self::new(key.fields()).field("key", name)
    }

    /// A form that was signed for S3 and names this object.
    pub fn signed(aws: &Aws, policy: &Policy, name: &str) -> Self {
        Self::new(aws.form(&policy.text())).field("key", name)
    }

    /// Adds a field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a field out.
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }

    /// Sets the value of a field that is there.
    pub fn change(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        for (field, value) in &mut self.fields {
            if field == name {
                *value = change(value);
            }
        }
        self
    }

    /// All fields before the file.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a field.
    ///
    /// # Panics
    /// If there is none.
    pub fn value(&self, name: &str) -> &str {
        self.fields()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value)
            .expect("the form has the field")
    }

    /// Sets the file.
    pub fn file(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content = content.into();
        self
    }

    /// Sets the name that the client gives its file.
    pub fn filename(mut self, name: &str) -> Self {
        self.filename = name.to_owned();
        self
    }

    /// Sets the type that the client gives its file.
    pub fn file_type(mut self, kind: &str) -> Self {
        self.file_type = Some(kind.to_owned());
        self
    }

    /// Adds a field behind the file.
    pub fn late(mut self, name: &str, value: &str) -> Self {
        self.behind.extend(part(name, value).bytes());
        self
    }

    /// What comes before the file's first byte.
    pub fn head(&self) -> Vec<u8> {
        let mut head: String = self.fields.iter().map(|(name, value)| part(name, value)).collect();
        head.push_str(&format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n",
            self.filename
        ));
        if let Some(kind) = &self.file_type {
            head.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// What comes after the file's last byte.
    pub fn tail(&self) -> Vec<u8> {
        let mut tail = b"\r\n".to_vec();
        tail.extend_from_slice(&self.behind);
        tail.extend(format!("--{BOUNDARY}--\r\n").bytes());
        tail
    }

    /// The whole body.
    pub fn body(&self) -> Vec<u8> {
        [self.head(), self.content.clone(), self.tail()].concat()
    }

    /// A POST of it to the bucket `files`.
    pub fn request(&self) -> Request {
        Self::post("/files").body(self.body())
    }

    /// The head of a POST of any form to this target.
    pub fn post(target: &str) -> Request {
        Request::new("POST", target)
            .header("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}"))
    }
}

fn part(name: &str, value: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}
