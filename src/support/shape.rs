//! JSON objects whose keys are written beside their values.

/// Something as an object of these keys and values, in this order; `key[condition]` only where it holds.
macro_rules! shape {
    ($name:ident($from:pat = $of:ty) { $($key:ident $([$is_there:expr])?: $value:expr,)+ }) => {
        struct $name<'a>($of);

        impl serde::Serialize for $name<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let $from = &self.0;
                let mut map = serializer.serialize_map(None)?;
                $(if true $(&& $is_there)? {
                    map.serialize_entry(stringify!($key), &$value)?;
                })+
                map.end()
            }
        }
    };
}

pub(crate) use shape;
