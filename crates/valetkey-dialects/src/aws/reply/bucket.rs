//! What is told of buckets, and what is the same for every object.

use alloc::string::String;

use crate::aws::operation::ListBuckets;
use crate::xml::{Milliseconds, Xml};

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketEntry<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// `ListAllMyBucketsResult`: of `buckets`, sorted by their names, those that were asked for.
pub fn list_buckets<'a>(
    asked: &ListBuckets,
    buckets: impl Iterator<Item = BucketEntry<'a>>,
    owner: &str,
) -> String {
    let mut wanted = buckets.filter(|bucket| asked.takes(bucket.name)).peekable();
    Xml::s3("ListAllMyBucketsResult", 1024, |xml| {
        xml.owner("Owner", owner);
        let mut last = None;
        xml.nested("Buckets", |xml| {
            for bucket in wanted.by_ref().take(asked.buckets_max()) {
                xml.nested("Bucket", |xml| {
                    xml.element("Name", bucket.name);
                    xml.element("CreationDate", Milliseconds(bucket.created_ms));
                });
                last = Some(bucket.name);
            }
        });
        xml.optional("ContinuationToken", last.filter(|_| wanted.peek().is_some()));
        if !asked.prefix().is_empty() {
            xml.element("Prefix", asked.prefix());
        }
    })
}

/// `LocationConstraint`. The first of AWS's regions is named by nothing.
pub fn bucket_location(region: &str) -> String {
    let region = if region == "us-east-1" { "" } else { region };
    Xml::s3("LocationConstraint", 128, |xml| xml.text(region))
}

/// `VersioningConfiguration` of a bucket that keeps no versions.
pub fn bucket_versioning() -> String {
    Xml::s3("VersioningConfiguration", 128, |_| {})
}

/// `AccessControlPolicy` of a bucket or an object: its owner may do everything, and no one else has a part in it,
/// since what keys open no such list can say.
pub fn access_control(owner: &str) -> String {
    Xml::s3("AccessControlPolicy", 512, |xml| {
        xml.owner("Owner", owner);
        xml.nested("AccessControlList", |xml| {
            xml.nested("Grant", |xml| {
                xml.markup(
                    "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                     xsi:type=\"CanonicalUser\">",
                );
                xml.element("ID", owner);
                xml.element("DisplayName", owner);
                xml.markup("</Grantee><Permission>FULL_CONTROL</Permission>");
            });
        });
    })
}

/// `Tagging` of an object: tags are not taken, so there are none.
pub fn object_tagging() -> String {
    Xml::s3("Tagging", 128, |xml| xml.markup("<TagSet></TagSet>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::operation::Operation;
    use crate::aws::operation::test::operation;

    fn buckets(query: &str) -> String {
        let Ok(Operation::ListBuckets(asked)) = operation("GET", "/", query) else { panic!("{query}") };
        let all = ["abc", "abd", "xyz"].map(|name| BucketEntry { name, created_ms: 0 });
        list_buckets(&asked, all.into_iter(), "web")
    }

    #[test]
    fn buckets_are_listed_in_pages() {
        assert!(buckets("").ends_with(
            "<Owner><ID>web</ID><DisplayName>web</DisplayName></Owner><Buckets>\
             <Bucket><Name>abc</Name><CreationDate>1970-01-01T00:00:00.000Z</CreationDate></Bucket>\
             <Bucket><Name>abd</Name><CreationDate>1970-01-01T00:00:00.000Z</CreationDate></Bucket>\
             <Bucket><Name>xyz</Name><CreationDate>1970-01-01T00:00:00.000Z</CreationDate></Bucket>\
             </Buckets></ListAllMyBucketsResult>\n"
        ));
        let first = buckets("prefix=ab&max-buckets=1");
        assert!(first.contains("<ContinuationToken>abc</ContinuationToken><Prefix>ab</Prefix>"), "{first}");
        let second = buckets("prefix=ab&max-buckets=1&continuation-token=abc");
        assert!(second.contains("<Name>abd</Name>") && !second.contains("Token"), "{second}");
        assert_eq!(second.matches("<Bucket>").count(), 1);
    }

    #[test]
    fn the_first_region_is_named_by_nothing() {
        assert!(bucket_location("us-east-1").ends_with("2006-03-01/\"></LocationConstraint>\n"));
        assert!(bucket_location("eu-1").ends_with(">eu-1</LocationConstraint>\n"));
    }

    #[test]
    fn what_every_bucket_answers_is_well_formed() {
        for (document, root) in [
            (bucket_versioning(), "VersioningConfiguration"),
            (access_control("web"), "AccessControlPolicy"),
            (object_tagging(), "Tagging"),
        ] {
            let mut reader = crate::xml::Reader::open(document.as_bytes(), root).ok().unwrap();
            assert_eq!(reader.skip().and_then(|()| reader.end()), Ok(()), "{document}");
        }
    }
}
