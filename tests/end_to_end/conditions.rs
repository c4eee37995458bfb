//! Conditions and single ranges, as RFC 9110 sections 13 and 14 have them.

use valetkey_tests::expect::{accepted, refused, refused_in_words};
use valetkey_tests::gateway::Gateway;
use valetkey_tests::http::{Answer, Request};
use valetkey_tests::key::Key;

const OLD_DATE: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
const FAR_DATE: &str = "Fri, 01 Jan 2100 00:00:00 GMT";

struct Object {
    gateway: Gateway,
    key: Key,
    etag: String,
    modified: String,
}

impl Object {
    fn new(bytes: &str) -> Self {
        let gateway = Gateway::new();
        let key = Key::new("/files/a", "delete,read,write");
        accepted(&gateway.send(&Request::put(key.url(), bytes)), 200);
        let head = gateway.send(&Request::head(key.url()));
        let etag = head.header("etag").unwrap().to_owned();
        let modified = head.header("last-modified").unwrap().to_owned();
        Self { gateway, key, etag, modified }
    }

    fn get(&self, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", headers)
    }

    fn request(&self, method: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::new(method, self.key.url());
        if method == "PUT" {
            request = request.body("replaced");
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.gateway.send(&request)
    }
}

#[test]
fn reading_conditions_are_judged_as_rfc_9110_says() {
    let object = Object::new("0123456789");
    let (etag, weak, modified) =
        (object.etag.as_str(), format!("W/{}", object.etag), object.modified.as_str());
    let list = format!("\"x\", {etag} , \"y\"");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("If-None-Match", etag)], 304),
        (&[("If-None-Match", &weak)], 304),
        (&[("If-None-Match", &list)], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"other\"")], 200),
        (&[("If-Match", etag)], 200),
        (&[("If-Match", &list)], 200),
        (&[("If-Match", "*")], 200),
        (&[("If-Match", &weak)], 412),
        (&[("If-Match", "\"other\"")], 412),
        (&[("If-Modified-Since", modified)], 304),
        (&[("If-Modified-Since", OLD_DATE)], 200),
        (&[("If-Modified-Since", "not a date")], 200),
        (&[("If-Unmodified-Since", modified)], 200),
        (&[("If-Unmodified-Since", OLD_DATE)], 412),
        (&[("If-Unmodified-Since", FAR_DATE)], 200),
        // 13.2.2: an entity tag decides where there is one, and If-Match comes before If-None-Match.
        (&[("If-None-Match", "\"other\""), ("If-Modified-Since", modified)], 200),
        (&[("If-Match", etag), ("If-Unmodified-Since", OLD_DATE)], 200),
        (&[("If-Match", "\"other\""), ("If-None-Match", etag)], 412),
        (&[("If-Match", etag), ("If-None-Match", etag)], 304),
    ];
    for (headers, status) in cases {
        for method in ["GET", "HEAD"] {
            let answer = object.request(method, headers);
            assert_eq!(answer.status, *status, "{method} {headers:?}");
            if *status == 412 {
                refused(&answer, 412, "precondition_failed");
            } else {
                assert_eq!(answer.header("etag"), Some(etag), "{method} {headers:?}");
            }
            assert_eq!(answer.body.is_empty(), method == "HEAD" || *status == 304);
        }
    }
}

#[test]
fn conditions_on_what_is_not_there() {
    let gateway = Gateway::new();
    let key = Key::new("/files/absent", "delete,read,write");
    refused(&gateway.send(&Request::get(key.url()).header("If-None-Match", "*")), 404, "not_found");
    for value in ["*", "\"x\""] {
        let put = Request::put(key.url(), "x").header("If-Match", value);
        refused_in_words(&gateway.send(&put), 412, "precondition_failed");
    }
    assert!(!gateway.file_of("/files/absent").exists());
    accepted(&gateway.send(&Request::put(key.url(), "x").header("If-None-Match", "*")), 200);
}

#[test]
fn if_none_match_star_makes_a_create_of_a_write() {
    let object = Object::new("old");
    refused_in_words(&object.request("PUT", &[("If-None-Match", "*")]), 412, "already_exists");
    assert_eq!(object.get(&[]).body, b"old");
    refused_in_words(&object.request("PUT", &[("If-None-Match", &object.etag)]), 412, "precondition_failed");
    accepted(&object.request("PUT", &[("If-None-Match", "\"other\"")]), 200);
}

#[test]
fn if_match_guards_replacing_and_deleting() {
    let object = Object::new("old");
    let weak = format!("W/{}", object.etag);
    for wrong in ["\"other\"", weak.as_str()] {
        refused_in_words(&object.request("PUT", &[("If-Match", wrong)]), 412, "precondition_failed");
        refused_in_words(&object.request("DELETE", &[("If-Match", wrong)]), 412, "precondition_failed");
    }
    refused_in_words(
        &object.request("PUT", &[("If-Unmodified-Since", OLD_DATE)]),
        412,
        "precondition_failed",
    );
    assert_eq!(object.get(&[]).body, b"old");
    accepted(&object.request("PUT", &[("If-Match", &object.etag)]), 200);
    // The tag it had names nothing any more.
    refused_in_words(&object.request("PUT", &[("If-Match", &object.etag)]), 412, "precondition_failed");
    let now = object.get(&[]);
    assert_eq!(now.body, b"replaced");
    accepted(&object.request("DELETE", &[("If-Match", now.header("etag").unwrap())]), 204);
}

/// Of many who replace the same version, one does.
#[test]
fn race_of_if_match_has_one_winner() {
    let object = Object::new("old");
    let address = object.gateway.address();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|number| {
                let request = Request::put(object.key.url(), format!("body {number}"))
                    .header("If-Match", object.etag.as_str());
                scope.spawn(move || valetkey_tests::http::send(address, &request).unwrap().status)
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
}

#[test]
fn single_ranges_are_answered_to_the_byte() {
    let object = Object::new("0123456789");
    let cases = [
        ("0-0", "0", "0-0"),
        ("0-4", "01234", "0-4"),
        ("5-", "56789", "5-9"),
        ("9-9", "9", "9-9"),
        ("9-", "9", "9-9"),
        ("-3", "789", "7-9"),
        ("-1", "9", "9-9"),
        ("-10", "0123456789", "0-9"),
        ("-100", "0123456789", "0-9"),
        ("0-9", "0123456789", "0-9"),
        ("0-10", "0123456789", "0-9"),
        ("3-9223372036854775807", "3456789", "3-9"),
        ("00-04", "01234", "0-4"),
    ];
    for (range, body, told) in cases {
        let answer = object.get(&[("Range", &format!("bytes={range}"))]);
        accepted(&answer, 206);
        assert_eq!(answer.text(), body, "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {told}/10").as_str()), "{range}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{range}");
        assert_eq!(answer.header("etag"), Some(object.etag.as_str()));
    }
}

#[test]
fn range_behind_the_end_is_not_satisfiable() {
    let object = Object::new("0123456789");
    for range in ["10-", "10-10", "11-20", "-0", "9223372036854775807-"] {
        let answer = object.get(&[("Range", &format!("bytes={range}"))]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */10"), "{range}");
        assert_ne!(answer.body, b"0123456789");
    }
    let empty = Object::new("");
    assert_eq!(empty.get(&[("Range", "bytes=0-0")]).status, 416);
    accepted(&empty.get(&[]), 200);
}

/// A123: what is not a range is as if it were not there; many ranges never make a larger answer than the object.
#[test]
fn unfit_ranges_never_answer_more_than_the_object() {
    let object = Object::new("0123456789");
    for ignored in [
        "bytes=5-4",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "bytes",
        "lines=0-1",
        "bytes=0-1x",
        "0-1",
        "bytes=+1-2",
        "bytes=--2",
    ] {
        let answer = object.get(&[("Range", ignored)]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"), "{ignored}");
    }
    let many = vec!["0-9"; 1000].join(",");
    for range in [
        "0-0,5-5",
        "0-,0-,0-",
        "-1,-1",
        "0-99999999999999999999999",
        "99999999999999999999999-",
        many.as_str(),
    ] {
        let answer = object.get(&[("Range", &format!("bytes={range}"))]);
        assert!([200, 206, 400, 416].contains(&answer.status), "{range:.40}: {}", answer.status);
        assert!(answer.status == 400 || answer.status == 416 || answer.body.len() <= 10, "{range:.40}");
    }
}

#[test]
fn if_range_gives_the_whole_when_the_object_has_changed() {
    let object = Object::new("0123456789");
    let range = ("Range", "bytes=2-3");
    let weak = format!("W/{}", object.etag);
    let same = object.get(&[range, ("If-Range", &object.etag)]);
    assert_eq!((same.status, same.text().as_str()), (206, "23"));
    for other in ["\"other\"", weak.as_str(), OLD_DATE, "nonsense"] {
        let whole = object.get(&[range, ("If-Range", other)]);
        assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"), "{other}");
    }
    // A range that cannot be satisfied is not judged when the tag does not hold.
    assert_eq!(object.get(&[("Range", "bytes=50-"), ("If-Range", "\"other\"")]).status, 200);
    // Conditions come first.
    assert_eq!(object.get(&[range, ("If-None-Match", &object.etag)]).status, 304);
    assert_eq!(object.get(&[range, ("If-Match", "\"other\"")]).status, 412);
}
