//! A macro for enums whose values have a fixed text: values in the API, labels of metrics.

/// Defines an enum with the text of each value, so that a new value is one row. `ALL` lists the
/// values, `as_str` and `Display` return the text, and `parse` finds the value of a text.
#[macro_export]
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$value_meta:meta])* $variant:ident = $text:expr,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$value_meta])* $variant,)+
        }

        impl $name {
            /// All values.
            pub const ALL: [Self; [$($name::$variant),+].len()] = [$($name::$variant),+];

            /// Returns the text of the value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Returns the value with this text, if there is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == text)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
