//! Of which parts an object was made, and what they hash to together: what is kept of it with the object.
//!
//! There is little room beside an object. The sizes are kept as runs (`5242880x12,1048576`), which are short for what
//! clients send, and each of these is left out where it does not fit: then the object has no parts to tell of, and is
//! as whole as ever.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use valetkey_dialects::ChecksumAlgorithm;
use valetkey_dialects::aws::reply::WholeSum;

use crate::backend::{Attributes, Metadata};

/// How much the headers that are kept with an object may have in all for these to be added, in bytes.
const HEADERS_BYTES_MAX: usize = 3000;

/// The most parts that an object has.
const PARTS_MAX: usize = 10_000;

const SIZES: &str = "x-valetkey-parts";
const SUMS: &str = "x-valetkey-part-sums";
const COMPOSITE: &str = "x-valetkey-composite";

/// The parts that an object was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How long each is, in bytes.
    pub(crate) sizes: Vec<u64>,
    /// By which function each was hashed, and the values in base64.
    pub(crate) sums: Option<(ChecksumAlgorithm, Vec<String>)>,
}

impl Parts {
    /// Those of the object, where it has any that are kept.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        let sizes = read_sizes(value(&metadata.attributes, SIZES)?)?;
        let whole = sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
        if whole != Some(metadata.size_bytes) {
            return None;
        }
        let sums = value(&metadata.attributes, SUMS).and_then(read_sums);
        Some(Self { sums: sums.filter(|(_, values)| values.len() == sizes.len()), sizes })
    }

    /// Where part `number` begins, and how long it is.
    pub(crate) fn part(&self, number: u16) -> Option<(u64, u64)> {
        let before = usize::from(number).checked_sub(1)?;
        let bytes = *self.sizes.get(before)?;
        Some((self.sizes.get(..before)?.iter().sum(), bytes))
    }

    /// What part `number` of the object hashes to.
    pub(crate) fn sum(&self, number: u16, object: &Metadata) -> Option<WholeSum> {
        let (algorithm, values) = self.sums.as_ref()?;
        let text = values.get(usize::from(number).checked_sub(1)?)?.clone();
        // It is told as a part of what the whole has.
        let is_composite = composite(&object.attributes).is_some();
        Some(WholeSum { algorithm: *algorithm, text, is_composite })
    }

    /// Adds what is kept to `headers`, as far as there is room for it beside the `others` of the object.
    pub(crate) fn keep(
        &self,
        composite: Option<&WholeSum>,
        others: &[(String, String)],
        headers: &mut Vec<(String, String)>,
    ) {
        let line = |(name, value): &(String, String)| name.len() + value.len() + 3;
        let mut taken: usize = others.iter().chain(headers.iter()).map(line).sum();
        let composite = composite.map(|sum| (COMPOSITE, format!("{}:{}", sum.algorithm.name(), sum.text)));
        let sums = self.sums.as_ref();
        let sums =
            sums.map(|(algorithm, values)| (SUMS, format!("{}:{}", algorithm.name(), values.join(","))));
        for (name, value) in composite.into_iter().chain([(SIZES, written(&self.sizes))]).chain(sums) {
            taken += name.len() + value.len() + 3;
            if taken > HEADERS_BYTES_MAX {
                return;
            }
            headers.push((name.to_owned(), value));
        }
    }
}

/// What the parts of an object hash to together, where that is kept.
pub(crate) fn composite(attributes: &Attributes) -> Option<WholeSum> {
    let (algorithm, text) = value(attributes, COMPOSITE)?.split_once(':')?;
    let (sum, parts) = text.split_once('-')?;
    STANDARD.decode(sum).ok()?;
    parts.parse::<u16>().ok()?;
    Some(WholeSum {
        algorithm: ChecksumAlgorithm::of_s3(algorithm)?,
        text: text.to_owned(),
        is_composite: true,
    })
}

fn value<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn written(sizes: &[u64]) -> String {
    let runs = sizes.chunk_by(|one, next| one == next).map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}x{}", run.first().copied().unwrap_or_default(), run.len()),
    });
    runs.collect::<Vec<_>>().join(",")
}

fn read_sizes(text: &str) -> Option<Vec<u64>> {
    let mut sizes = Vec::new();
    for run in text.split(',') {
        let (size, count) = run.split_once('x').unwrap_or((run, "1"));
        let (size, count): (u64, usize) = (size.parse().ok()?, count.parse().ok()?);
        if count == 0 || count > PARTS_MAX - sizes.len() {
            return None;
        }
        sizes.resize(sizes.len() + count, size);
    }
    Some(sizes)
}

fn read_sums(text: &str) -> Option<(ChecksumAlgorithm, Vec<String>)> {
    let (algorithm, values) = text.split_once(':')?;
    let values: Vec<String> = values.split(',').map(ToOwned::to_owned).collect();
    let sound = values.iter().all(|value| STANDARD.decode(value).is_ok());
    sound.then_some((ChecksumAlgorithm::of_s3(algorithm)?, values))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn metadata(size_bytes: u64, headers: Vec<(String, String)>) -> Metadata {
        Metadata {
            size_bytes,
            modified: SystemTime::UNIX_EPOCH,
            etag: "ab-1".to_owned(),
            digest: None,
            attributes: Attributes { headers, ..Attributes::default() },
        }
    }

    fn parts(sizes: &[u64]) -> Parts {
        Parts { sizes: sizes.to_vec(), sums: None }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let sums = Some((ChecksumAlgorithm::Crc32, vec!["AAAAAA==".to_owned(); 3]));
        let whole =
            WholeSum { algorithm: ChecksumAlgorithm::Crc32, text: "AAAAAA==-3".into(), is_composite: true };
        let mut headers = vec![("x-amz-meta-a".to_owned(), "b".to_owned())];
        let kept = Parts { sizes: vec![5, 5, 1], sums };
        kept.keep(Some(&whole), &[], &mut headers);
        assert!(headers.contains(&(SIZES.to_owned(), "5x2,1".to_owned())), "{headers:?}");
        let object = metadata(11, headers);
        assert_eq!(Parts::of(&object), Some(kept.clone()));
        assert_eq!(composite(&object.attributes), Some(whole));
        assert_eq!((kept.part(1), kept.part(3)), (Some((0, 5)), Some((10, 1))));
        assert_eq!((kept.part(0), kept.part(4)), (None, None));
        let second = kept.sum(2, &object).unwrap();
        assert_eq!((second.text.as_str(), second.kind()), ("AAAAAA==", "COMPOSITE"));
        assert_eq!((kept.sum(0, &object), kept.sum(4, &object)), (None, None));
        // It was edited since.
        assert_eq!(Parts::of(&metadata(12, object.attributes.headers)), None);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let uneven: Vec<u64> = (0..1000).map(|number| 5 << 20 | number).collect();
        let mut headers = Vec::new();
        parts(&uneven).keep(None, &[], &mut headers);
        assert_eq!(headers, []);
        let even = vec![5 << 20; PARTS_MAX];
        parts(&even).keep(None, &[], &mut headers);
        assert_eq!(Parts::of(&metadata(10_000 * (5 << 20), headers)), Some(parts(&even)));
        let sums = Some((ChecksumAlgorithm::Sha256, vec!["A".repeat(44); 1000]));
        let mut headers = Vec::new();
        Parts { sizes: vec![1; 1000], sums }.keep(None, &[], &mut headers);
        assert_eq!(headers.len(), 1);
        let full = [("x-amz-meta-a".to_owned(), "b".repeat(HEADERS_BYTES_MAX))];
        let mut headers = Vec::new();
        parts(&[1]).keep(None, &full, &mut headers);
        assert_eq!(headers, []);
    }

    #[test]
    fn what_somebody_else_wrote_is_not_believed() {
        for text in
            ["", "x", "5x", "x5", "5x0", "-5", "1x10001", "1x10000,1", "5,,5", "1x18446744073709551616"]
        {
            let headers = vec![(SIZES.to_owned(), text.to_owned())];
            for size_bytes in [0, 5, 10_001] {
                assert_eq!(Parts::of(&metadata(size_bytes, headers.clone())), None, "{text}");
            }
        }
        for text in ["", "crc32", "crc32:AAAAAA==", "crc32:?-2", "crc32:AAAAAA==-x", "md5:AAAAAA==-2"] {
            let headers = vec![(COMPOSITE.to_owned(), text.to_owned())];
            assert_eq!(composite(&metadata(0, headers).attributes), None, "{text}");
        }
    }
}
