//! XML, as far as object stores speak it: flat documents of elements and text.

mod read;
mod write;

pub(crate) use read::{Malformed, Reader};
pub(crate) use write::{Milliseconds, Xml, is_xml};
