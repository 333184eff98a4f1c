//! Enums whose variants are the rows of a table.

/// An enum, and the function that gives the row of each variant: a constant, which documents the variant too.
macro_rules! table {
    (
        $(#[$meta:meta])+ $name:ident;
        $(#[$row_meta:meta])+ $vis:vis $row:ident: $type:ty;
        $($(#[$doc:meta])* $variant:ident: $value:expr;)+
    ) => {
        $(#[$meta])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* #[doc = concat!("\n```text\n", stringify!($value), "\n```")] $variant,)+
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            $(#[$row_meta])+
            $vis const fn $row(self) -> $type {
                match self { $(Self::$variant => const { $value },)+ }
            }
        }
    };
}

pub(super) use table;
